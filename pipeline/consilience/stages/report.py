"""Stage ``report``: the page."""

from __future__ import annotations

from consilience.reporting.run import write_report

stage = write_report

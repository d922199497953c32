"""Stage ``report``: ``python -m consilience.stages.report``."""

from __future__ import annotations

from consilience import stages
from consilience.reporting.run import write_report

if __name__ == "__main__":
    stages.run(write_report)

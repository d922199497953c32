"""Stage ``align``: clocks of the recordings."""

from __future__ import annotations

from consilience.alignment.run import align

stage = align

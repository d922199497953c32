"""Stage ``code``: fingerprints of the code behind each stage; DVC runs it every time."""

from __future__ import annotations

from consilience.stage_code import is_current, write_fingerprints

__all__ = ["is_current", "stage"]

stage = write_fingerprints

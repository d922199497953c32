"""Folder of the real recordings, which tests marked ``real_data`` read and others skip without."""

import os
from pathlib import Path

BESIDE_THE_CLONE = Path(__file__).parents[2] / "shared" / "data"
REAL_DATA = Path(os.environ.get("CONSILIENCE_REAL_DATA") or BESIDE_THE_CLONE)
NO_REAL_DATA = "no real recordings: set CONSILIENCE_REAL_DATA to their folder"

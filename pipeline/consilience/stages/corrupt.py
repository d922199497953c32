"""Stage ``corrupt``: ``python -m consilience.stages.corrupt``."""

from __future__ import annotations

from consilience import stages
from consilience.windows.corrupt import corrupt

if __name__ == "__main__":
    stages.run(corrupt)

"""Stage ``window``: ``python -m consilience.stages.window``."""

from __future__ import annotations

from consilience import stages
from consilience.windows.build import window

if __name__ == "__main__":
    stages.run(window)

"""Stage ``align``: ``python -m consilience.stages.align``."""

from __future__ import annotations

from consilience import stages
from consilience.alignment.run import align

if __name__ == "__main__":
    stages.run(align)

"""Stage ``label``: ``python -m consilience.stages.label``."""

from __future__ import annotations

from consilience import stages
from consilience.annotation.label import label

if __name__ == "__main__":
    stages.run(label)

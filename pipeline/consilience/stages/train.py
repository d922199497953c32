"""Stage ``train``: ``python -m consilience.stages.train METHOD``."""

from __future__ import annotations

from consilience import stages
from consilience.training.run import train

if __name__ == "__main__":
    stages.run(train)

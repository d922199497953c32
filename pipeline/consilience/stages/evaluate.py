"""Stage ``evaluate``: ``python -m consilience.stages.evaluate``."""

from __future__ import annotations

from consilience import stages
from consilience.evaluation.run import evaluate

if __name__ == "__main__":
    stages.run(evaluate)

"""Stage ``score``: ``python -m consilience.stages.score CORPUS``."""

from __future__ import annotations

from consilience import stages
from consilience.evaluation.ground_truth import score

if __name__ == "__main__":
    stages.run(score)

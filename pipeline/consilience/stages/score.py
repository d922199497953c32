"""Stage ``score``: alignment and labels against the ground truth of a corpus."""

from __future__ import annotations

from consilience.evaluation.ground_truth import score

stage = score

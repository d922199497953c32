"""Stage ``evaluate``: metrics of every method."""

from __future__ import annotations

from consilience.evaluation.run import evaluate

stage = evaluate

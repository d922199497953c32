"""Coverage of prediction sets and intervals, window by window."""

from __future__ import annotations

import numpy as np

from consilience.evaluation.detection import PooledPredictions
from consilience.evaluation.metrics import Array
from consilience.schema.constants import AFFECT
from consilience.training.coverage import class_scores
from consilience.windows.store import Corpus

# Share of the runs whose sets must contain a class of the average's set. The thresholds of runs do
# not fit the average, whose probabilities are more even (Cherubin 2019, "Majority vote ensembles
# of conformal predictors").
MAJORITY = 0.5
COVERAGE = (
    *("set_coverage", "set_size"),
    *(f"{target}_{measure}" for target in AFFECT for measure in ("coverage", "width")),
)


def coverage_measures(pooled: PooledPredictions, seed: int, corpus: Corpus) -> list[Array]:
    """Return the measures of `COVERAGE` for the windows of one seed, each of shape (N,).

    Coverage is 1 where the prediction set contains the most probable class of the window's label,
    or the interval its valence or arousal, else 0; NaN without a label. The size of a set is its
    number of classes, the width of an interval is in the units of the labels.
    """
    in_set = pooled.set_votes[seed] >= MAJORITY
    labelled = np.isfinite(corpus.target).all(1)
    true = np.nan_to_num(corpus.target).argmax(1)
    covered = np.where(labelled, in_set[np.arange(len(in_set)), true], np.nan)
    measures = [covered, in_set.sum(-1).astype(np.float64)]
    for place in range(len(AFFECT)):
        actual, half_width = corpus.affect[:, place], pooled.affect_half_width[seed, :, place]
        distance = np.abs(actual - pooled.affect_mean[seed, :, place])
        covered = np.where(np.isfinite(actual), distance <= half_width, np.nan)
        measures += [covered, 2 * half_width]
    return measures


def set_members(probability: Array, threshold: Array) -> Array:
    """Return the members of prediction sets: 1 or 0, and NaN without a prediction.

    Parameters
    ----------
    probability : ndarray, shape (..., K)
    threshold : ndarray, shape (...)
        Largest score of a member; see `consilience.training.coverage`.

    Returns
    -------
    ndarray, shape (..., K)
    """
    members = class_scores(probability) <= threshold[..., None]
    return np.where(np.isfinite(probability), members, np.nan)

"""Coverage of prediction sets and intervals, window by window."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from consilience.evaluation.detection import PooledPredictions
from consilience.evaluation.metrics import Array
from consilience.schema.constants import AFFECT
from consilience.training.coverage import class_scores
from consilience.windows.store import Corpus

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
    in_set = set_members(pooled.probability[seed], pooled.set_threshold[seed])
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


def set_members(probability: Array, threshold: Array) -> NDArray[np.bool_]:
    """Return which classes belong to prediction sets; none without a prediction.

    Parameters
    ----------
    probability : ndarray, shape (..., K)
    threshold : ndarray, shape (...)
        Largest score of a member; see `consilience.training.coverage`. Of an average of runs, the
        mean of their thresholds.

    Returns
    -------
    ndarray of bool, shape (..., K)
    """
    members = class_scores(probability) <= threshold[..., None]
    return np.asarray(members & np.isfinite(probability))

"""Detection tasks: how well reliability, coherence and vacuity separate bad from good windows.

Each task lists scores of positives and negatives; `scorer` counts them per subject, so that the
area under the ROC curve can be resampled.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from consilience.evaluation.metrics import Array, exact_areas, ranking
from consilience.windows.conditions import DESYNC, EVERYTHING, MISMATCH, MISSING, Condition
from consilience.windows.store import Corpus

FAULT = 5  # severity at which a corrupted sensor counts as bad


class PooledPredictions(NamedTuple):
    """Predictions for the test windows under one condition, one per window and seed.

    Attributes
    ----------
    probability : ndarray, shape (Z, N, K)
        For Z seeds; NaN where the condition does not apply.
    affect_mean, affect_std, affect_half_width : ndarray, shape (Z, N, 2)
    set_threshold : ndarray, shape (Z, N)
        Mean of the averaged runs' thresholds; see `coverage.set_members`.
    vacuity, coherence : ndarray, shape (Z, N)
    reliability : ndarray, shape (Z, N, M)
    """

    probability: Array
    affect_mean: Array
    affect_std: Array
    affect_half_width: Array
    set_threshold: Array
    vacuity: Array
    coherence: Array
    reliability: Array


class Scores(NamedTuple):
    """Scores of some windows, all of them positives or all of them negatives.

    Attributes
    ----------
    values : ndarray, shape (Z, n)
    positive : bool
    rows : ndarray of int, shape (n,)
        Positions of the windows in the corpus.
    """

    values: Array
    positive: bool
    rows: NDArray[np.int64]


def is_bad_sensor(condition: Condition) -> bool:
    """Return whether exactly one sensor is mismatched or corrupted at the highest severity."""
    if condition.kind == MISMATCH:
        return True
    several = condition.kind in (DESYNC, MISSING, EVERYTHING)
    return condition.severity == FAULT and not several


def is_used(condition: Condition) -> bool:
    """Return whether any detection task needs the predictions under a condition."""
    return is_bad_sensor(condition) or condition.kind == EVERYTHING


def detection_tasks(
    predictions: Mapping[Condition, PooledPredictions], full: Condition, corpus: Corpus
) -> dict[str, list[Scores]]:
    """Return the scores of each detection task.

    mismatched_sensor, mismatched_sensor_<m>
        ``1 - reliability`` of the mismatched modality, against that of the other available
        modalities of the same windows and of all available modalities of the same windows
        without a mismatch; over all modalities, and of modality m.
    corrupted_sensor, corrupted_sensor_<m>
        The same for the modality that is corrupted at the highest severity.
    mismatch
        ``1 - coherence`` of windows with a mismatched modality against the same windows without.
    out_of_distribution
        Vacuity of windows with all modalities corrupted against the same windows clean.

    Parameters
    ----------
    predictions : mapping of Condition to PooledPredictions
        Those under `full` and under every condition that `is_used`.
    full : Condition
        All modalities, clean.
    corpus : Corpus
    """
    clean = predictions[full]
    tasks: dict[str, list[Scores]] = {}
    for condition, under_test in predictions.items():
        rows = np.flatnonzero(np.isfinite(under_test.probability).all((0, 2)))
        if condition.kind == EVERYTHING:
            tasks.setdefault("out_of_distribution", []).extend(
                _against(under_test.vacuity, clean.vacuity, rows)
            )
        elif is_bad_sensor(condition):
            (name,) = condition.modalities
            kind = "mismatched_sensor" if condition.kind == MISMATCH else "corrupted_sensor"
            scores = _unreliability(under_test, clean, name, rows, corpus)
            tasks.setdefault(kind, []).extend(scores)
            tasks.setdefault(f"{kind}_{name}", []).extend(scores)
        if condition.kind == MISMATCH:
            tasks.setdefault("mismatch", []).extend(
                _against(1 - under_test.coherence, 1 - clean.coherence, rows)
            )
    return tasks


def _against(positives: Array, negatives: Array, rows: NDArray[np.int64]) -> list[Scores]:
    return [
        Scores(positives[:, rows], positive=True, rows=rows),
        Scores(negatives[:, rows], positive=False, rows=rows),
    ]


def _unreliability(
    under_test: PooledPredictions,
    clean: PooledPredictions,
    modality: str,
    rows: NDArray[np.int64],
    corpus: Corpus,
) -> list[Scores]:
    """Return ``1 - reliability`` of every sensor, the bad one as the only positive."""
    bad = corpus.modalities.index(modality)
    # A single sensor cannot be distinguished from others.
    rows = rows[corpus.available[rows, bad] & (corpus.available[rows].sum(1) > 1)]
    scores: list[Scores] = []
    for m in range(len(corpus.modalities)):
        available = rows[corpus.available[rows, m]]
        scores.append(Scores(1 - under_test.reliability[:, available, m], m == bad, available))
        scores.append(Scores(1 - clean.reliability[:, available, m], False, available))
    return scores


def count_by_subject(scores: Sequence[Scores], codes: NDArray[np.int64], n_subjects: int) -> Array:
    """Count positives and negatives by subject and level of the score; see `metrics.ranking`.

    Parameters
    ----------
    scores : sequence of Scores
        Of one task; non-finite values are left out.
    codes : ndarray of int, shape (N,)
        Subject of every window of the corpus.
    n_subjects : int

    Returns
    -------
    ndarray, shape (Z, S, G, 2)
    """
    values, positive = _joined(scores)
    owner = codes[np.concatenate([group.rows for group in scores])]
    return np.stack(
        [
            ranking(of_seed[finite], positive[finite], owner[finite], n_subjects)
            for of_seed, finite in zip(values, np.isfinite(values), strict=True)
        ]
    )


def exact_auroc(scores: Sequence[Scores]) -> Array:
    """Return the area under the ROC curve of a task for every seed, (Z,)."""
    values, positive = _joined(scores)
    return np.array(
        [
            exact_areas(of_seed[finite], positive[finite])[0]
            for of_seed, finite in zip(values, np.isfinite(values), strict=True)
        ]
    )


def _joined(scores: Sequence[Scores]) -> tuple[Array, NDArray[np.bool_]]:
    """Return the values (Z, n) of all groups, and which of them are positives (n,)."""
    values = np.concatenate([group.values for group in scores], axis=1)
    positive = np.concatenate([np.full(len(group.rows), group.positive) for group in scores])
    return values, positive

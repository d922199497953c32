"""Cross-fitted label estimates, and the reliability of the labels.

Each window's label is predicted per modality by linear probes trained on other subjects; the sum
of the probes' scores is the estimate. It does not depend on the window's own label, so a label
that it contradicts is doubtful. Unlabelled windows: see `consilience.training.soft_targets`.

The reliability of the labels in general follows from three raters by triangulation. If two
modalities and the label err independently, the agreement of each pair beyond chance is the product
of their reliabilities, so

    rho_label^2 = c(a, label) c(b, label) / c(a, b),   c = (K P(agree) - 1) / (K - 1).

This requires no clean labels: modalities that agree with each other more than with the labels
indicate noisy labels, and modalities that agree with nothing indicate a hard task.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import combinations
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from consilience.training.data import Rows
from consilience.training.probes import Array, cross_fitted_scores, shared_by_runs, subject_groups

LEAST_SUBJECTS = 4  # with labels; with fewer, probes learn differences between the subjects
SHARPNESS = tuple(np.geomspace(1, 24, 17))  # grid of inverse temperatures


class LabelEstimate(NamedTuple):
    """Cross-fitted estimate of the labels of one run's training windows.

    Attributes
    ----------
    probability : ndarray, shape (N, K)
        Uniform for windows that are unlabelled or outside the training set.
    reliability : float
        Of the labels, from 0 (drawn at random) to 1. It is 1 where it cannot be estimated: with
        fewer than `LEAST_SUBJECTS` labelled subjects, or modalities that agree with nothing.
    """

    probability: Array
    reliability: float


def cross_fitted(
    prepared: Mapping[str, Rows],
    available: NDArray[np.bool_],
    target: NDArray[np.float32],
    subject: NDArray[np.generic],
    rows: NDArray[np.int64],
) -> LabelEstimate:
    """Estimate the labels of a run's labelled training windows.

    Parameters
    ----------
    prepared : mapping of str to Tensor or Centred, shape (N, ...)
        Encoder inputs by modality.
    available : ndarray of bool, shape (N, M)
    target : ndarray, shape (N, K)
        The run's labels; rows with NaN are unlabelled.
    subject : ndarray, shape (N,)
    rows : ndarray of int, shape (n,)
        The training windows.

    Returns
    -------
    LabelEstimate
    """
    n_classes = target.shape[1]
    rows = rows[np.isfinite(target[rows]).all(1)]
    y, has = target[rows].astype(float), available[rows]
    weight, groups = np.ones(has.shape), subject_groups(subject[rows])
    scores = cross_fitted_scores(prepared, rows, has, y, weight, groups)
    enough_subjects = len(np.unique(subject[rows])) >= LEAST_SUBJECTS
    reliability = 1.0
    if enough_subjects:
        reliability = triangulated(scores.argmax(-1).T, has, y.argmax(1), n_classes)
    probability = np.full((len(target), n_classes), 1 / n_classes)
    probability[rows] = _sharpened(scores.sum(0), y, reliability)
    return LabelEstimate(probability, reliability)


def triangulated(
    named: NDArray[np.int64],
    available: NDArray[np.bool_],
    label: NDArray[np.int64],
    n_classes: int,
) -> float:
    """Estimate the labels' reliability, 0 to 1: the median over the pairs of modalities.

    It is 1 where no pair agrees beyond chance, or none has as many windows as there are classes.

    Parameters
    ----------
    named : ndarray of int, shape (n, M)
        Class that each modality predicts, without the window's own label.
    available : ndarray of bool, shape (n, M)
    label : ndarray of int, shape (n,)
    n_classes : int
        K.
    """
    estimates = []
    for a, b in combinations(range(named.shape[1]), 2):
        rows = available[:, a] & available[:, b]
        if rows.sum() < n_classes:
            continue
        raters = (named[rows, a], named[rows, b], label[rows])
        between, first, second = (
            (n_classes * np.mean(x == y) - 1) / (n_classes - 1) for x, y in combinations(raters, 2)
        )
        if between > 0:
            estimates.append(np.sqrt(max(first, 0) * max(second, 0) / between))
    return float(min(1.0, np.median(estimates))) if estimates else 1.0


def _sharpened(scores: Array, y: Array, reliability: float) -> Array:
    """Return ``softmax(s scores)`` with the sharpness s of maximum likelihood of the noisy labels.

    The noise model keeps s from being too small: without it, wrong labels would be explained by
    uncertain estimates.
    """
    label, right = y.argmax(1), accuracy(reliability, scores.shape[-1])
    wrong = (1 - right) / (scores.shape[-1] - 1)

    def log_likelihood(sharpness: float) -> float:
        p_label = _softmax(sharpness * scores)[np.arange(len(label)), label]
        return float(np.log(right * p_label + wrong * (1 - p_label)).sum())

    return _softmax(max(SHARPNESS, key=log_likelihood) * scores)


def accuracy(reliability: float, n_classes: int) -> float:
    """Return the share of right labels that corresponds to a reliability, at most 0.999."""
    return min(0.999, (reliability * (n_classes - 1) + 1) / n_classes)


def _softmax(scores: Array) -> Array:
    exponentials = np.exp(scores - scores.max(-1, keepdims=True))
    return exponentials / exponentials.sum(-1, keepdims=True)


def estimate_labels(
    prepared: Callable[[int], Mapping[str, Rows]],
    available: NDArray[np.bool_],
    targets: Sequence[NDArray[np.float32]],
    subject: NDArray[np.generic],
    rows: Sequence[NDArray[np.int64]],
) -> tuple[Tensor, Tensor]:
    """Estimate the labels of all runs; see `cross_fitted`.

    Parameters
    ----------
    prepared : callable
        Returns the encoder inputs of a run by modality, from its place.
    available : ndarray of bool, shape (N, M)
    targets : sequence of ndarray, shape (N, K)
        Labels of each run.
    subject : ndarray, shape (N,)
    rows : sequence of ndarray of int
        Training windows of each run.

    Returns
    -------
    probability : Tensor, shape (R, N, K)
    reliability : Tensor, shape (R,)
    """

    def compute(place: int) -> LabelEstimate:
        return cross_fitted(prepared(place), available, targets[place], subject, rows[place])

    estimates = shared_by_runs(compute, targets, rows)
    return (
        torch.from_numpy(np.stack([estimate.probability for estimate in estimates])).float(),
        torch.tensor([estimate.reliability for estimate in estimates]),
    )

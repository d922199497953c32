"""What the sensors together think of a label, each asked without having been told it.

One linear probe a modality, fitted on other subjects of the training set, predicts every training
window; their sum is the consensus. Nothing in it has seen the window's own label, so where it
contradicts a label, the label is suspect, and where there is no label it can stand in.

How far labels in general are to be trusted follows from three opinions by triangulation. If two
sensors and the label err independently, the agreement of each pair beyond chance is the product
of their reliabilities, so

    rho_label^2 = c(a, label) c(b, label) / c(a, b),   c = (K P(agree) - 1) / (K - 1),

which asks for no clean labels: sensors that agree with one another more than with the label tell
of noisy labels, and sensors that agree with nothing tell of a hard task.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

GROUPS = 4  # of training subjects, each judged by probes of the others
LEAST_SUBJECTS = 4  # with labels; the probes of fewer say more about people than about labels
RIDGE = 1.0  # in units of the mean squared standardised input
SHARPNESS = tuple(np.geomspace(1, 24, 17))

Array = NDArray[np.float64]


class Consensus(NamedTuple):
    """What the sensors think of one run's training windows.

    Attributes
    ----------
    probability : ndarray, shape (N, K)
        Even for windows that are no training windows.
    reliability : float
        Of the labels, 0 (as good as drawn by lot) to 1; 1 where it cannot be told: with fewer than
        `LEAST_SUBJECTS` labelled subjects, or sensors that agree with nothing.
    """

    probability: Array
    reliability: float


def cross_fitted(
    prepared: Mapping[str, Tensor],
    available: NDArray[np.bool_],
    target: NDArray[np.float32],
    subject: NDArray[np.generic],
    rows: NDArray[np.int64],
) -> Consensus:
    """Ask the sensors of a run's training windows.

    Parameters
    ----------
    prepared : mapping of str to Tensor, shape (N, ...)
        Windows as encoders take them.
    available : ndarray of bool, shape (N, M)
    target : ndarray, shape (N, K)
        As the run is told; a row with NaN is unlabelled.
    subject : ndarray, shape (N,)
    rows : ndarray of int, shape (n,)
        The training windows.

    Returns
    -------
    Consensus
    """
    n_classes = target.shape[1]
    y, asked = target[rows].astype(float), available[rows]
    labelled = np.isfinite(y).all(1)
    inputs = [_summed_up(values[rows]).double().numpy() for values in prepared.values()]
    groups = _groups(subject[rows], labelled)
    scores = np.zeros((len(inputs), len(rows), n_classes))
    for number, values in enumerate(inputs):
        has = asked[:, number]
        for group in np.unique(groups):
            taught, judged = has & labelled & (groups != group), has & (groups == group)
            if taught.sum() > n_classes and judged.any():
                scores[number, judged] = _probe(values[taught], y[taught], values[judged])
    judges_enough = len(np.unique(subject[rows][labelled])) >= LEAST_SUBJECTS
    label = np.where(labelled, y.argmax(1), -1)
    reliability = _triangulated(scores, asked, label) if judges_enough else 1.0
    probability = np.full((len(target), n_classes), 1 / n_classes)
    probability[rows] = _sharpened(scores.sum(0), y, labelled, reliability)
    return Consensus(probability, reliability)


def _summed_up(values: Tensor) -> Tensor:
    """Return windows (N, ...) as rows; of a time axis, the last of three, mean and deviation."""
    if values.ndim < 3:
        return values
    return torch.cat([values.mean(-1), values.std(-1, correction=0)], 1)


def _groups(subject: NDArray[np.generic], labelled: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Deal subjects to groups: those with labels evenly, those without to a group of their own."""
    names, codes = np.unique(subject, return_inverse=True)
    with_labels = np.unique(codes[labelled])
    dealt = np.full(len(names), -1)
    dealt[with_labels] = np.arange(len(with_labels)) % min(GROUPS, max(2, len(with_labels)))
    return dealt[codes]


def _probe(taught: Array, y: Array, judged: Array) -> Array:
    """Return ridge regression's class scores, in its dual form: few windows, many numbers."""
    mean, std = taught.mean(0), taught.std(0)
    scale = np.where(std > 1e-6, std, np.inf)
    known, asked = (taught - mean) / scale, np.clip((judged - mean) / scale, -10, 10)
    width = known.shape[1]
    gram = known @ known.T / width + RIDGE * np.eye(len(known))
    weight = np.linalg.solve(gram, y - y.mean(0))
    scores: Array = asked @ (known.T @ weight) / width
    return scores


def _triangulated(scores: Array, available: NDArray[np.bool_], label: NDArray[np.int64]) -> float:
    """Return the label's reliability: the median over the pairs of sensors that can tell."""
    n_classes, found = scores.shape[-1], []
    said = scores.argmax(-1)
    for a, b in combinations(range(len(scores)), 2):
        all_three = available[:, a] & available[:, b] & (label >= 0)
        if all_three.sum() < n_classes:
            continue
        pairs = ((said[a], said[b]), (said[a], label), (said[b], label))
        between, first, second = (
            (n_classes * np.mean(x[all_three] == z[all_three]) - 1) / (n_classes - 1)
            for x, z in pairs
        )
        if between > 0:
            found.append(np.sqrt(max(first, 0) * max(second, 0) / between))
    return float(min(1.0, np.median(found))) if found else 1.0


def _sharpened(scores: Array, y: Array, labelled: NDArray[np.bool_], reliability: float) -> Array:
    """Return softmax(s scores) with the s that makes the labels, noisy as they are, likeliest."""
    label, right = np.where(labelled, y.argmax(1), 0), accuracy(reliability, scores.shape[-1])
    wrong = (1 - right) / (scores.shape[-1] - 1)

    def likelihood(sharpness: float) -> float:
        own = _softmax(sharpness * scores)[np.arange(len(label)), label]
        return float(np.log(right * own + wrong * (1 - own))[labelled].sum())

    return _softmax(max(SHARPNESS, key=likelihood) * scores)


def accuracy(reliability: float, n_classes: int) -> float:
    """Return the share of right labels that a reliability stands for, below 1."""
    return min(0.999, (reliability * (n_classes - 1) + 1) / n_classes)


def _softmax(scores: Array) -> Array:
    raised = np.exp(scores - scores.max(-1, keepdims=True))
    return raised / raised.sum(-1, keepdims=True)


def of_runs(
    prepared: Mapping[str, Tensor],
    available: NDArray[np.bool_],
    targets: Sequence[NDArray[np.float32]],
    subject: NDArray[np.generic],
    rows: Sequence[NDArray[np.int64]],
) -> tuple[Tensor, Tensor]:
    """Return the consensus of all runs: probabilities (R, N, K) and reliabilities (R,)."""
    known: dict[tuple[bytes, bytes], Consensus] = {}
    found = []
    for target, own in zip(targets, rows, strict=True):
        key = target.tobytes(), own.tobytes()
        if key not in known:
            known[key] = cross_fitted(prepared, available, target, subject, own)
        found.append(known[key])
    return (
        torch.from_numpy(np.stack([one.probability for one in found])).float(),
        torch.tensor([one.reliability for one in found]),
    )

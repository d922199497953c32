"""Cross-fitted label estimates, and the reliability of the labels.

Each window's label is predicted per modality by linear probes trained on other subjects; the sum
of the probes' scores is the estimate. It does not depend on the window's own label, so a label
that it contradicts is doubtful, and an unlabelled window can be given the estimate.

The reliability of the labels in general follows from three raters by triangulation. If two
modalities and the label err independently, the agreement of each pair beyond chance is the product
of their reliabilities, so

    rho_label^2 = c(a, label) c(b, label) / c(a, b),   c = (K P(agree) - 1) / (K - 1).

This requires no clean labels: modalities that agree with each other more than with the labels
indicate noisy labels, and modalities that agree with nothing indicate a hard task.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import combinations
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from consilience.training.data import Rows

GROUPS = 4  # of training subjects; the probes for one are trained on the others
LEAST_SUBJECTS = 4  # with labels; with fewer, probes learn differences between the subjects
RIDGE = 1.0  # in units of the mean squared standardised input
SHARPNESS = tuple(np.geomspace(1, 24, 17))  # grid of inverse temperatures
MAX_INPUT = 10.0  # standard deviations; limits the influence of outliers
BLOCK = 4096  # windows in memory at a time

Array = NDArray[np.float64]


class LabelEstimate(NamedTuple):
    """Cross-fitted estimate of the labels of one run's training windows.

    Attributes
    ----------
    probability : ndarray, shape (N, K)
        Uniform for windows outside the training set.
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
    """Estimate the labels of a run's training windows.

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
    y, has = target[rows].astype(float), available[rows]
    labelled = np.isfinite(y).all(1)
    scores = _probe_scores(prepared, rows, has, y, labelled, _groups(subject[rows], labelled))
    enough_subjects = len(np.unique(subject[rows][labelled])) >= LEAST_SUBJECTS
    label = np.where(labelled, y.argmax(1), -1)
    reliability = _triangulated(scores, has, label) if enough_subjects else 1.0
    probability = np.full((len(target), n_classes), 1 / n_classes)
    probability[rows] = _sharpened(scores.sum(0), y, labelled, reliability)
    return LabelEstimate(probability, reliability)


class _Inputs:
    """Flat model inputs of one modality at some positions, read in blocks of rows."""

    def __init__(self, values: Rows, rows: NDArray[np.int64]) -> None:
        self._values, self._rows = values, rows
        self.width = _flat(values[np.zeros(1, np.int64)]).shape[1]

    def at(self, places: NDArray[np.int64]) -> Array:
        """Return the inputs (n, width) at places among the positions."""
        read: Array = _flat(self._values[self._rows[places]]).double().numpy()
        return read

    def blocks(self, places: NDArray[np.int64]) -> Iterator[tuple[NDArray[np.int64], Array]]:
        """Yield places and inputs, some thousand rows at a time."""
        for start in range(0, len(places), BLOCK):
            block = places[start : start + BLOCK]
            yield block, self.at(block)


class _Probe(NamedTuple):
    """Ridge regression of the classes on standardised inputs."""

    mean: Array
    scale: Array  # infinite for constant features, which become 0
    weight: Array  # shape (width, K)

    def scores(self, values: Array) -> Array:
        """Return the class scores (n, K) of inputs (n, width)."""
        x = np.clip((values - self.mean) / self.scale, -MAX_INPUT, MAX_INPUT)
        scores: Array = x @ self.weight / len(self.weight)
        return scores


def _probe_scores(
    prepared: Mapping[str, Rows],
    rows: NDArray[np.int64],
    available: NDArray[np.bool_],
    y: Array,
    labelled: NDArray[np.bool_],
    groups: NDArray[np.int64],
) -> Array:
    """Return the class scores (M, n, K) of probes trained on the other groups; 0 without one."""
    n_classes = y.shape[1]
    scores = np.zeros((len(prepared), len(y), n_classes))
    for number, values in enumerate(prepared.values()):
        inputs, has = _Inputs(values, rows), available[:, number]
        sums: dict[int, _Sums] = {}
        for group in np.unique(groups):
            train = np.flatnonzero(has & labelled & (groups != group))
            test = np.flatnonzero(has & (groups == group))
            if len(train) <= n_classes or not len(test):
                continue
            if inputs.width < len(train):
                sums = sums or _group_sums(inputs, has & labelled, y, groups)
                probe = _primal_probe([of for other, of in sums.items() if other != group])
            else:
                probe = _dual_probe(inputs.at(train), y[train])
            for places, block in inputs.blocks(test):
                scores[number, places] = probe.scores(block)
    return scores


def _flat(values: Tensor) -> Tensor:
    """Return windows (N, ...) as rows; a time axis becomes mean and standard deviation."""
    if values.ndim < 3:
        return values
    return torch.cat([values.mean(-1), values.std(-1, correction=0)], 1)


def _groups(subject: NDArray[np.generic], labelled: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Assign each window's subject to a group.

    Subjects with labels are distributed evenly. Those without form a group of their own (-1),
    whose probes are trained on all labelled subjects.
    """
    names, codes = np.unique(subject, return_inverse=True)
    with_labels = np.unique(codes[labelled])
    group_of = np.full(len(names), -1)
    group_of[with_labels] = np.arange(len(with_labels)) % min(GROUPS, max(2, len(with_labels)))
    return group_of[codes]


class _Sums(NamedTuple):
    """Sums over the windows of a group, from which probes for any set of groups follow.

    Inputs are taken relative to an origin near their mean, so that the moments about the mean do
    not cancel.
    """

    origin: Array  # shape (width,)
    n: Array  # number of windows
    x: Array  # shape (width,)
    y: Array  # shape (K,)
    xx: Array  # shape (width, width)
    xy: Array  # shape (width, K)


def _group_sums(
    inputs: _Inputs, usable: NDArray[np.bool_], y: Array, groups: NDArray[np.int64]
) -> dict[int, _Sums]:
    """Return the sums of every group; the labels of one never enter those of another."""
    origin = inputs.at(np.flatnonzero(usable)[:BLOCK]).mean(0)
    sums = {}
    for group in np.unique(groups):
        width, n_classes = inputs.width, y.shape[1]
        shapes = ((), (width,), (n_classes,), (width, width), (width, n_classes))
        total = [np.zeros(shape) for shape in shapes]
        for places, block in inputs.blocks(np.flatnonzero(usable & (groups == group))):
            x, of_block = block - origin, y[places]
            terms = (len(x), x.sum(0), of_block.sum(0), x.T @ x, x.T @ of_block)
            total = [before + term for before, term in zip(total, terms, strict=True)]
        sums[int(group)] = _Sums(origin, *total)
    return sums


def _primal_probe(sums: Sequence[_Sums]) -> _Probe:
    """Fit ridge regression from sums: the primal form, which inverts a matrix of the features."""
    origin = sums[0].origin
    n, x, y, xx, xy = (sum(values) for values in list(zip(*sums, strict=True))[1:])
    mean = x / n
    covariance = xx / n - np.outer(mean, mean)
    std = np.sqrt(covariance.diagonal().clip(min=0))
    scale = np.where(std > 1e-6, std, np.inf)
    width = len(mean)
    moments = n * covariance / np.outer(scale, scale) / width + RIDGE * np.eye(width)
    products = (xy - np.outer(mean, y)) / scale[:, None]
    return _Probe(origin + mean, scale, np.linalg.solve(moments, products))


def _dual_probe(train: Array, y: Array) -> _Probe:
    """Fit ridge regression in its dual form, which inverts a matrix of the windows.

    For fewer windows than features it is the smaller one; the scores are those of the primal form.
    """
    mean, std = train.mean(0), train.std(0)
    scale = np.where(std > 1e-6, std, np.inf)
    x = (train - mean) / scale
    kernel = x @ x.T / x.shape[1] + RIDGE * np.eye(len(x))
    return _Probe(mean, scale, x.T @ np.linalg.solve(kernel, y - y.mean(0)))


def _triangulated(scores: Array, available: NDArray[np.bool_], label: NDArray[np.int64]) -> float:
    """Return the labels' reliability: the median over the pairs of modalities.

    Parameters
    ----------
    scores : ndarray, shape (M, n, K)
    available : ndarray of bool, shape (n, M)
    label : ndarray of int, shape (n,)
        -1 where unlabelled.
    """
    n_classes, estimates = scores.shape[-1], []
    predicted = scores.argmax(-1)
    for a, b in combinations(range(len(scores)), 2):
        all_three = available[:, a] & available[:, b] & (label >= 0)
        if all_three.sum() < n_classes:
            continue
        pairs = ((predicted[a], predicted[b]), (predicted[a], label), (predicted[b], label))
        between, first, second = (
            (n_classes * np.mean(x[all_three] == z[all_three]) - 1) / (n_classes - 1)
            for x, z in pairs
        )
        if between > 0:
            estimates.append(np.sqrt(max(first, 0) * max(second, 0) / between))
    return float(min(1.0, np.median(estimates))) if estimates else 1.0


def _sharpened(scores: Array, y: Array, labelled: NDArray[np.bool_], reliability: float) -> Array:
    """Return ``softmax(s scores)`` with the sharpness s of maximum likelihood of the noisy labels.

    The noise model keeps s from being too small: without it, wrong labels would be explained by
    uncertain estimates.
    """
    label, right = np.where(labelled, y.argmax(1), 0), accuracy(reliability, scores.shape[-1])
    wrong = (1 - right) / (scores.shape[-1] - 1)

    def log_likelihood(sharpness: float) -> float:
        p_label = _softmax(sharpness * scores)[np.arange(len(label)), label]
        return float(np.log(right * p_label + wrong * (1 - p_label))[labelled].sum())

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
    # Runs of one fold that differ in their seed alone share the estimate.
    computed: dict[tuple[bytes, bytes], LabelEstimate] = {}
    estimates = []
    for place, (target, of_run) in enumerate(zip(targets, rows, strict=True)):
        key = target.tobytes(), of_run.tobytes()
        if key not in computed:
            computed[key] = cross_fitted(prepared(place), available, target, subject, of_run)
        estimates.append(computed[key])
    return (
        torch.from_numpy(np.stack([estimate.probability for estimate in estimates])).float(),
        torch.tensor([estimate.reliability for estimate in estimates]),
    )

"""Linear probes of single modalities: weighted ridge regression of the classes, cross-fitted.

A probe predicts the windows of a group of subjects and is trained on all other groups, so that no
prediction depends on its own window's label.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from consilience.training.data import Rows

GROUPS = 4  # of training subjects; the probes for one are trained on the others
RIDGE = 1.0  # in units of the mean squared standardised input
MAX_INPUT = 10.0  # standard deviations; limits the influence of outliers
BLOCK = 4096  # windows in memory at a time

Array = NDArray[np.float64]
Result = TypeVar("Result")


def shared_by_runs(
    compute: Callable[[int], Result],
    targets: Sequence[NDArray[np.float32]],
    rows: Sequence[NDArray[np.int64]],
) -> list[Result]:
    """Return a result for each run; runs with equal labels and training windows share one.

    Parameters
    ----------
    compute : callable
        Returns the result of a run from its place.
    targets : sequence of ndarray, shape (N, K)
        Labels of each run.
    rows : sequence of ndarray of int
        Training windows of each run.
    """
    keys = [
        (target.tobytes(), of_run.tobytes()) for target, of_run in zip(targets, rows, strict=True)
    ]
    first: dict[tuple[bytes, bytes], int] = {}
    for place, key in enumerate(keys):
        first.setdefault(key, place)
    computed = {key: compute(place) for key, place in first.items()}
    return [computed[key] for key in keys]


def cross_fitted_scores(
    prepared: Mapping[str, Rows],
    rows: NDArray[np.int64],
    available: NDArray[np.bool_],
    target: Array,
    weight: Array,
    groups: NDArray[np.int64],
) -> Array:
    """Compute the class scores of every modality by probes trained on the other groups.

    Parameters
    ----------
    prepared : mapping of str to Tensor or Centred, shape (N, ...)
        Encoder inputs by modality.
    rows : ndarray of int, shape (n,)
        Positions of the windows.
    available : ndarray of bool, shape (n, M)
    target : ndarray, shape (n, K)
        Class probabilities; any value where the weight is 0.
    weight : ndarray, shape (n, M)
        Of a window in the training of a modality's probe.
    groups : ndarray of int, shape (n,)

    Returns
    -------
    ndarray, shape (M, n, K)
        Relative to the mean of the targets; 0 where a modality is not available, or the other
        groups have no more windows of it than there are classes.
    """
    n_classes = target.shape[1]
    y = np.where(np.isfinite(target), target, 0.0)
    scores = np.zeros((len(prepared), len(y), n_classes))
    for number, values in enumerate(prepared.values()):
        inputs, has = _Inputs(values, rows), available[:, number]
        of_windows = weight[:, number] * has
        sums: dict[int, _Sums] = {}
        for group in np.unique(groups):
            train = np.flatnonzero((of_windows > 0) & (groups != group))
            test = np.flatnonzero(has & (groups == group))
            if len(train) <= n_classes or not len(test):
                continue
            if inputs.width < len(train):
                sums = sums or _group_sums(inputs, y, of_windows, groups)
                probe = _primal_probe([of for other, of in sums.items() if other != group])
            else:
                probe = _dual_probe(inputs.at(train), y[train], of_windows[train])
            for places, block in inputs.blocks(test):
                scores[number, places] = probe.scores(block)
    return scores


def subject_groups(subject: NDArray[np.generic]) -> NDArray[np.int64]:
    """Distribute the subjects of windows (N,) evenly over `GROUPS` groups, at most one each."""
    _, codes = np.unique(subject, return_inverse=True)
    return np.asarray(codes % GROUPS)


def flat_inputs(values: Tensor) -> Tensor:
    """Return windows (N, ...) as rows; a time axis becomes mean and standard deviation."""
    if values.ndim > 2:
        values = torch.cat([values.mean(-1), values.std(-1, correction=0)], 1)
    return values.flatten(1)


class _Inputs:
    """Flat model inputs of one modality at some positions, read in blocks of rows."""

    def __init__(self, values: Rows, rows: NDArray[np.int64]) -> None:
        self._values, self._rows = values, rows
        self.width = flat_inputs(values[np.zeros(1, np.int64)]).shape[1]

    def at(self, places: NDArray[np.int64]) -> Array:
        """Return the inputs (n, width) at places among the positions."""
        read: Array = flat_inputs(self._values[self._rows[places]]).double().numpy()
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


class _Sums(NamedTuple):
    """Weighted sums over the windows of a group, from which probes for any set of groups follow.

    Inputs are taken relative to an origin near their mean, so that the moments about the mean do
    not cancel.
    """

    origin: Array  # shape (width,)
    n: Array  # sum of the weights
    x: Array  # shape (width,)
    y: Array  # shape (K,)
    xx: Array  # shape (width, width)
    xy: Array  # shape (width, K)


def _group_sums(
    inputs: _Inputs, y: Array, weight: Array, groups: NDArray[np.int64]
) -> dict[int, _Sums]:
    """Return the sums of every group; the targets of one never enter those of another."""
    origin = inputs.at(np.flatnonzero(weight > 0)[:BLOCK]).mean(0)
    width, n_classes = inputs.width, y.shape[1]
    shapes = ((), (width,), (n_classes,), (width, width), (width, n_classes))
    sums = {}
    for group in np.unique(groups):
        total = [np.zeros(shape) for shape in shapes]
        for places, block in inputs.blocks(np.flatnonzero((weight > 0) & (groups == group))):
            x, of_block, w = block - origin, y[places], weight[places]
            weighted = (x * w[:, None]).T
            terms = (w.sum(), weighted.sum(1), w @ of_block, weighted @ x, weighted @ of_block)
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


def _dual_probe(train: Array, y: Array, weight: Array) -> _Probe:
    """Fit ridge regression in its dual form, which inverts a matrix of the windows.

    For fewer windows than features it is the smaller one; the scores are those of the primal form.
    """
    mean = np.average(train, axis=0, weights=weight)
    std = np.sqrt(np.average((train - mean) ** 2, axis=0, weights=weight))
    scale = np.where(std > 1e-6, std, np.inf)
    root = np.sqrt(weight)[:, None]
    x = root * (train - mean) / scale
    kernel = x @ x.T / x.shape[1] + RIDGE * np.eye(len(x))
    centred = root * (y - np.average(y, axis=0, weights=weight))
    return _Probe(mean, scale, x.T @ np.linalg.solve(kernel, centred))

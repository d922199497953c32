"""A person's baseline of the model inputs, without labels, shrunk to the population.

People differ more in their inputs than each of them changes with emotion. The baseline of a person
is estimated by empirical Bayes from reference windows s, feature by feature f,

    b = (sum_s x_s + k_f mu_f) / (n + k_f),   k_f = within_f / between_f,

with the population mean ``mu_f`` and the variances within and between persons, of the training
persons of a run. The estimate is the posterior mean of a normal model: with few windows, or a
feature in which persons hardly differ, it stays at the population mean. Efron and Morris 1975,
"Data analysis using Stein's estimator and its generalizations".

Shapes: N windows, R runs, B windows of a batch, G groups of windows with the same references.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from types import MappingProxyType
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from consilience.core.seeds import generator
from consilience.schema.params.training import TrainingParams
from consilience.training.enrolment import enrolment_windows
from consilience.windows.store import Corpus

BLOCK = 4096  # windows in memory at a time
LEAST_PRIOR, MOST_PRIOR = 1e-3, 1e6  # windows that the population mean may count as


class References(NamedTuple):
    """Reference windows of one modality.

    Attributes
    ----------
    total : Tensor, shape (G, ...)
        Sum of the inputs over the reference windows; over time too, as a mean, if inputs have a
        time axis, which then has the length 1.
    n : Tensor of float, shape (G,)
        Number of reference windows.
    group : Tensor of int64, shape (N,)
        Group of each window.
    causal : bool
        Whether a window itself is one more reference, as it is presented.
    windows : Tensor of bool, shape (N,)
        Which windows are references of any group.
    """

    total: Tensor
    n: Tensor
    group: Tensor
    causal: bool
    windows: Tensor

    def mapped(self, function: Callable[[Tensor], Tensor]) -> References:
        """Return references whose tensors a function has moved to a device."""
        total, n, group, windows = map(function, (self.total, self.n, self.group, self.windows))
        return References(total, n, group, self.causal, windows)


class Population(NamedTuple):
    """Prior of the baseline of each run.

    Attributes
    ----------
    centre : Tensor, shape (R, 1, ...)
        Mean of the training persons' means.
    prior_windows : Tensor, shape (R, 1, ...)
        Reference windows that the centre counts as, ``k_f``.
    """

    centre: Tensor
    prior_windows: Tensor

    def of_runs(self, runs: Tensor) -> Population:
        """Return the prior of some runs, by their positions."""
        return Population(self.centre[runs], self.prior_windows[runs])


def subtract_baseline(
    values: Tensor, references: References, population: Population, wearer: Tensor
) -> Tensor:
    """Return windows less the baseline of the person who wears the sensor.

    Parameters
    ----------
    values : Tensor, shape (R, B, ...)
    references : References
    population : Population
    wearer : Tensor of int64, shape (R, B)
        The windows whose references count. Under a mismatch the values are another person's.
    """
    shape = (*wearer.shape, *[1] * (values.ndim - 2))
    group = references.group[wearer]
    total, n = references.total[group], references.n[group].reshape(shape)
    if references.causal:
        total, n = total + _over_time(values, leading=2), n + 1
    prior = population.prior_windows
    return values - (total + prior * population.centre) / (n + prior)


class Centred:
    """Windows (N, ...) of a modality less the baselines, computed where they are read.

    Parameters
    ----------
    values : Tensor, shape (N, ...)
    references : References
    population : Population
        Of one run.
    """

    def __init__(self, values: Tensor, references: References, population: Population) -> None:
        self._values, self._references, self._population = values, references, population
        self.ndim, self.shape = values.ndim, values.shape

    def __getitem__(self, rows: NDArray[np.int64]) -> Tensor:
        index = torch.from_numpy(rows)
        return subtract_baseline(
            self._values[index][None], self._references, self._population, index[None]
        )[0]


class RunningSums(NamedTuple):
    """Sums over windows of one person, which arrive one after the other.

    Attributes
    ----------
    total : dict of str to Tensor of float64, shape (1, ...)
        By modality.
    n : dict of str to int
    """

    total: Mapping[str, Tensor] = MappingProxyType({})
    n: Mapping[str, int] = MappingProxyType({})

    def plus(self, inputs: Mapping[str, NDArray[np.float32]]) -> RunningSums:
        """Return the sums with one more window, of the modalities that it has, shape (1, ...)."""
        total, n = dict(self.total), dict(self.n)
        for name, values in inputs.items():
            added = _over_time(torch.from_numpy(values)).double()
            total[name] = total[name] + added if name in total else added
            n[name] = n.get(name, 0) + 1
        return RunningSums(total, n)

    def references(
        self, windows: Mapping[str, NDArray[np.float32]], *, causal: bool = True
    ) -> dict[str, References]:
        """Return the references of the window that follows.

        They are those of the function `references` under a running baseline.

        Parameters
        ----------
        windows : mapping of str to ndarray of float32, shape (1, ...)
            Its inputs by modality.
        causal : bool
            Whether the window itself is one more reference.
        """
        empty = {
            name: torch.zeros_like(_over_time(torch.from_numpy(values)))
            for name, values in windows.items()
        }
        return {
            name: References(
                self.total.get(name, zeros).float(),
                torch.tensor([float(self.n.get(name, 0))]),
                torch.zeros(1, dtype=torch.int64),
                causal,
                torch.ones(1, dtype=torch.bool),
            )
            for name, zeros in empty.items()
        }


def fit_population(
    values: Tensor, rows: NDArray[np.int64], subject: NDArray[np.generic]
) -> Population:
    """Estimate the prior of one run from its training windows.

    Parameters
    ----------
    values : Tensor, shape (N, ...)
    rows : ndarray of int
        Training windows that have the modality.
    subject : ndarray, shape (N,)

    Returns
    -------
    Population
        Of R = 1. The centre counts as `MOST_PRIOR` windows with fewer than two persons.
    """
    _, codes = np.unique(subject[rows], return_inverse=True)
    n = np.bincount(codes)
    shape = _over_time(values[:1]).shape[1:]
    if len(n) < 2 or n.sum() <= len(n):
        return Population(torch.zeros(1, 1, *shape), torch.full((1, 1, *shape), MOST_PRIOR))
    person = torch.from_numpy(codes)
    count = torch.from_numpy(n).double().reshape(-1, *[1] * len(shape))
    mean = _sums(values, rows, person, len(n)) / count
    squares = torch.zeros(shape, dtype=torch.float64)
    for block, of_block in _blocks(values, rows):
        squares += (of_block - mean[person[block]]).square().sum(0)
    within = squares / (n.sum() - len(n))
    # The variance of the persons' means contains that of the windows they are computed from.
    between = mean.var(0) - within * (1 / count).mean(0)
    prior = (within / between.clamp(min=1e-300)).clamp(LEAST_PRIOR, MOST_PRIOR)
    return Population(mean.mean(0).float()[None, None], prior.float()[None, None])


def references(corpus: Corpus, training: TrainingParams) -> Mapping[str, References]:
    """Return the reference windows by modality; empty without a baseline.

    Raises
    ------
    ConsilienceError
        If no window lies in the enrolment.
    """
    if training.baseline == "none":
        return {}
    return _all_references(corpus, training.baseline, training.enrolment, training.enrolment_s)


def complete_references(corpus: Corpus, training: TrainingParams) -> Mapping[str, References]:
    """Return the references for label estimates: all windows of a person, under any baseline.

    The errors of a baseline of few or one-sided windows are those of the person's moment, and make
    sensors agree with each other against right labels, which then look unreliable. The recordings
    of training persons are complete, whatever will be at hand in use.
    """
    complete = "none" if training.baseline == "none" else "person"
    return references(corpus, training.model_copy(update={"baseline": complete}))


@lru_cache(maxsize=8)  # the same for every method, and for training, calibration and test
def _all_references(
    corpus: Corpus, baseline: str, enrolment: str, enrolment_s: float | None
) -> Mapping[str, References]:
    key = "session" if baseline == "recording" else "subject"
    _, codes = np.unique(corpus.index[key].to_numpy(), return_inverse=True)
    chosen = np.ones(len(codes), bool)
    if baseline == "enrolment":
        chosen = enrolment_windows(corpus, enrolment, enrolment_s)
    return {
        name: _references(corpus, name, codes, chosen, baseline == "running")
        for name in corpus.modalities
    }


def _references(
    corpus: Corpus,
    modality: str,
    codes: NDArray[np.int64],
    chosen: NDArray[np.bool_],
    causal: bool,
) -> References:
    values = torch.from_numpy(corpus.windows(modality))
    counted = chosen & corpus.available[:, corpus.modalities.index(modality)]
    if not causal:
        rows = np.flatnonzero(counted)
        group, n_groups = torch.from_numpy(codes), int(codes.max()) + 1
        total = _sums(values, rows, group[rows], n_groups).float()
        n = torch.from_numpy(np.bincount(codes[rows], minlength=n_groups)).float()
        return References(total, n, group, False, torch.from_numpy(counted))
    total = torch.zeros_like(_over_time(values))
    n = torch.zeros(len(codes))
    order = running_order(corpus)
    of_persons = order[np.argsort(codes[order], kind="stable")]
    for rows in np.split(of_persons, np.cumsum(np.bincount(codes))[:-1]):
        has = torch.from_numpy(counted[rows])
        inputs = _over_time(values[rows]).double() * has.reshape(-1, *[1] * (total.ndim - 1))
        total[rows] = (inputs.cumsum(0) - inputs).float()  # of earlier windows
        n[rows] = has.cumsum(0).float() - has.float()
    return References(total, n, torch.arange(len(codes)), True, torch.from_numpy(counted))


def running_order(corpus: Corpus) -> NDArray[np.int64]:
    """Return the positions of the windows in the order in which a running baseline visits them.

    By time within a session, and the sessions of a person by name. Sessions of a single window
    are clips, whose names often list the classes one after the other; they are visited in an order
    drawn by their names.
    """
    sessions = corpus.index["session"].to_list()
    starts_s = corpus.index["start_s"].to_numpy() if "start_s" in corpus.index else None
    clips = len(set(sessions)) == len(sessions)
    drawn = {name: generator("running", name).random() if clips else 0.0 for name in set(sessions)}
    return np.array(
        sorted(
            range(len(sessions)),
            key=lambda row: (
                drawn[sessions[row]],
                sessions[row],
                starts_s[row] if starts_s is not None else row,
            ),
        ),
        np.int64,
    )


def _sums(values: Tensor, rows: NDArray[np.int64], group: Tensor, n_groups: int) -> Tensor:
    """Return the sums of the inputs at some positions by group, shape (n_groups, ...)."""
    sums = torch.zeros(n_groups, *_over_time(values[:1]).shape[1:], dtype=torch.float64)
    for block, of_block in _blocks(values, rows):
        sums.index_add_(0, group[block], of_block)
    return sums


def _blocks(values: Tensor, rows: NDArray[np.int64]) -> Iterator[tuple[slice, Tensor]]:
    """Yield slices of `rows` and their inputs in double precision, a block at a time."""
    for start in range(0, len(rows), BLOCK):
        block = slice(start, start + BLOCK)
        yield block, _over_time(values[rows[block]]).double()


def _over_time(values: Tensor, leading: int = 1) -> Tensor:
    """Return windows (..., n_numbers) as they are; average a time axis, which remains."""
    return values.mean(-1, keepdim=True) if values.ndim > leading + 1 else values

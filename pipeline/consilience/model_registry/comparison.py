"""Whether a model is worse than another by more than a margin, paired over people."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from consilience.core.seeds import generator
from consilience.evaluation.metrics import (
    Array,
    balanced_accuracy,
    calibration_error,
    pool,
    subject_sums,
)
from consilience.evaluation.resampling import interval, subject_weights, worst_quarter
from consilience.schema.constants import AFFECT
from consilience.schema.params.gate import GateParams

ALL, SUBSET, QUARTER, ECE = "all sensors", "worst subset", "worst quarter", "calibration error"
WORSE, NOT_WORSE, UNCERTAIN = "worse", "not worse", "uncertain"
BLOCK = 64  # resamples computed at a time, so that memory does not grow with their number


class Row(NamedTuple):
    """One figure of two models on the same windows.

    Attributes
    ----------
    figure : str
    candidate, accepted : float
        Mean over each model's seeds.
    difference, low, high : float
        Candidate less accepted, with the paired interval over people.
    margin : float
        Tolerated harm: loss of accuracy or rise of error.
    verdict : str
        ``"worse"``: the whole interval lies beyond the margin. ``"not worse"``: none of it does.
        ``"uncertain"``: a part of it does.
    """

    figure: str
    candidate: float
    accepted: float
    difference: float
    low: float
    high: float
    margin: float
    verdict: str


class Pair(NamedTuple):
    """Class probabilities of two models, (Z, N, K) each, NaN in the same windows of both."""

    candidate: NDArray[np.floating]
    accepted: NDArray[np.floating]


@dataclass(frozen=True, eq=False)
class PairedWindows:
    """Predictions of two models for the same windows.

    Attributes
    ----------
    full : Pair
        Each model with all of its sensors.
    subsets : dict of str to Pair
        With each subset of the sensors that both have.
    target : ndarray, shape (N, K)
        Class probabilities of the labels; NaN without one.
    person : ndarray of int, shape (N,)
        Position of each window's person.
    n_people : int
    """

    full: Pair
    subsets: Mapping[str, Pair]
    target: Array
    person: NDArray[np.int64]
    n_people: int


def compare_windows(windows: PairedWindows, params: GateParams, n_bins: int) -> list[Row]:
    """Compare two models in four figures.

    Parameters
    ----------
    windows : PairedWindows
        With a labelled window of every person that both predict.
    params : GateParams
    n_bins : int
        Confidence bins of the calibration error.

    Returns
    -------
    list of Row
        Balanced accuracy with all sensors, with the worst subset and of the worst quarter of the
        people, each model's own; expected calibration error with all sensors.
    """
    weights = subject_weights(windows.n_people, params.resamples)
    candidate, accepted = (samples(windows, side, weights, n_bins) for side in (0, 1))
    rows = []
    for figure in candidate.people:
        # Of seeds, drawn for each model by itself, and of windows, the same of both.
        variance = candidate.seeds[figure].var() + accepted.seeds[figure].var()
        if figure == QUARTER:
            variance += (candidate.windows - accepted.windows).var()
        pair = (candidate.people[figure], accepted.people[figure])
        rows.append(_row(figure, *pair, float(variance), windows.n_people, params))
    return rows


class Samples(NamedTuple):
    """Figures of one model when people, seeds or windows are resampled, and all else is not.

    Attributes
    ----------
    people : dict of str to ndarray, shape (W,)
        The first entry is the sample itself.
    seeds : dict of str to ndarray, shape (W,)
    windows : ndarray, shape (W,)
        Of the worst quarter of people.
    """

    people: dict[str, Array]
    seeds: dict[str, Array]
    windows: Array


def samples(windows: PairedWindows, side: int, weights: Array, n_bins: int) -> Samples:
    """Resample the figures of one model.

    Two models of the same data differ also by the random numbers of their trainings, which only
    their seeds can show. The worst people are chosen by their accuracies: if these were taken as
    exact, chance errors in few windows would count as differences between people.

    Parameters
    ----------
    windows : PairedWindows
    side : int
        0 for the candidate, 1 for the accepted model.
    weights : ndarray, shape (W, S)
        Of `subject_weights`.
    n_bins : int
    """
    full = _sums(windows.full[side], windows, n_bins)
    subsets = [_sums(pair[side], windows, n_bins) for pair in windows.subsets.values()]
    confusions = [sums["confusion"] for sums in (full, *subsets)]
    accuracies = np.stack([_pooled(balanced_accuracy, sums, weights) for sums in confusions])
    ece = _pooled(calibration_error, full["bins"], weights)
    of_person = balanced_accuracy(full["confusion"])
    people = _figures(accuracies.mean(-1), ece.mean(-1), of_person.mean(0), weights)
    drawn = seed_weights(len(of_person), len(weights))
    whole = np.ones_like(weights)
    seeds = _figures(accuracies[:, 0] @ drawn.T, drawn @ ece[0], drawn @ of_person, whole)
    return Samples(
        people, seeds, worst_quarter(person_accuracy(windows, side, len(weights)), whole)
    )


def _figures(accuracies: Array, ece: Array, of_person: Array, weights: Array) -> dict[str, Array]:
    """Return each figure under each weighting.

    Parameters
    ----------
    accuracies : ndarray, shape (1 + subsets, W)
        With all sensors and with each subset.
    ece : ndarray, shape (W,)
    of_person : ndarray, shape (S,) or (W, S)
    weights : ndarray, shape (W, S)
    """
    subsets = accuracies[1:] if len(accuracies) > 1 else accuracies
    subsets = subsets[np.isfinite(subsets[:, 0])]  # without those that no window has
    return {
        ALL: accuracies[0],
        SUBSET: np.asarray(np.nanmin(subsets, 0)),
        QUARTER: worst_quarter(of_person, weights),
        ECE: ece,
    }


def _pooled(metric: Callable[[Array], Array], sums: Array, weights: Array) -> Array:
    """Return a metric of sums (Z, S, ...) pooled over weighted people, by seed: (W, Z)."""
    blocks = [weights[start : start + BLOCK] for start in range(0, len(weights), BLOCK)]
    return np.concatenate([metric(pool({"": sums}, block, axis=1)[""]) for block in blocks])


def seed_weights(n_seeds: int, n_weightings: int) -> Array:
    """Return the weight of each seed in every weighting: (W, Z).

    One seed less than there are is drawn: the variance of the mean is then unbiased. A single seed
    does not show how much trainings differ.
    """
    if n_seeds == 1:
        return np.ones((n_weightings, 1))
    rng = generator("seeds of a model", n_seeds, n_weightings)
    equal = np.full(n_seeds, 1 / n_seeds)
    drawn: Array = rng.multinomial(n_seeds - 1, equal, n_weightings) / (n_seeds - 1)
    return drawn


def person_accuracy(windows: PairedWindows, side: int, n_weightings: int) -> Array:
    """Return the balanced accuracy of each person, with resampled windows: (W, S).

    Each window is drawn a number of times that is Poisson distributed, the same for both sides.
    """
    n_classes, truth = windows.target.shape[1], windows.target.argmax(1)
    cell = windows.person * n_classes + truth
    order = np.argsort(cell, kind="stable")
    cells, starts = np.unique(cell[order], return_index=True)
    right = (windows.full[side].argmax(-1) == truth).mean(0)[order]  # share of the seeds
    rng = generator("windows of a person", len(order), n_weightings)
    result = np.empty((n_weightings, windows.n_people))
    for start in range(0, n_weightings, BLOCK):
        rows = min(BLOCK, n_weightings - start)
        drawn = rng.poisson(1.0, (rows, len(order))).astype(np.float64)
        count = np.add.reduceat(drawn, starts, axis=1)
        hits = np.add.reduceat(drawn * right, starts, axis=1)
        recall = np.full((rows, windows.n_people * n_classes), np.nan)
        recall[:, cells] = np.where(count > 0, hits / np.maximum(count, 1), np.nan)
        result[start : start + rows] = _mean_over_classes(recall, n_classes)
    # A person of few windows may have none in a draw.
    return np.where(np.isfinite(result), result, np.nanmean(result, 0))


def _mean_over_classes(recall: Array, n_classes: int) -> Array:
    """Return the mean of the finite recalls (W, S * K) of each person: (W, S)."""
    by_class = recall.reshape(len(recall), -1, n_classes)
    finite = np.isfinite(by_class)
    with np.errstate(invalid="ignore"):
        mean: Array = np.where(finite, by_class, 0.0).sum(-1) / finite.sum(-1)
        return mean


def _sums(
    probability: NDArray[np.floating], windows: PairedWindows, n_bins: int
) -> dict[str, Array]:
    """Return confusions (Z, S, K, K) and confidence bins (Z, S, B, 3) of predictions (Z, N, K)."""
    unknown = np.full((len(windows.target), len(AFFECT)), np.nan)
    by_seed = [
        subject_sums(
            of_seed.astype(np.float64),
            unknown,
            windows.target,
            unknown,
            windows.person,
            windows.n_people,
            n_bins,
        )
        for of_seed in probability
    ]
    return {name: np.stack([sums[name] for sums in by_seed]) for name in ("confusion", "bins")}


def _row(
    figure: str,
    candidate: Array,
    accepted: Array,
    variance: float,
    n_people: int,
    params: GateParams,
) -> Row:
    """Compare one figure (W,) of two models; the variance is what people do not explain."""
    margin = params.ece_margin if figure == ECE else params.accuracy_margin
    difference, low, high = interval(candidate - accepted, n_people, params.confidence)
    further = float(ndtri((1 + params.confidence) / 2)) * math.sqrt(variance)
    # The shifted percentiles of a skewed distribution can lie on one side of the estimate.
    low = difference - math.hypot(max(difference - low, 0.0), further)
    high = difference + math.hypot(max(high - difference, 0.0), further)
    return Row(
        figure,
        float(candidate[0]),
        float(accepted[0]),
        difference,
        low,
        high,
        margin,
        verdict(low, high, margin, higher_is_worse=figure == ECE),
    )


def verdict(low: float, high: float, margin: float, *, higher_is_worse: bool) -> str:
    """Return where the interval of a difference lies: beyond the margin, within it, or both."""
    least_harm, most_harm = (low, high) if higher_is_worse else (-high, -low)
    if least_harm > margin:
        return WORSE
    return NOT_WORSE if most_harm <= margin else UNCERTAIN

"""Whose ratings to heed, and how far: the evaluator-weighted estimator."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

CAUTION = 5.0  # pseudo-items that an annotator is unbiased and as reliable as the rest
SWEEPS = 50

Floats = NDArray[np.float64]
Indices = NDArray[np.intp]


@dataclass(frozen=True)
class RatingConsensus:
    """Ratings of items as annotators give them together, and what each annotator is worth.

    Attributes
    ----------
    mean : ndarray of float64, shape (n_items,)
        Or median, where only the order of ratings counts.
    sd : ndarray of float64, shape (n_items,)
        Weighted standard deviation between annotators, their biases removed; NaN for one alone.
    bias : ndarray of float64, shape (n_annotators,)
        How much higher than the others each rates; NaN where only order counts.
    reliability : ndarray of float64, shape (n_annotators,)
        Correlation with the mean of the others; NaN for an annotator who is always alone.
    weight : ndarray of float64, shape (n_annotators,)
        Part of each in the mean, were all to rate; they add up to 1.
    """

    mean: Floats
    sd: Floats
    bias: Floats
    reliability: Floats
    weight: Floats


def evaluator_weighted(item: Indices, annotator: Indices, rating: Floats) -> RatingConsensus:
    """Estimate what is rated from ratings of unlike evaluators.

    Grimm and Kroschel (2005), IEEE ASRU, 381-385: a mean weighted by each evaluator's correlation
    with the others, none below 0. Here the others' mean leaves the evaluator out, and constant
    biases are taken off first (two-way additive model, least squares with a ridge), so that
    who is missing from an item does not shift it; the biases' mean stays.

    Parameters
    ----------
    item, annotator : ndarray of intp, shape (n_ratings,)
        Who rates what, both numbered from 0.
    rating : ndarray of float64, shape (n_ratings,)

    Returns
    -------
    RatingConsensus
    """
    n_items, n_annotators = item.max() + 1, annotator.max() + 1
    bias = _biases(item, annotator, rating, n_items, n_annotators)
    level = rating - bias[annotator]
    reliability = _reliabilities(item, annotator, level, n_items, n_annotators)
    weight = np.maximum(np.nan_to_num(reliability), 0)
    weight = weight / weight.sum() if weight.sum() > 0 else np.full(n_annotators, 1 / n_annotators)
    part = weight[annotator]
    silent = np.bincount(item, part, n_items) <= 0
    part = np.where(silent[item], 1.0, part)
    total = np.bincount(item, part, n_items)
    mean = np.bincount(item, part * level, n_items) / total
    return RatingConsensus(mean, _spread(item, part, level, mean), bias, reliability, weight)


def evaluator_median(item: Indices, annotator: Indices, rating: Floats) -> RatingConsensus:
    """Estimate what is rated where only the order of ratings counts.

    The median weighted by each evaluator's rank correlation with the others: `evaluator_weighted`
    on the ranks that ratings have among all of one evaluator. Nothing is said of biases.

    Parameters
    ----------
    item, annotator : ndarray of intp, shape (n_ratings,)
        Who rates what, both numbered from 0.
    rating : ndarray of float64, shape (n_ratings,)

    Returns
    -------
    RatingConsensus
    """
    rank = np.empty(len(rating))
    for own in (annotator == name for name in np.unique(annotator)):
        rank[own] = rankdata(rating[own]) / own.sum()
    ranks = evaluator_weighted(item, annotator, rank)
    part = ranks.weight[annotator]
    n_items = len(ranks.mean)
    part = np.where((np.bincount(item, part, n_items) <= 0)[item], 1.0, part)
    order = np.lexsort((rating, item))
    starts = np.flatnonzero(np.diff(item[order], prepend=-1))
    median = [_weighted_median(rating[own], part[own]) for own in np.split(order, starts[1:])]
    total = np.bincount(item, part, n_items)
    mean = np.bincount(item, part * rating, n_items) / total
    sd = _spread(item, part, rating, mean)
    unknown = np.full(len(ranks.bias), np.nan)
    return RatingConsensus(np.array(median), sd, unknown, ranks.reliability, ranks.weight)


def _weighted_median(rising: Floats, weight: Floats) -> float:
    """Return the value with half of the weight below, in a straight line between ratings."""
    below = (np.cumsum(weight) - weight / 2) / weight.sum()
    return float(np.interp(0.5, below, rising))


def _biases(
    item: Indices, annotator: Indices, rating: Floats, n_items: int, n_annotators: int
) -> Floats:
    """Return biases by alternating least squares; 0 on average over ratings."""
    company = np.bincount(item, minlength=n_items)
    n_rated = np.bincount(annotator, company[item] > 1, n_annotators)
    bias = np.zeros(n_annotators)
    for _ in range(SWEEPS):
        level = np.bincount(item, rating - bias[annotator], n_items) / company
        excess = np.where(company[item] > 1, rating - level[item], 0)
        bias = np.bincount(annotator, excess, n_annotators) / (n_rated + CAUTION)
        bias -= bias[n_rated > 0].mean() if (n_rated > 0).any() else 0
    return np.where(n_rated > 0, bias, 0)


def _reliabilities(
    item: Indices, annotator: Indices, level: Floats, n_items: int, n_annotators: int
) -> Floats:
    """Return correlations with the mean of the others, drawn to their mean where items are few."""
    company = np.bincount(item, minlength=n_items)[item]
    shared = company > 1
    who, own = annotator[shared], level[shared]
    others = (np.bincount(item, level, n_items)[item] - level)[shared] / (company[shared] - 1)
    n = np.bincount(who, minlength=n_annotators)
    centred = []
    for values in (own, others):
        with np.errstate(invalid="ignore"):
            mean = np.bincount(who, values, n_annotators) / n
        centred.append(values - mean[who])
    cross, own_2, others_2 = (
        np.bincount(who, centred[left] * centred[right], n_annotators)
        for left, right in ((0, 1), (0, 0), (1, 1))
    )
    scale = np.sqrt(own_2 * others_2)
    correlation = np.divide(cross, scale, out=np.zeros(n_annotators), where=scale > 0)
    usual = np.average(correlation, weights=n) if n.sum() else 0.0
    return np.where(n > 0, (n * correlation + CAUTION * usual) / (n + CAUTION), np.nan)


def _spread(item: Indices, part: Floats, level: Floats, mean: Floats) -> Floats:
    n_items = len(mean)
    total, squares = np.bincount(item, part, n_items), np.bincount(item, part**2, n_items)
    scatter = np.bincount(item, part * (level - mean[item]) ** 2, n_items)
    freedom = total - squares / total
    enough = freedom > 1e-9 * total
    return np.sqrt(np.divide(scatter, freedom, out=np.full(n_items, np.nan), where=enough))

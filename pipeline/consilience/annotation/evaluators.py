"""Consensus of ratings weighted by each annotator's reliability (evaluator weighted estimator)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

PRIOR_ITEMS = 5.0  # pseudo-items with no bias and the average reliability
SWEEPS = 50

Floats = NDArray[np.float64]
Indices = NDArray[np.intp]


@dataclass(frozen=True)
class RatingConsensus:
    """Consensus ratings of items, with bias, reliability and weight of each annotator.

    Attributes
    ----------
    mean : ndarray of float64, shape (n_items,)
        Weighted mean; weighted median if only the order of ratings is used.
    sd : ndarray of float64, shape (n_items,)
        Weighted standard deviation between annotators without their biases; NaN for a single
        rating.
    bias : ndarray of float64, shape (n_annotators,)
        Mean excess over the other annotators; NaN if only the order of ratings is used.
    reliability : ndarray of float64, shape (n_annotators,)
        Correlation with the mean of the others; NaN for an annotator who shares no item.
    weight : ndarray of float64, shape (n_annotators,)
        Weight in the mean of an item that all have rated; the weights sum to 1.
    """

    mean: Floats
    sd: Floats
    bias: Floats
    reliability: Floats
    weight: Floats


def evaluator_weighted(item: Indices, annotator: Indices, rating: Floats) -> RatingConsensus:
    """Compute reliability-weighted mean ratings, with each annotator's bias removed.

    Grimm and Kroschel (2005), IEEE ASRU, 381-385: a mean weighted by each evaluator's
    correlation with the others; negative correlations get the weight 0. Two changes: the mean of
    the others excludes the evaluator, and constant biases are subtracted first (two-way additive
    model, ridge least squares), so that the mean of an item does not depend on who rated it. A
    bias common to all annotators cannot be estimated and stays.

    Parameters
    ----------
    item, annotator : ndarray of intp, shape (n_ratings,)
        Item and annotator of each rating, both numbered from 0.
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
    rating_weight = _rating_weights(item, weight[annotator], n_items)
    total = np.bincount(item, rating_weight, n_items)
    mean = np.bincount(item, rating_weight * level, n_items) / total
    sd = _weighted_sd(item, rating_weight, level, mean)
    return RatingConsensus(mean, sd, bias, reliability, weight)


def evaluator_median(item: Indices, annotator: Indices, rating: Floats) -> RatingConsensus:
    """Compute reliability-weighted median ratings from the order of ratings only.

    The weights are those of `evaluator_weighted` for the ranks of each annotator's ratings among
    all ratings of that annotator. Biases are not estimated.

    Parameters
    ----------
    item, annotator : ndarray of intp, shape (n_ratings,)
        Item and annotator of each rating, both numbered from 0.
    rating : ndarray of float64, shape (n_ratings,)

    Returns
    -------
    RatingConsensus
    """
    rank = np.empty(len(rating))
    for number in np.unique(annotator):
        mask = annotator == number
        rank[mask] = _average_ranks(rating[mask]) / mask.sum()
    ranks = evaluator_weighted(item, annotator, rank)
    n_items = len(ranks.mean)
    rating_weight = _rating_weights(item, ranks.weight[annotator], n_items)
    # Sorted by item, and by rating within an item.
    order = np.lexsort((rating, item))
    starts = np.flatnonzero(np.diff(item[order], prepend=-1))
    median = [
        _weighted_median(rating[rows], rating_weight[rows]) for rows in np.split(order, starts[1:])
    ]
    total = np.bincount(item, rating_weight, n_items)
    mean = np.bincount(item, rating_weight * rating, n_items) / total
    sd = _weighted_sd(item, rating_weight, rating, mean)
    no_bias = np.full(len(ranks.bias), np.nan)
    return RatingConsensus(np.array(median), sd, no_bias, ranks.reliability, ranks.weight)


def _rating_weights(item: Indices, weight: Floats, n_items: int) -> Floats:
    """Return the weight of each rating; equal weights where all of an item's weights are 0."""
    unweighted = np.bincount(item, weight, n_items) <= 0
    return np.where(unweighted[item], 1.0, weight)


def _weighted_median(rising: Floats, weight: Floats) -> float:
    """Return the value with half of the weight below it, interpolated between ratings."""
    below = (np.cumsum(weight) - weight / 2) / weight.sum()
    return float(np.interp(0.5, below, rising))


def _biases(
    item: Indices, annotator: Indices, rating: Floats, n_items: int, n_annotators: int
) -> Floats:
    """Return each annotator's bias by alternating least squares; their mean is 0."""
    n_raters = np.bincount(item, minlength=n_items)
    # An item with a single rating gives no information about bias.
    n_rated = np.bincount(annotator, n_raters[item] > 1, n_annotators)
    bias = np.zeros(n_annotators)
    for _ in range(SWEEPS):
        level = np.bincount(item, rating - bias[annotator], n_items) / n_raters
        excess = np.where(n_raters[item] > 1, rating - level[item], 0)
        bias = np.bincount(annotator, excess, n_annotators) / (n_rated + PRIOR_ITEMS)
        # A common bias cannot be distinguished from the items' levels.
        bias -= bias[n_rated > 0].mean() if (n_rated > 0).any() else 0
    return np.where(n_rated > 0, bias, 0)


def _reliabilities(
    item: Indices, annotator: Indices, level: Floats, n_items: int, n_annotators: int
) -> Floats:
    """Return each annotator's correlation with the mean of the others, shrunk to the average.

    Correlations over few items are noisy, so `PRIOR_ITEMS` pseudo-items of average correlation
    are added.
    """
    n_raters = np.bincount(item, minlength=n_items)[item]
    shared = n_raters > 1
    rater, ratings = annotator[shared], level[shared]
    # Leaving out the annotator's rating avoids a correlation with itself.
    others = (np.bincount(item, level, n_items)[item] - level)[shared] / (n_raters[shared] - 1)
    n = np.bincount(rater, minlength=n_annotators)
    centred = []
    for values in (ratings, others):
        with np.errstate(invalid="ignore"):
            mean = np.bincount(rater, values, n_annotators) / n
        centred.append(values - mean[rater])
    cross, ratings_2, others_2 = (
        np.bincount(rater, centred[left] * centred[right], n_annotators)
        for left, right in ((0, 1), (0, 0), (1, 1))
    )
    scale = np.sqrt(ratings_2 * others_2)
    correlation = np.divide(cross, scale, out=np.zeros(n_annotators), where=scale > 0)
    average = np.average(correlation, weights=n) if n.sum() else 0.0
    return np.where(n > 0, (n * correlation + PRIOR_ITEMS * average) / (n + PRIOR_ITEMS), np.nan)


def _weighted_sd(item: Indices, weight: Floats, level: Floats, mean: Floats) -> Floats:
    """Return the unbiased weighted standard deviation of each item; NaN for a single rating."""
    n_items = len(mean)
    total, squares = np.bincount(item, weight, n_items), np.bincount(item, weight**2, n_items)
    scatter = np.bincount(item, weight * (level - mean[item]) ** 2, n_items)
    # Generalises n - 1 to weights: for equal weights w it is w * (n - 1).
    freedom = total - squares / total
    enough = freedom > 1e-9 * total
    return np.sqrt(np.divide(scatter, freedom, out=np.full(n_items, np.nan), where=enough))


def _average_ranks(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return ranks from 1, equal values sharing their mean rank (n_values,).

    The same as ``scipy.stats.rankdata``, whose module takes a second to import.
    """
    _, place, count = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(count)
    return (last - (count - 1) / 2)[place]

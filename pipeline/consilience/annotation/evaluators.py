"""Consensus of ratings weighted by each annotator's reliability (evaluator weighted estimator)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

PRIOR_ITEMS = 5.0  # pseudo-items with no bias and the average reliability
SWEEPS = 50
MOST_COMPARED = 20  # annotators up to which each one matters, and pairs are compared
LEAST_SHARED = 6  # items, below which chance can give a correlation of -1
CONTRARY = -0.3  # correlation with the majority; indifferent annotators are closer to 0
ROUNDING = 1e-9  # product of two deviations below which one of them is constant
SURE = 2.33  # standard errors: one in a hundred indifferent annotators is taken for contrary

Floats = NDArray[np.float64]
Indices = NDArray[np.intp]


@dataclass(frozen=True)
class RatingConsensus:
    """Consensus ratings of items, with bias, reliability and weight of each annotator.

    Attributes
    ----------
    mean : ndarray of float64, shape (n_items,)
        Weighted mean; weighted median if only the order of ratings is used. NaN for an item that
        only contrary annotators have rated.
    sd : ndarray of float64, shape (n_items,)
        Weighted standard deviation between annotators without their biases; NaN for a single
        rating.
    bias : ndarray of float64, shape (n_annotators,)
        Mean excess over the other annotators; NaN if only the order of ratings is used.
    reliability : ndarray of float64, shape (n_annotators,)
        Correlation with the mean of the others who are not contrary, -1 to 1; NaN for an annotator
        who shares no item.
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
    bias common to all annotators cannot be estimated and stays. Contrary annotators, see
    `contrary_annotators`, have no part in the others' reliabilities.

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
    contrary = contrary_annotators(item, annotator, rating)
    kept = ~contrary[annotator]
    bias = _biases(item[kept], annotator[kept], rating[kept], n_items, n_annotators)
    level = rating - bias[annotator]
    reliability = _reliabilities(item, annotator, level, contrary, n_items)
    weight = np.maximum(np.nan_to_num(reliability), 0)
    # Without any agreement all annotators count the same, except those that turn the scale round.
    weight = weight if weight.sum() > 0 else (~contrary).astype(np.float64)
    weight = weight / weight.sum()
    rating_weight = _rating_weights(item, weight[annotator], kept, n_items)
    mean = _weighted_mean(item, rating_weight, level, n_items)
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
    kept = ~contrary_annotators(item, annotator, rank)[annotator]
    rating_weight = _rating_weights(item, ranks.weight[annotator], kept, n_items)
    # Sorted by item, and by rating within an item.
    order = np.lexsort((rating, item))
    starts = np.flatnonzero(np.diff(item[order], prepend=-1))
    median = [
        _weighted_median(rating[rows], rating_weight[rows]) for rows in np.split(order, starts[1:])
    ]
    mean = _weighted_mean(item, rating_weight, rating, n_items)
    sd = _weighted_sd(item, rating_weight, rating, mean)
    no_bias = np.full(len(ranks.bias), np.nan)
    return RatingConsensus(np.array(median), sd, no_bias, ranks.reliability, ranks.weight)


def contrary_annotators(item: Indices, annotator: Indices, rating: Floats) -> NDArray[np.bool_]:
    """Return the annotators who contradict the majority, such as those with the scale turned round.

    The correlation with the mean of all others does not reveal them: of three annotators, each of
    two that agree correlates with a mean of one like it and one opposed. The leading eigenvector
    of the pairwise correlations divides the annotators instead; a contrary one is in the minority
    and correlates negatively with the mean of the majority.

    Parameters
    ----------
    item, annotator : ndarray of intp, shape (n_ratings,)
    rating : ndarray of float64, shape (n_ratings,)

    Returns
    -------
    ndarray of bool, shape (n_annotators,)
        False for two annotators, or more than `MOST_COMPARED`.
    """
    n_annotators = int(annotator.max()) + 1
    none = np.zeros(n_annotators, bool)
    if not 3 <= n_annotators <= MOST_COMPARED:
        return none
    table = np.full((n_annotators, item.max() + 1), np.nan)
    table[annotator, item] = rating
    correlation = np.array([[_correlation(left, right)[0] for right in table] for left in table])
    leading = np.linalg.eigh(correlation)[1][:, -1]
    leading *= np.sign(leading.sum())
    minority, majority = leading < 0, table[leading > 0]
    if not minority.any() or minority.sum() >= len(majority):
        return none
    count = np.isfinite(majority).sum(axis=0)
    total = np.where(np.isfinite(majority), majority, 0.0).sum(axis=0)
    mean = np.divide(total, count, out=np.full(len(count), np.nan), where=count > 0)
    return minority & np.array([_opposes(row, mean) for row in table])


def _opposes(ratings: Floats, others: Floats) -> bool:
    """Return whether ratings certainly decrease with those of others, shape (n_items,) each."""
    correlation, n = _correlation(ratings, others)
    if n < LEAST_SHARED or correlation > CONTRARY:
        return False
    # Fisher's transformation of a correlation has the standard error 1 / sqrt(n - 3).
    z = np.arctanh(max(correlation, -1 + 1e-9)) * np.sqrt(n - 3)
    return bool(z < -SURE)


def _correlation(first: Floats, second: Floats) -> tuple[float, int]:
    """Return the correlation over shared items, 0 if undefined, and the number of these items."""
    shared = np.isfinite(first) & np.isfinite(second)
    if shared.sum() < 3:
        return 0.0, int(shared.sum())
    x, y = first[shared] - first[shared].mean(), second[shared] - second[shared].mean()
    scale = float(np.sqrt((x**2).sum() * (y**2).sum()))
    return (float((x * y).sum()) / scale if scale > ROUNDING else 0.0), int(shared.sum())


def _rating_weights(item: Indices, weight: Floats, kept: NDArray[np.bool_], n_items: int) -> Floats:
    """Return the weight of each rating; where all of an item's are 0, 1 for those kept."""
    unweighted = np.bincount(item, weight, n_items) <= 0
    return np.where(unweighted[item], kept.astype(np.float64), weight)


def _weighted_mean(item: Indices, weight: Floats, values: Floats, n_items: int) -> Floats:
    """Return the weighted mean of each item; NaN without a rating of positive weight."""
    total, sums = np.bincount(item, weight, n_items), np.bincount(item, weight * values, n_items)
    return np.divide(sums, total, out=np.full(n_items, np.nan), where=total > 0)


def _weighted_median(rising: Floats, weight: Floats) -> float:
    """Return the value with half of the weight below it, interpolated; NaN without any weight."""
    if not weight.sum() > 0:
        return float("nan")
    below = (np.cumsum(weight) - weight / 2) / weight.sum()
    return float(np.interp(0.5, below, rising))


def _biases(
    item: Indices, annotator: Indices, rating: Floats, n_items: int, n_annotators: int
) -> Floats:
    """Return each annotator's bias by alternating least squares; their mean is 0."""
    n_raters = np.maximum(np.bincount(item, minlength=n_items), 1)
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
    item: Indices, annotator: Indices, level: Floats, contrary: NDArray[np.bool_], n_items: int
) -> Floats:
    """Return each annotator's correlation with the mean of the others, shrunk to the average.

    Correlations over few items are noisy, so `PRIOR_ITEMS` pseudo-items of average correlation
    are added. Contrary annotators are none of the others, and not shrunk.
    """
    n_annotators, kept = len(contrary), ~contrary[annotator]
    n_others = np.bincount(item[kept], minlength=n_items)[item] - kept
    shared = n_others > 0
    rater, ratings = annotator[shared], level[shared]
    total = np.bincount(item[kept], level[kept], n_items)
    # Leaving out the annotator's rating avoids a correlation with itself.
    others = (total[item] - np.where(kept, level, 0.0))[shared] / n_others[shared]
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
    correlation = np.divide(cross, scale, out=np.zeros(n_annotators), where=scale > ROUNDING)
    correlation = np.clip(correlation, -1, 1)  # rounding
    counted = n * ~contrary
    average = np.average(correlation, weights=counted) if counted.sum() else 0.0
    prior = np.where(contrary, 0.0, PRIOR_ITEMS)
    shrunk = (n * correlation + prior * average) / np.maximum(n + prior, 1)
    return np.where(n > 0, np.clip(shrunk, -1, 1), np.nan)


def _weighted_sd(item: Indices, weight: Floats, level: Floats, mean: Floats) -> Floats:
    """Return the unbiased weighted standard deviation of each item; NaN for a single rating."""
    n_items = len(mean)
    total, squares = np.bincount(item, weight, n_items), np.bincount(item, weight**2, n_items)
    scatter = np.bincount(item, weight * (level - mean[item]) ** 2, n_items)
    # Generalises n - 1 to weights: for equal weights w it is w * (n - 1).
    freedom = total - np.divide(squares, total, out=np.zeros(n_items), where=total > 0)
    enough = freedom > 1e-9 * total
    return np.sqrt(np.divide(scatter, freedom, out=np.full(n_items, np.nan), where=enough))


def _average_ranks(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return ranks from 1, equal values sharing their mean rank (n_values,).

    The same as ``scipy.stats.rankdata``, whose module takes a second to import.
    """
    _, place, count = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(count)
    return (last - (count - 1) / 2)[place]

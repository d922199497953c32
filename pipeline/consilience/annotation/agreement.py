"""Agreement between annotators beyond chance: Krippendorff's alpha and intraclass correlation."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Indices = NDArray[np.intp]


def krippendorff_alpha(
    item: Indices,
    rating: Floats,
    scale: Literal["nominal", "ordinal", "interval"],
) -> float | None:
    """Compute Krippendorff's alpha: 1 for full agreement, 0 for agreement by chance.

    Krippendorff (2011), Computing Krippendorff's Alpha-Reliability. Items with a single rating
    are ignored; which annotator gave a rating does not matter.

    Parameters
    ----------
    item : ndarray of intp, shape (n_ratings,)
        Number of the rated item.
    rating : ndarray of float64, shape (n_ratings,)
        Class numbers, levels or values.
    scale : {"nominal", "ordinal", "interval"}

    Returns
    -------
    float or None
        None if no item has two ratings, or all ratings are equal.
    """
    n_rated = np.bincount(item)
    paired = n_rated[item] > 1
    item, rating = item[paired], rating[paired]
    if not len(rating):
        return None
    if scale == "interval":
        # Twice the variance is the mean squared difference of all pairs.
        return _alpha(_interval_disagreement(item, rating, n_rated), 2 * float(rating.var(ddof=1)))
    levels, code = np.unique(rating, return_inverse=True)
    counts = np.zeros((len(n_rated), len(levels)))
    np.add.at(counts, (item, code), 1)
    distance = _distance(counts.sum(axis=0), scale)
    n, total = counts.sum(axis=1), counts.sum()
    within = np.einsum("ik,kl,il->i", counts, distance, counts)
    # Each rating of an item is compared with the item's n - 1 others.
    observed = (within[n > 1] / (n[n > 1] - 1)).sum() / total
    expected = counts.sum(axis=0) @ distance @ counts.sum(axis=0) / (total * (total - 1))
    return _alpha(float(observed), float(expected))


def _interval_disagreement(item: Indices, rating: Floats, n_rated: Indices) -> float:
    """Return the mean squared difference within items, from variances instead of all pairs."""
    n = n_rated[item]
    mean = np.bincount(item, rating, len(n_rated)) / np.maximum(n_rated, 1)
    return float((2 * (rating - mean[item]) ** 2 * n / (n - 1)).sum() / len(rating))


def _distance(frequency: Floats, scale: str) -> Floats:
    """Return the squared distances between levels, shape (n_levels, n_levels)."""
    if scale == "nominal":
        return 1 - np.eye(len(frequency))
    # Ordinal: the number of ratings between two levels, and half of those at either level.
    middle = np.cumsum(frequency) - frequency / 2
    distance: Floats = (middle[:, None] - middle) ** 2
    return distance


def _alpha(observed: float, expected: float) -> float | None:
    return max(-1.0, 1 - observed / expected) if expected > 0 else None


def intraclass_correlation(ratings: Floats) -> tuple[float, float] | None:
    """Compute the reliability of one annotator and of the mean of all: ICC(2,1) and ICC(2,k).

    Shrout and Fleiss (1979), Psychological Bulletin 86(2):420-428: two-way random effects,
    absolute agreement.

    Parameters
    ----------
    ratings : ndarray of float64, shape (n_items, n_annotators)

    Returns
    -------
    tuple of 2 floats, or None
        From -1 to 1; None for fewer than two items or annotators, or without any variance.
    """
    n, k = ratings.shape
    if n < 2 or k < 2:
        return None
    item_mean, annotator_mean, grand = ratings.mean(axis=1), ratings.mean(axis=0), ratings.mean()
    items_square = k * ((item_mean - grand) ** 2).sum() / (n - 1)
    annotators_square = n * ((annotator_mean - grand) ** 2).sum() / (k - 1)
    residual = ratings - item_mean[:, None] - annotator_mean + grand
    error_square = (residual**2).sum() / ((n - 1) * (k - 1))
    # Absolute agreement: differences between annotators' means count as error.
    single = items_square + (k - 1) * error_square + k * (annotators_square - error_square) / n
    mean = items_square + (annotators_square - error_square) / n
    if single <= 0 or mean <= 0:
        return None
    excess = items_square - error_square
    # Opposed annotators give values below -1, outside the range of a correlation.
    return float(np.clip(excess / single, -1, 1)), float(np.clip(excess / mean, -1, 1))

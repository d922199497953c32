"""How far annotators agree beyond chance."""

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
    """Return Krippendorff's alpha: 1 for full agreement, 0 for none beyond chance.

    Krippendorff (2011), Computing Krippendorff's Alpha-Reliability. Items that one annotator alone
    has rated do not count; who has rated which does not matter.

    Parameters
    ----------
    item : ndarray of intp, shape (n_ratings,)
    rating : ndarray of float64, shape (n_ratings,)
        Class numbers, levels or values.
    scale : {"nominal", "ordinal", "interval"}

    Returns
    -------
    float or None
        None if no item has two ratings, or all ratings are the same.
    """
    n_rated = np.bincount(item)
    kept = n_rated[item] > 1
    item, rating = item[kept], rating[kept]
    if not len(rating):
        return None
    if scale == "interval":
        return _ratio(_interval_disagreement(item, rating, n_rated), 2 * float(rating.var(ddof=1)))
    levels, code = np.unique(rating, return_inverse=True)
    counts = np.zeros((len(n_rated), len(levels)))
    np.add.at(counts, (item, code), 1)
    distance = _distance(counts.sum(axis=0), scale)
    n, total = counts.sum(axis=1), counts.sum()
    own = np.einsum("ik,kl,il->i", counts, distance, counts)
    observed = (own[n > 1] / (n[n > 1] - 1)).sum() / total
    expected = counts.sum(axis=0) @ distance @ counts.sum(axis=0) / (total * (total - 1))
    return _ratio(float(observed), float(expected))


def _interval_disagreement(item: Indices, rating: Floats, n_rated: Indices) -> float:
    """Return the mean squared difference within items without forming pairs."""
    n = n_rated[item]
    mean = np.bincount(item, rating, len(n_rated)) / np.maximum(n_rated, 1)
    return float((2 * (rating - mean[item]) ** 2 * n / (n - 1)).sum() / len(rating))


def _distance(frequency: Floats, scale: str) -> Floats:
    if scale == "nominal":
        return 1 - np.eye(len(frequency))
    # From level k to level l: all ratings between, and half of those at either end.
    middle = np.cumsum(frequency) - frequency / 2
    distance: Floats = (middle[:, None] - middle) ** 2
    return distance


def _ratio(observed: float, expected: float) -> float | None:
    return 1 - observed / expected if expected > 0 else None


def intraclass_correlation(ratings: Floats) -> tuple[float, float] | None:
    """Return the reliability of one annotator and of the mean of all: ICC(2,1) and ICC(2,k).

    Shrout and Fleiss (1979), Psychological Bulletin 86(2):420-428: annotators drawn at random,
    absolute agreement.

    Parameters
    ----------
    ratings : ndarray of float64, shape (n_items, n_annotators)

    Returns
    -------
    tuple of float, or None
        None for fewer than two items or annotators, or no variance at all.
    """
    n, k = ratings.shape
    if n < 2 or k < 2:
        return None
    rows, columns, grand = ratings.mean(axis=1), ratings.mean(axis=0), ratings.mean()
    between = k * ((rows - grand) ** 2).sum() / (n - 1)
    judges = n * ((columns - grand) ** 2).sum() / (k - 1)
    rest = ratings - rows[:, None] - columns + grand
    error = (rest**2).sum() / ((n - 1) * (k - 1))
    one = between + (k - 1) * error + k * (judges - error) / n
    all_k = between + (judges - error) / n
    if one <= 0 or all_k <= 0:
        return None
    return float((between - error) / one), float((between - error) / all_k)

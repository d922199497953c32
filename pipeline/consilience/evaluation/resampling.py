"""Intervals by resampling subjects, paired tests, and corrections for multiple comparisons.

Windows of one subject are not independent, so the subject is the unit throughout.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri, stdtrit

from consilience.core.seeds import generator


def subject_weights(n_subjects: int, n_resamples: int) -> NDArray[np.float64]:
    """Return how often each bootstrap resample draws each subject.

    The first row is the sample itself. All methods share the draws, so that the differences
    between them are paired.

    Returns
    -------
    ndarray, shape (1 + n_resamples, n_subjects)
    """
    rng = generator("bootstrap", n_subjects, n_resamples)
    drawn = rng.multinomial(n_subjects, np.full(n_subjects, 1 / n_subjects), n_resamples)
    return np.concatenate([np.ones((1, n_subjects)), drawn])


WORST_SHARE = 0.25  # of the people


def interval(
    values: NDArray[np.float64], n_subjects: int, confidence: float = 0.95
) -> tuple[float, float, float]:
    """Return the estimate and its interval, by default of 95 %.

    The percentiles of the resamples, shifted so that their mean is the estimate, and widened for
    few subjects: by ``sqrt(n / (n - 1))``, because resamples vary less than samples, and by the
    ratio of Student's to the normal quantile (Hesterberg 2015, "What teachers should know about
    the bootstrap"). An interval ends at 1 or -1 where resamples reach it, because it is then the
    bound of the figure.

    Parameters
    ----------
    values : ndarray, shape (1 + n_resamples,)
        The figure under the weights of `subject_weights`.
    n_subjects : int
    confidence : float
        Probability that the interval covers the figure.

    Returns
    -------
    tuple of float
        Estimate, lower and upper end; NaN if the estimate is not finite.
    """
    if not np.isfinite(values[0]):
        return float("nan"), float("nan"), float("nan")
    # Resamples repeat subjects, so they hold fewer different windows per bin: every binned figure,
    # such as calibration error, is biased upwards in all of them. The shift removes that bias.
    upper = (1 + confidence) / 2
    ends = np.nanquantile(values[1:], [1 - upper, upper]) - np.nanmean(values[1:])
    low, high = values[0] + ends * _widening(n_subjects, upper)
    if np.isclose(np.nanmax(values), 1):
        high = min(high, 1.0)
    if np.isclose(np.nanmin(values), -1):
        low = max(low, -1.0)
    return float(values[0]), float(low), float(high)


def _widening(n_subjects: int, upper: float) -> float:
    """Return the factor of a bootstrap interval's ends; 1 for a single subject, which has none."""
    if n_subjects < 2:
        return 1.0
    degrees = n_subjects - 1
    return float(np.sqrt(n_subjects / degrees) * stdtrit(degrees, upper) / ndtri(upper))


def worst_quarter(
    accuracy: NDArray[np.float64], weights: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the mean over the worst quarter of the people under every weighting.

    Parameters
    ----------
    accuracy : ndarray, shape (S,) or (W, S)
        Of each person, the same under every weighting or not.
    weights : ndarray, shape (W, S)
        Of `subject_weights`.

    Returns
    -------
    ndarray, shape (W,)
        A person may belong to the quarter in part, so that it changes smoothly with the people.
    """
    accuracy = np.broadcast_to(accuracy, weights.shape)
    order = np.argsort(accuracy, 1, kind="stable")
    drawn = np.take_along_axis(weights, order, 1)
    size = WORST_SHARE * drawn.sum(1, keepdims=True)
    before = np.cumsum(drawn, 1) - drawn
    share = np.clip(size - before, 0, drawn)
    result: NDArray[np.float64] = (share * np.take_along_axis(accuracy, order, 1)).sum(1)
    return result / size[:, 0]


class Paired(NamedTuple):
    """Difference of two methods on the same subjects.

    Attributes
    ----------
    difference, low, high : float
        Of the pooled figures, first less second, with its 95 % bootstrap interval.
    p_value : float
        Of the two-sided Wilcoxon signed-rank test on the subjects' own differences.
    n_subjects : int
        Subjects that have the figure.
    """

    difference: float
    low: float
    high: float
    p_value: float
    n_subjects: int


def paired(
    first: NDArray[np.float64],
    second: NDArray[np.float64],
    first_subjects: NDArray[np.float64],
    second_subjects: NDArray[np.float64],
) -> Paired:
    """Compare a figure of two methods.

    Parameters
    ----------
    first, second : ndarray, shape (1 + n_resamples,)
        The figure under the weights of `subject_weights`.
    first_subjects, second_subjects : ndarray, shape (S,)
        The figure of each subject alone.
    """
    differences = first_subjects - second_subjects
    differences = differences[np.isfinite(differences)]
    # Both methods share the resamples, so that their common variation over subjects cancels.
    n_subjects = len(differences)
    bounds = interval(first - second, n_subjects)
    return Paired(*bounds, signed_rank(differences), n_subjects)


def signed_rank(differences: NDArray[np.float64]) -> float:
    """Return the two-sided p of Wilcoxon's signed-rank test; 1 if no difference is left.

    Exact for up to 50 differences, then by the normal approximation (`scipy.stats.wilcoxon`).
    Differences of 0 are dropped (Wilcoxon 1945); those below a billionth are rounding.
    """
    differences = np.round(differences, 9)
    differences = differences[differences != 0]
    if not len(differences):
        return 1.0
    from scipy.stats import wilcoxon  # takes a second to import, and stages do not need it

    return float(wilcoxon(differences, zero_method="wilcox", method="auto").pvalue)


def holm(p_values: Mapping[str, float]) -> dict[str, float]:
    """Return p values adjusted for a family of comparisons (Holm 1979), of which NaN are not part.

    The k-th smallest of n is multiplied by ``n - k + 1``, never falls below a smaller one's and
    never exceeds 1.
    """
    finite = sorted((p, name) for name, p in p_values.items() if np.isfinite(p))
    adjusted = dict.fromkeys(p_values, float("nan"))
    largest = 0.0
    for place, (p, name) in enumerate(finite):
        largest = max(largest, min(1.0, p * (len(finite) - place)))
        adjusted[name] = largest
    return adjusted

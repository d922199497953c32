"""Intervals by resampling subjects: windows of one person are not independent."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pipeline.seeds import generator


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


def interval(values: NDArray[np.float64]) -> tuple[float, float, float]:
    """Return the estimate and its 95 % percentile interval from values (1 + n_resamples,)."""
    if not np.isfinite(values[0]):
        return float("nan"), float("nan"), float("nan")
    low, high = np.nanquantile(values[1:], [0.025, 0.975])
    return float(values[0]), float(low), float(high)

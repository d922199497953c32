"""Plateaus of a signal: stretches in which it does not move."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]

QUANTUM_QUANTILE = 0.01  # of the distances between neighbouring values of a signal
SAME = 1e-9  # relative to the signal's range: recorders differ in unit by orders of magnitude


def plateaus(values: Array, rate_hz: float, min_s: float) -> Mask:
    """Return which samples lie within a stretch in which the signal does not move.

    Parameters
    ----------
    values : ndarray of float64, shape (n_samples,)
    rate_hz : float
    min_s : float
        Least duration of the stretch.

    Returns
    -------
    ndarray of bool, shape (n_samples,)
    """
    size = max(min(round(min_s * rate_hz), len(values)), 2)
    still = np.abs(np.diff(values)) <= _tolerance(values)
    edges = np.diff(np.concatenate([[False], still, [False]]).astype(np.int8))
    firsts, lasts = np.flatnonzero(edges == 1), np.flatnonzero(edges == -1)
    long = lasts - firsts + 1 >= size
    changes = np.zeros(len(values) + 1, np.int8)
    changes[firsts[long]] = 1
    changes[lasts[long] + 1] -= 1
    return np.cumsum(changes)[:-1] > 0


def drift_time_s(values: Array, drift_per_s: float) -> float:
    """Return how long a signal that drifts slowly stays at one value of its recorder.

    Parameters
    ----------
    values : ndarray of float64, shape (n_samples,)
        The distances between the values that occur show the recorder's quantum.
    drift_per_s : float
        Slowest drift of the sensor per second, relative to the level.

    Returns
    -------
    float
        In seconds; 0 for a signal that never moves.
    """
    spacings = np.diff(np.unique(values))
    spacings = spacings[spacings > _tolerance(values)]
    level = float(np.median(np.abs(values[values != 0]))) if values.any() else 0.0
    if not len(spacings) or not level:
        return 0.0
    # Not the least: an export may hold a few interpolated values.
    quantum = float(np.quantile(spacings, QUANTUM_QUANTILE))
    return quantum / (drift_per_s * level)


def _tolerance(values: Array) -> float:
    return SAME * max(float(np.ptp(values)), 1e-300) if len(values) else 0.0

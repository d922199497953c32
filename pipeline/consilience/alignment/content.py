"""Delay between a face and its voice, estimated from mouth motion and loudness."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import gaussian_filter1d

from consilience.alignment.clock import Times

METHOD = "content"
ERROR_S = 0.1  # lips move before and after the sound; measured on a few clips
RATE_HZ = 100.0
SMOOTH_S, SLOW_S = 0.04, 0.8  # band-pass: only changes between these time scales are compared
LEAST_OVERLAP_S = 2.0
LEAST_CORRELATION = 0.75
LEAST_LEAD = 0.15  # over the best correlation at delays that differ by more than APART_S
APART_S = 0.15


def estimate_delay_s(
    times_s: Times, trace: Times, other_s: Times, other: Times, max_delay_s: float
) -> float | None:
    """Estimate by how much a trace has to be delayed to match another one.

    The delay with the largest Pearson correlation of the band-passed traces is returned, if that
    correlation is high and no distant delay is nearly as good.

    Parameters
    ----------
    times_s, other_s : ndarray of float64, shape (n,)
        Times of the frames, each on its own clock.
    trace, other : ndarray of float64, shape (n,)
        The traces; NaN where unknown.
    max_delay_s : float
        Largest delay in either direction.

    Returns
    -------
    float or None
        Delay in seconds with an error of about `ERROR_S`; None if the delay is ambiguous.
    """
    if min(np.isfinite(trace).sum(), np.isfinite(other).sum()) < 2:
        return None
    first_s, x = _band_passed(times_s, trace)
    other_first_s, y = _band_passed(other_s, other)
    overlap = np.correlate(np.ones(len(y)), np.ones(len(x)), "full")
    delays = np.arange(-(len(x) - 1), len(y)) / RATE_HZ + other_first_s - first_s
    # A short overlap correlates well by chance.
    usable = (overlap >= LEAST_OVERLAP_S * RATE_HZ) & (np.abs(delays) <= max_delay_s)
    if not usable.any():
        return None
    correlation, delays = _pearson(x, y, overlap)[usable], delays[usable]
    best = int(np.argmax(correlation))
    # Rhythmic speech has several peaks. Without a clear lead the largest may be a wrong one.
    rivals = correlation[np.abs(delays - delays[best]) > APART_S]
    lead = correlation[best] - rivals.max(initial=0.0)
    if correlation[best] < LEAST_CORRELATION or lead < LEAST_LEAD:
        return None
    return float(delays[best])


def _band_passed(times_s: Times, trace: Times) -> tuple[float, Times]:
    """Resample a trace to `RATE_HZ`, remove slow changes, and return it after its first time."""
    finite = np.isfinite(trace)
    grid = np.arange(times_s[finite][0], times_s[finite][-1], 1 / RATE_HZ)
    even = np.interp(grid, times_s[finite], trace[finite])
    # Loudness and motion share syllables, but neither slow trends nor frame noise.
    smooth: Times = gaussian_filter1d(even, SMOOTH_S * RATE_HZ)
    return float(grid[0]), smooth - gaussian_filter1d(even, SLOW_S * RATE_HZ)


def _pearson(x: Times, y: Times, overlap: Times) -> Times:
    """Compute Pearson's correlation of the overlapping parts at every delay.

    Means and variances are those of the overlap, not of the whole traces: a plain
    cross-correlation would favour delays at which loud parts coincide.
    """
    ones_x, ones_y = np.ones(len(x)), np.ones(len(y))
    sum_x, sum_y = np.correlate(ones_y, x, "full"), np.correlate(y, ones_x, "full")
    var_x = np.correlate(ones_y, x * x, "full") - sum_x**2 / overlap
    var_y = np.correlate(y * y, ones_x, "full") - sum_y**2 / overlap
    covariance = np.correlate(y, x, "full") - sum_x * sum_y / overlap
    # Rounding can make the variance of a constant part slightly negative.
    scale = np.sqrt(np.maximum(var_x * var_y, np.finfo(float).tiny))
    correlation: Times = covariance / scale
    return correlation

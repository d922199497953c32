"""The last resort: a face's mouth moves when its voice is heard."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import gaussian_filter1d

from consilience.alignment.clock import Times

METHOD = "content"
TRACES = {"audio": "loudness_db", "video": "mouth_motion"}  # by modality: the feature compared
ERROR_S = 0.1  # lips move before and after the voice is heard; measured on a handful of clips
RATE_HZ = 100.0
SMOOTH_S, SLOW_S = 0.04, 0.8  # changes in between are compared
LEAST_OVERLAP_S = 2.0
LEAST_CORRELATION = 0.75
LEAST_LEAD = 0.15  # over the best correlation at a delay further off than APART_S
APART_S = 0.15


def find_delay_s(
    own_s: Times, own: Times, other_s: Times, other: Times, max_delay_s: float
) -> float | None:
    """Find by how much later one trace shows what another one shows.

    Parameters
    ----------
    own_s, other_s : ndarray of float64, shape (n,)
        Times of the frames, each on its own clock.
    own, other : ndarray, shape (n,)
        The traces; NaN where unknown.
    max_delay_s : float
        Largest delay, either way.

    Returns
    -------
    float or None
        Known to about `ERROR_S`; None if the traces cannot tell: no delay correlates well, or
        another one nearly as well.
    """
    if min(np.isfinite(own).sum(), np.isfinite(other).sum()) < 2:
        return None
    first, x = _fast_changes(own_s, own)
    begin, y = _fast_changes(other_s, other)
    overlap = np.correlate(np.ones(len(y)), np.ones(len(x)), "full")
    delays = np.arange(-(len(x) - 1), len(y)) / RATE_HZ + begin - first
    usable = (overlap >= LEAST_OVERLAP_S * RATE_HZ) & (np.abs(delays) <= max_delay_s)
    if not usable.any():
        return None
    correlation, delays = _pearson(x, y, overlap)[usable], delays[usable]
    best = int(np.argmax(correlation))
    rivals = correlation[np.abs(delays - delays[best]) > APART_S]
    lead = correlation[best] - rivals.max(initial=0.0)
    if correlation[best] < LEAST_CORRELATION or lead < LEAST_LEAD:
        return None
    return float(delays[best])


def _fast_changes(times_s: Times, trace: Times) -> tuple[float, Times]:
    """Return a trace on an even grid without its slow changes, and when the grid begins."""
    known = np.isfinite(trace)
    grid = np.arange(times_s[known][0], times_s[known][-1], 1 / RATE_HZ)
    even = np.interp(grid, times_s[known], trace[known])
    fast: Times = gaussian_filter1d(even, SMOOTH_S * RATE_HZ)
    return float(grid[0]), fast - gaussian_filter1d(even, SLOW_S * RATE_HZ)


def _pearson(x: Times, y: Times, overlap: Times) -> Times:
    """Return the correlation of what overlaps, at every delay."""
    ones_x, ones_y = np.ones(len(x)), np.ones(len(y))
    sum_x, sum_y = np.correlate(ones_y, x, "full"), np.correlate(y, ones_x, "full")
    var_x = np.correlate(ones_y, x * x, "full") - sum_x**2 / overlap
    var_y = np.correlate(y * y, ones_x, "full") - sum_y**2 / overlap
    covariance = np.correlate(y, x, "full") - sum_x * sum_y / overlap
    bounds = np.sqrt(np.maximum(var_x * var_y, np.finfo(float).tiny))
    found: Times = covariance / bounds
    return found

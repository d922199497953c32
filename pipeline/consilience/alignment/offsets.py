"""Clocks from the clock offsets that a container stores."""

from __future__ import annotations

import numpy as np

from consilience.alignment.clock import ClockFit, Times, unaligned
from consilience.alignment.piecewise_fit import clock_from_segments, fit_segments
from consilience.schema.params.alignment import AlignmentParams

METHOD = "clock offsets"
FLOOR_S = 1e-4  # accuracy of an offset measured by a few round trips on a local network


def fit_offsets(
    anchors_s: Times,
    params: AlignmentParams,
    span_s: tuple[float, float],
    rate_hz: float | None = None,
) -> ClockFit:
    """Fit a clock to pairs of native and session time that a container stores.

    Parameters
    ----------
    anchors_s : ndarray of float64, shape (n_anchors, 2)
        Native and session times; rows with a non-finite value are ignored.
    params : AlignmentParams
        Tolerance and largest drift; offsets may be of any size.
    span_s : tuple of 2 floats
        Native times of the recording's first and last sample.
    rate_hz : float or None
        Sampling rate; half a sample is tolerated even if it exceeds `params.tolerance_ms`.

    Returns
    -------
    ClockFit
    """
    anchors = anchors_s[np.isfinite(anchors_s).all(axis=1)]
    if not len(anchors):
        return unaligned(METHOD, "the container has no clock offsets")
    # Sorted and without repeated native times, as `fit_segments` requires.
    _, first = np.unique(anchors[:, 0], return_index=True)
    native, session = anchors[first].T
    segments = fit_segments(native, session, FLOOR_S, params)
    tolerance_ms = params.sample_tolerance_ms(rate_hz)
    return clock_from_segments(METHOD, segments, span_s, FLOOR_S, tolerance_ms, params)

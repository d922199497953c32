"""A recording's clock from clock offsets that its container recorded."""

from __future__ import annotations

import numpy as np

from consilience.alignment.clock import ClockFit, Times, unaligned
from consilience.alignment.piecewise_fit import clock_from_segments, fit_segments
from consilience.schema.params.alignment import AlignmentParams

METHOD = "clock offsets"
FLOOR_S = 1e-4  # what an offset is worth that a few round trips on a local network measured


def fit_offsets(
    anchors_s: Times,
    params: AlignmentParams,
    span_s: tuple[float, float],
    rate_hz: float | None = None,
) -> ClockFit:
    """Fit a clock to pairs of native and session time that a container recorded.

    Parameters
    ----------
    anchors_s : ndarray of float64, shape (n_anchors, 2)
    params : AlignmentParams
        Tolerance and bounds; offsets may be of any size.
    span_s : tuple of 2 floats
        Native times of the recording's first and last sample.
    rate_hz : float or None
        Sampling rate; half a sample is tolerated even if above `params.tolerance_ms`.
    """
    anchors = anchors_s[np.isfinite(anchors_s).all(axis=1)]
    if not len(anchors):
        return unaligned(METHOD, "the container has no clock offsets")
    _, first = np.unique(anchors[:, 0], return_index=True)
    native, session = anchors[first].T
    parts = fit_segments(native, session, FLOOR_S, params)
    return clock_from_segments(
        METHOD, parts, span_s, FLOOR_S, params.sample_tolerance_ms(rate_hz), params
    )

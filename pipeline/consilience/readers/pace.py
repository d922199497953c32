"""Pace of a sound's time stamps against its nominal sampling rate."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Times = NDArray[np.float64]

STEP_S = 0.05  # a larger step between two blocks is lost sound or a late stamp, not pace
DRIFT_S = 0.005  # a smaller drift over the whole recording is rounding
MAX_PACE = 0.12  # relative: sound of 48 kHz stated as 44.1 kHz differs by 0.088
SPREAD = 0.1  # of the residuals, relative to the drift, up to which the drift is a pace
N_BLOCKS = 8  # fewer do not show a pace


def fit_pace(nominal_s: Times, stamps_s: Times) -> float:
    """Return by how much more time passes on the stamps' clock than samples account for.

    The lateness of the stamps is fitted by a line, without the steps of lost sound. The line is
    a pace if it rises far above the residuals; stamps rounded to milliseconds or stamped on arrival
    scatter instead.

    Parameters
    ----------
    nominal_s : ndarray of float64, shape (n_blocks,)
        Start of each block at the nominal sampling rate.
    stamps_s : ndarray of float64, shape (n_blocks,)
        Time stamp of each block; NaN if it has none.

    Returns
    -------
    float
        Relative: 0.001 if a nominal second lasts 1.001 s on the stamps' clock; 0 if no pace is
        evident.
    """
    stamped = ~np.isnan(stamps_s)
    if np.count_nonzero(stamped) < N_BLOCKS:
        return 0.0
    nominal, late = nominal_s[stamped], (stamps_s - nominal_s)[stamped]
    steps = np.diff(late)
    large = np.abs(steps) > STEP_S
    if large.all():
        return 0.0
    steps[large] = steps[~large].mean()
    drift = np.concatenate([[0.0], np.cumsum(steps)])
    # Centred, so that large time stamps do not cost digits in the sums of squares.
    centred = nominal - nominal.mean()
    squares = float(centred @ centred)
    if not squares:
        return 0.0
    pace = float(centred @ (drift - drift.mean())) / squares
    residuals = drift - drift.mean() - pace * centred
    total_s = abs(pace) * float(np.ptp(nominal))
    is_pace = total_s > DRIFT_S and residuals.std() < SPREAD * total_s and abs(pace) < MAX_PACE
    return pace if is_pace else 0.0

"""Counting features from what is usual for the person recorded.

People differ more in how they look and sound than in how that changes with what they feel. In a
recording that holds several episodes the median over time is close to the person's neutral state;
in a clip of a single expression it would be the expression itself.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]


def from_median(values: Array, usual: NDArray[np.bool_]) -> Array:
    """Return features less their medians over some frames.

    Parameters
    ----------
    values : ndarray of float32, shape (n_frames, n_features)
        NaN where there is no valid observation.
    usual : ndarray of bool, shape (n_frames,)
        Valid frames to take the medians over; without any, the values stay as they are.
    """
    if not usual.any():
        return values
    return np.asarray(values - np.median(values[usual], axis=0), np.float32)

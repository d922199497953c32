"""Features relative to a person's baseline.

People differ more in how they look and sound than each of them changes with emotion. In a recording
of several episodes, the median over time is close to the person's neutral state. In a clip of a
single expression it would be the expression itself.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from consilience.core.scratch import FRAMES_BYTES, blocks, empty

Array = NDArray[np.float32]


def subtract_median(values: Array, reference: NDArray[np.bool_]) -> Array:
    """Subtract from each feature its median over the reference frames.

    Parameters
    ----------
    values : ndarray of float32, shape (n_frames, n_features)
        NaN without a valid observation.
    reference : ndarray of bool, shape (n_frames,)
        Valid frames for the medians; without any, the values are returned unchanged.

    Returns
    -------
    ndarray of float32, shape (n_frames, n_features)
    """
    if not reference.any():
        return values
    medians = [np.median(_column(values, index)[reference]) for index in range(values.shape[1])]
    counted: Array = empty(values.shape, np.float32, FRAMES_BYTES)
    for rows in blocks(values, counted):
        counted[rows] = values[rows] - np.array(medians, np.float32)
    return counted


def _column(values: Array, index: int) -> Array:
    """Return one feature in memory."""
    column = np.empty(len(values), np.float32)
    for rows in blocks(values):
        column[rows] = values[rows, index]
    return column

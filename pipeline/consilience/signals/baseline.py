"""Features relative to a person's baseline.

People differ more in how they look and sound than each of them changes with emotion. In a recording
of several episodes, the median over time is close to the person's neutral state. In a clip of a
single expression it would be the expression itself.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

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
    # Feature by feature, because a median needs a copy of its values.
    medians = [np.median(feature[reference]) for feature in values.T]
    return np.asarray(values - np.array(medians, np.float32), np.float32)

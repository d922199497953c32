"""Spectrograms without missing frames, for convolutions over time."""

from __future__ import annotations

import numpy as np

from consilience.inputs.base import Array, finite


def inputs(windows: Array) -> Array:
    """Return bands over frames, shape (n_windows, n_bands, n_frames).

    Observed frames are moved together and repeated until the window is full, so that statistics
    over time depend on them alone. 0 where nothing was observed.
    """
    valid = np.isfinite(windows).all(axis=2)
    # A stable sort moves observed frames to the front and keeps their order.
    first = np.argsort(~valid, axis=1, kind="stable")
    turn = np.arange(windows.shape[1]) % np.maximum(valid.sum(axis=1, keepdims=True), 1)
    order = np.take_along_axis(first, turn, axis=1)
    repeated = np.take_along_axis(windows, order[..., None], axis=1)
    return finite(repeated.transpose(0, 2, 1))

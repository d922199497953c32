"""Samples of signals, for networks that filter them."""

from __future__ import annotations

from consilience.inputs.base import Array, finite


def inputs(windows: Array) -> Array:
    """Return channels over samples, shape (n_windows, n_channels, n_samples); NaN becomes 0."""
    return finite(windows.transpose(0, 2, 1))

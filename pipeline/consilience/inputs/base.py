"""Shared code of the functions of model inputs.

A function of model inputs is the module-level ``inputs`` of a file of this package. It maps
windows, float32, shape (n_windows, n_frames, n_features), NaN where nothing was observed, to
float32, shape (n_windows, ...), finite wherever a window has a valid frame. Stages that cut windows
start without a library of networks, so these modules import NumPy alone.

The input of a window depends on no other window, and on no number of threads: sums are NumPy's own,
since those of a linear algebra library depend on both.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]


def finite(values: Array) -> Array:
    """Return values with 0 instead of NaN and infinities, contiguous."""
    return np.nan_to_num(np.ascontiguousarray(values), nan=0.0, posinf=0.0, neginf=0.0)


@dataclass(frozen=True)
class Series:
    """Features over the time of some windows, time last, which sums and sorting need for speed.

    Attributes
    ----------
    values : ndarray of float32, shape (n_windows, n_features, n_frames)
        0 where not valid.
    valid : ndarray of bool, shape (n_windows, n_features, n_frames)
    count : ndarray of int64, shape (n_windows, n_features)
        Valid frames.
    """

    values: Array
    valid: NDArray[np.bool_]
    count: NDArray[np.int64]

    @classmethod
    def of(cls, windows: Array) -> Series:
        """Return the features of windows, shape (n_windows, n_frames, n_features)."""
        rows = np.ascontiguousarray(windows.transpose(0, 2, 1))
        valid = np.isfinite(rows)
        return cls(np.where(valid, rows, np.float32(0)), valid, valid.sum(axis=2))

    def steps(self) -> Series:
        """Return the differences between neighbouring frames, valid where both frames are."""
        both = self.valid[..., 1:] & self.valid[..., :-1]
        steps = np.where(both, np.diff(self.values, axis=2), np.float32(0))
        return Series(steps, both, both.sum(axis=2))

    def mean(self, values: Array) -> Array:
        """Return the mean over valid frames of values that are 0 elsewhere; 0 without any."""
        mean: Array = values.sum(axis=2) / np.maximum(self.count, 1).astype(np.float32)
        return mean

    def centred(self, values: Array) -> Array:
        """Subtract the mean over valid frames from values, 0 elsewhere."""
        values = np.where(self.valid, values, np.float32(0))
        return np.where(self.valid, values - self.mean(values)[..., None], np.float32(0))

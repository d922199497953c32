"""Overlapping frames on an evenly sampled signal."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class FrameGrid:
    """Positions of overlapping frames on an even sample grid.

    Attributes
    ----------
    starts : ndarray of intp, shape (n_frames,)
        First sample of each frame.
    size : int
        Samples per frame.
    centres_s : ndarray of float64, shape (n_frames,)
        Centre of each frame, in seconds from the first sample.
    """

    starts: NDArray[np.intp]
    size: int
    centres_s: Array

    @classmethod
    def over(cls, n_samples: int, rate_hz: float, window_s: float, hop_s: float) -> FrameGrid:
        """Return as many frames of `window_s`, every `hop_s`, as fit into `n_samples`.

        A signal shorter than a frame gives one frame of its own length.
        """
        size = min(round(window_s * rate_hz), n_samples)
        n_frames = 1 + int((n_samples - size) / (hop_s * rate_hz))
        # Each start is rounded by itself, so that a fractional hop does not accumulate an error.
        starts = np.rint(np.arange(n_frames) * hop_s * rate_hz).astype(np.intp)
        centres_s: Array = np.asarray((starts + (size - 1) / 2) / rate_hz, np.float64)
        return cls(starts, size, centres_s)

    def cut(self, values: Array) -> Array:
        """Return the samples of every frame, shape (n_frames, size)."""
        windows: Array = np.lib.stride_tricks.sliding_window_view(values, self.size)[self.starts]
        return windows

    def share(self, mask: Mask) -> Array:
        """Return the share of each frame's samples at which `mask` is true, shape (n_frames,)."""
        # A cumulative sum counts the samples of all frames at once, however much they overlap.
        before = np.concatenate([[0], np.cumsum(mask)])
        share: Array = (before[self.starts + self.size] - before[self.starts]) / self.size
        return share

"""Overlapping frames of a sound, centred on multiples of a hop; the ends are mirrored."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]

CHUNK = 512  # frames analysed at a time: their spectra fit into a processor's cache


def chunks(n_samples: int, hop: int, size: int = CHUNK) -> Iterator[range]:
    """Yield the numbers of a sound's frames, `size` at a time."""
    n_frames = n_samples // hop + 1
    for first in range(0, n_frames, size):
        yield range(first, min(first + size, n_frames))


def stretch(sound: Array, numbers: range, size: int, hop: int) -> Array:
    """Return the samples of consecutive frames.

    Parameters
    ----------
    sound : ndarray of float32, shape (n_samples,)
        Longer than half a frame.
    numbers : range
        Of the frames.
    size, hop : int
        Samples of a frame, even, and from one frame to the next.

    Returns
    -------
    ndarray of float32, shape ((len(numbers) - 1) * hop + size,)
    """
    start, stop = numbers[0] * hop - size // 2, numbers[-1] * hop + size // 2
    before, after = max(-start, 0), max(stop - sound.size, 0)
    if not before and not after:
        return sound[start:stop]
    # Mirrored samples may lie beyond the frames' own.
    first, last = max(start - after, 0), max(stop, before + 1)
    padded = np.pad(sound[first:last], (before, after), mode="reflect")
    return padded[start + before - first :][: stop - start]


def framed(samples: Array, size: int, hop: int) -> Array:
    """Return a view of the frames of a stretch, shape (n_frames, size)."""
    return np.lib.stride_tricks.sliding_window_view(samples, size)[::hop]

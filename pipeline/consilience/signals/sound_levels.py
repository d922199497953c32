"""Level of a sound of any length, computed block by block."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from consilience.core.scratch import blocks

Array = NDArray[np.float32]

BLOCK = 2**22  # samples summed at a time
SMALL_BLOCK = 2**16  # samples copied at a time, which fit into a processor's cache


class Levels(NamedTuple):
    """Levels of the samples of a sound that are not NaN.

    Attributes
    ----------
    n_present : int
        Samples that are not NaN.
    low, high : float
        Extremes; 0 without a sample.
    """

    n_present: int
    low: float
    high: float

    @property
    def peak(self) -> float:
        """The largest magnitude."""
        return max(self.high, -self.low)


def levels(sound: Array) -> Levels:
    """Return the extremes of a sound, shape (n_samples,)."""
    parts = [(block.size, block.min(), block.max()) for block in _present(sound, sound)]
    if not parts:
        return Levels(0, 0.0, 0.0)
    sizes, lows, highs = zip(*parts, strict=True)
    return Levels(sum(sizes), float(min(lows)), float(max(highs)))


def offset(sound: Array, recorded: Array | None = None) -> float:
    """Return the mean of a sound, except where a recording of the same length is NaN; 0 if it is.

    Parameters
    ----------
    sound : ndarray of float32, shape (n_samples,)
    recorded : ndarray of float32, shape (n_samples,), optional
        The sound itself by default.
    """
    present = _present(sound, sound if recorded is None else recorded)
    sizes, sums = 0, 0.0
    for block in present:
        sizes += block.size
        sums += float(block.mean()) * block.size
    return sums / max(sizes, 1)


def variance(sound: Array) -> float:
    """Return the variance of a sound in which NaN counts as silence."""
    mean, total = 0.0, 0.0  # of all samples so far: their mean, and the sum of squares about it
    for places in blocks(sound, step=SMALL_BLOCK):
        block, here = sound[places], sound[places].mean()
        if np.isnan(here):
            block = np.where(np.isnan(block), np.float32(0), block)
            here = block.mean()
        centred = block - here
        apart = float(here) - mean
        total += float(centred @ centred) + apart**2 * places.start * block.size / places.stop
        mean += apart * block.size / places.stop
    return total / max(sound.size, 1)


def _present(sound: Array, recorded: Array) -> Iterator[Array]:
    """Yield blocks of the samples where a recording is not NaN, those that are not empty."""
    for places in blocks(sound, recorded, step=BLOCK):
        block, marks = sound[places], recorded[places]
        # A sum is NaN if a number is, and faster than a mask.
        present = block[~np.isnan(marks)] if np.isnan(marks.sum()) else block
        if present.size:
            yield present

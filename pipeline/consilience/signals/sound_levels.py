"""Level of a sound of any length, computed block by block."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import scipy.ndimage
from numpy.typing import NDArray

from consilience.core.scratch import blocks, empty

Array = NDArray[np.float32]

OFFSET_STEP_S, OFFSET_MEMORY = 0.02, 50  # the offset is the mean over so many of these steps
OFFSET_STEPS = 256  # computed at a time
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


def running_level(values: Array, size: int, count: int) -> Array:
    """Return the level that the loudest of the latest frames reach.

    Parameters
    ----------
    values : ndarray of float32, shape (n_frames,)
        Level of each frame.
    size : int
        Latest frames, each one itself included.
    count : int
        Of the loudest ones; before as many frames, the level is minus infinity.
    """
    level: Array = scipy.ndimage.rank_filter(
        values, -count, size, mode="constant", cval=-np.inf, origin=(size - 1) // 2
    )
    return level


def without_offset(sound: Array, recorded: Array, rate_hz: float) -> Array:
    """Return a sound without its offset, the mean of the last second; linear in the sound.

    Parameters
    ----------
    sound, recorded : ndarray of float32, shape (n_samples,)
        NaN in `recorded` marks lost samples, at which the result is 0.
    rate_hz : float
    """
    size = max(round(OFFSET_STEP_S * rate_hz), 1)
    before = _running_means(sound, recorded, size)
    ramp = (np.arange(size) / size).astype(np.float32)
    result: Array = empty(sound.size, np.float32)
    for places in blocks(sound, recorded, result, step=OFFSET_STEPS * size):
        first, n_steps = places.start // size, -(-(places.stop - places.start) // size)
        # The offset moves to each mean over the step after it, so that it has no jump.
        start, end = before[first : first + n_steps], before[first + 1 : first + n_steps + 1]
        offset = (start[:, None] + (end - start)[:, None] * ramp).ravel()
        block, marks = result[places], recorded[places]
        np.subtract(sound[places], offset[: block.size], out=block)
        if np.isnan(marks.sum()):
            block[np.isnan(marks)] = 0
    return result


def _running_means(sound: Array, recorded: Array, size: int) -> Array:
    """Return means of the last second of a sound before the last two borders of steps.

    Parameters
    ----------
    sound, recorded : ndarray of float32, shape (n_samples,)
        NaN in `recorded` marks samples that do not count.
    size : int
        Samples of a step.

    Returns
    -------
    ndarray of float32, shape (n_steps + 1,)
        Number k is the mean before step k - 1; the first two are that of the first step.
    """
    n_steps = -(-sound.size // size)
    sums, counts = np.zeros(n_steps + 1), np.zeros(n_steps + 1)
    for places in blocks(sound, recorded, step=OFFSET_STEPS * size):
        block, marks = sound[places], recorded[places]
        lost = np.isnan(marks) if np.isnan(marks.sum()) else None
        present = block if lost is None else np.where(lost, np.float32(0), block)
        starts = np.arange(0, block.size, size)
        steps = slice(places.start // size + 1, places.start // size + 1 + len(starts))
        sums[steps] = np.add.reduceat(present, starts)
        sizes = np.diff(starts, append=block.size)
        counts[steps] = sizes if lost is None else sizes - np.add.reduceat(lost.astype(int), starts)
    # The first step has no earlier one: its own mean is used.
    sums[0], counts[0] = (sums[1], counts[1]) if n_steps else (0.0, 0.0)
    total, n = np.cumsum(sums), np.cumsum(counts)
    total[OFFSET_MEMORY:] -= total[:-OFFSET_MEMORY].copy()
    n[OFFSET_MEMORY:] -= n[:-OFFSET_MEMORY].copy()
    running = total / np.maximum(n, 1)
    return np.concatenate([running[:1], running[:-1]]).astype(np.float32)


def _present(sound: Array, recorded: Array) -> Iterator[Array]:
    """Yield blocks of the samples where a recording is not NaN, those that are not empty."""
    for places in blocks(sound, recorded, step=BLOCK):
        block, marks = sound[places], recorded[places]
        # A sum is NaN if a number is, and faster than a mask.
        present = block[~np.isnan(marks)] if np.isnan(marks.sum()) else block
        if present.size:
            yield present

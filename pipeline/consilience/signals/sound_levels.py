"""Level of a sound of any length, computed block by block."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from consilience.core.scratch import blocks

Array = NDArray[np.float32]

BLOCK = 2**22  # samples summed at a time


class Levels(NamedTuple):
    """Levels of the samples of a sound that are not NaN.

    Attributes
    ----------
    n_present, n_lost : int
        Samples that are numbers, and that are NaN.
    low, high : float
        Extremes; 0 without a sample.
    mean, variance : float
    """

    n_present: int
    n_lost: int
    low: float
    high: float
    mean: float
    variance: float

    @property
    def peak(self) -> float:
        """The largest magnitude."""
        return max(self.high, -self.low)

    @property
    def whole_variance(self) -> float:
        """The variance of the whole sound, if lost samples are silence."""
        present = self.n_present / max(self.n_present + self.n_lost, 1)
        return present * (self.variance + (1 - present) * self.mean**2)


def levels(sound: Array, recorded: Array | None = None) -> Levels:
    """Measure a sound, shape (n_samples,); by default, its own NaN are those of the recording."""
    recorded = sound if recorded is None else recorded
    parts = []
    for places in blocks(sound, recorded, step=BLOCK):
        block, lost = sound[places], np.isnan(recorded[places])
        present = block[~lost] if lost.any() else block
        if present.size:
            measured = (present.min(), present.max(), present.mean(), present.var())
            parts.append((present.size, *map(float, measured)))
    if not parts:
        return Levels(0, sound.size, 0.0, 0.0, 0.0, 0.0)
    sizes, lows, highs, averages, variances = np.array(parts).T
    shares = sizes / sizes.sum()
    mean = float(shares @ averages)
    variance = float(shares @ (variances + (averages - mean) ** 2))
    n_present = int(sizes.sum())
    return Levels(n_present, sound.size - n_present, lows.min(), highs.max(), mean, variance)

"""The latest samples of a stream, in memory of a fixed size."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

Array = NDArray[np.float64]


class RingBuffer:
    """The latest samples of a stream with their times; older ones are overwritten.

    Samples lie in one piece, so that they are read without a copy: the memory has room for twice
    the capacity, and the latest half moves to its beginning when the end is reached.

    Parameters
    ----------
    capacity : int
        Samples that are kept at least.
    n_channels : int
    dtype : dtype
    """

    def __init__(self, capacity: int, n_channels: int, dtype: DTypeLike) -> None:
        self.capacity = capacity
        self._values: NDArray[Any] = np.zeros((2 * capacity, n_channels), dtype)
        self._times_s: Array = np.zeros(2 * capacity)
        self._start = self._stop = 0
        self.first_s = np.inf  # time of the first sample that was ever appended

    def append(self, values: NDArray[Any], times_s: Array) -> int:
        """Append samples, and return how many were kept.

        Parameters
        ----------
        values : ndarray, shape (n, n_channels)
        times_s : ndarray of float64, shape (n,)
            Samples that are not later than the one before are left out: a sender that comes back
            may repeat some.
        """
        latest = np.maximum.accumulate(np.append(self.last_s, times_s))
        later = times_s > latest[:-1]
        values, times_s = values[later], times_s[later]
        n_kept = len(times_s)
        if n_kept:
            self.first_s = min(self.first_s, float(times_s[0]))
        values, times_s = values[-self.capacity :], times_s[-self.capacity :]
        if self._stop + len(times_s) > len(self._times_s):
            kept = min(self._stop - self._start, self.capacity - len(times_s))
            for held in (self._values, self._times_s):
                held[:kept] = held[self._stop - kept : self._stop].copy()
            self._start, self._stop = 0, kept
        end = self._stop + len(times_s)
        self._values[self._stop : end], self._times_s[self._stop : end] = values, times_s
        self._stop = end
        self._start = max(self._start, end - self.capacity)
        return n_kept

    @property
    def values(self) -> NDArray[Any]:
        """The samples, a view, shape (n, n_channels)."""
        return self._values[self._start : self._stop]

    @property
    def times_s(self) -> Array:
        """Their times, a view, shape (n,)."""
        return self._times_s[self._start : self._stop]

    @property
    def last_s(self) -> float:
        """The time of the latest sample; -inf without one."""
        return float(self._times_s[self._stop - 1]) if self._stop > self._start else -np.inf

    @property
    def nbytes(self) -> int:
        """Bytes of memory."""
        return self._values.nbytes + self._times_s.nbytes

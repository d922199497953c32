"""The latest samples of a stream, in memory of a fixed size."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from consilience.readers.stream import break_s

JITTER_S = 0.1  # by which a time stamp may precede the one before

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
    rate_hz : float
        Nominal; 0 for samples at irregular times.
    """

    def __init__(
        self, capacity: int, n_channels: int, dtype: DTypeLike, rate_hz: float = 0.0
    ) -> None:
        self.capacity, self.rate_hz = capacity, rate_hz
        self._values: NDArray[Any] = np.zeros((2 * capacity, n_channels), dtype)
        self._times_s: Array = np.zeros(2 * capacity)
        self._positions: NDArray[np.int64] = np.zeros(2 * capacity, np.int64)
        self._start = self._stop = 0
        self.first_s = np.inf  # time of the first sample that was ever appended

    def append(self, values: NDArray[Any], times_s: Array) -> int:
        """Append samples, and return how many were kept.

        Parameters
        ----------
        values : ndarray, shape (n, n_channels)
        times_s : ndarray of float64, shape (n,)
            Samples that are not later than those before are left out: a sender that comes back may
            repeat some. In a stream with a rate, `JITTER_S` of it is jitter.
        """
        latest_s = np.maximum.accumulate(np.append(self.last_s, times_s))[:-1]
        later = times_s > latest_s - (JITTER_S if self.rate_hz > 0 else 0.0)
        values, times_s = values[later], times_s[later]
        n_kept = len(times_s)
        positions = self._positions_of(times_s)
        if n_kept:
            self.first_s = min(self.first_s, float(times_s[0]))
        values, times_s = values[-self.capacity :], times_s[-self.capacity :]
        positions = positions[-self.capacity :]
        if self._stop + len(times_s) > len(self._times_s):
            kept = min(self._stop - self._start, self.capacity - len(times_s))
            for held in (self._values, self._times_s, self._positions):
                held[:kept] = held[self._stop - kept : self._stop].copy()
            self._start, self._stop = 0, kept
        end = self._stop + len(times_s)
        self._values[self._stop : end], self._times_s[self._stop : end] = values, times_s
        self._positions[self._stop : end] = positions
        self._stop = end
        self._start = max(self._start, end - self.capacity)
        return n_kept

    def _positions_of(self, times_s: Array) -> NDArray[np.int64]:
        """Return the positions of new samples; see `positions`."""
        is_first = self._stop == self._start
        before_s = np.nan if is_first else self.last_s
        steps_s = np.diff(times_s, prepend=before_s)
        steps = np.ones(len(times_s), np.int64)
        if self.rate_hz > 0:
            lost = steps_s > break_s(self.rate_hz)
            steps[lost] = np.maximum(np.rint(steps_s[lost] * self.rate_hz), 1)
        last = -1 if is_first else int(self._positions[self._stop - 1])
        return last + np.cumsum(steps)

    @property
    def values(self) -> NDArray[Any]:
        """The samples, a view, shape (n, n_channels)."""
        return self._values[self._start : self._stop]

    @property
    def times_s(self) -> Array:
        """Their times, a view, shape (n,)."""
        return self._times_s[self._start : self._stop]

    @property
    def positions(self) -> NDArray[np.int64]:
        """The number of samples before each in the stream if none had been lost, shape (n,).

        Unlike times they have no jitter. Losses are those that `without_jitter` finds.
        """
        return self._positions[self._start : self._stop]

    @property
    def last_s(self) -> float:
        """The time of the last sample; -inf without one."""
        return float(self._times_s[self._stop - 1]) if self._stop > self._start else -np.inf

    @property
    def nbytes(self) -> int:
        """Bytes of memory."""
        return self._values.nbytes + self._times_s.nbytes + self._positions.nbytes

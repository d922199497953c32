"""Times of the samples of a recording that was interrupted: one representation for every format.

A recording consists of segments of consecutive samples. EDF+D, BrainVision, EEGLAB and FIF each
state in their own way when a segment begins.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from consilience.core.scratch import blocks, empty

Array = NDArray[np.float64]
Gaps = list[tuple[int, float]]  # the first sample after each, and its duration in seconds


@dataclass(frozen=True)
class Timeline:
    """Segments of consecutive samples, with the time at which each begins.

    Attributes
    ----------
    rate_hz : float
        Sampling rate within a segment.
    firsts : ndarray of intp, shape (n_segments,)
        Index of the first sample of each segment; the first is 0, and they increase.
    starts_s : ndarray of float64, shape (n_segments,)
        Time of that sample on the recording's clock in seconds.
    """

    rate_hz: float
    firsts: NDArray[np.intp]
    starts_s: Array

    @classmethod
    def continuous(cls, rate_hz: float) -> Self:
        """Return the timeline of a recording without interruptions, from time 0."""
        return cls(rate_hz, np.zeros(1, np.intp), np.zeros(1))

    @classmethod
    def with_gaps(cls, rate_hz: float, gaps: Gaps) -> Self:
        """Return the timeline of a recording with gaps.

        Parameters
        ----------
        rate_hz : float
        gaps : list of (int, float)
            Index of the first sample after each gap, and the gap's duration in seconds. A gap
            before the first sample does not matter: times count from there.
        """
        total_s: dict[int, float] = {0: 0.0}
        for first, duration_s in gaps:
            if first <= 0:
                continue
            total_s[first] = total_s.get(first, 0.0) + duration_s
        firsts = np.array(sorted(total_s), np.intp)
        lost_s = np.cumsum([total_s[first] for first in sorted(total_s)])
        return cls(rate_hz, firsts, firsts / rate_hz + lost_s)

    @property
    def interrupted(self) -> bool:
        """Whether there is more than one segment."""
        return len(self.firsts) > 1

    def times_s(self, n_samples: int) -> Array:
        """Return the time of each sample in seconds, shape (n_samples,)."""
        times_s: Array = empty(n_samples, np.float64)
        for rows in blocks(times_s):
            times_s[rows] = self.at(np.arange(rows.start, rows.stop))
        return times_s

    def at(self, positions: Array | NDArray[np.intp]) -> Array:
        """Return the times of positions in the file.

        Parameters
        ----------
        positions : ndarray of float64 or intp, shape (n_positions,)
            In samples from the first, as if none were missing; fractions are between two samples.

        Returns
        -------
        ndarray of float64, shape (n_positions,)
            Seconds on the recording's clock.
        """
        segment = np.maximum(np.searchsorted(self.firsts, positions, side="right") - 1, 0)
        within: Array = self.starts_s[segment] + (positions - self.firsts[segment]) / self.rate_hz
        return within

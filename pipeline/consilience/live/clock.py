"""Clock of a stream's sender, corrected while it is received."""

from __future__ import annotations

from collections import deque
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from consilience.readers.lsl import RESET_S

Array = NDArray[np.float64]

MOST = 60  # measurements that count: five minutes at LSL's pace of one in 5 s
LEAST_SPAN_S = 30.0  # from which a drift is estimated
MAX_DRIFT = 1e-3  # seconds per second; larger ones are errors of measurement


class OnlineClock:
    """Offset from a sender's clock to the session's, by a robust line through measurements.

    LSL measures the offset every few seconds, with an error that the delays of the network cause.
    The line is that of Theil and Sen, which wrong measurements of up to 29 % do not move. A change
    above `RESET_S` means that the sender's clock was set: the measurements before do not count.
    """

    def __init__(self) -> None:
        self._offsets: deque[tuple[float, float]] = deque(maxlen=MOST)
        self._line = (0.0, 0.0, 0.0)  # at_s, offset_s and drift
        self.n_resets = 0

    def add(self, at_s: float, offset_s: float) -> None:
        """Add a measurement.

        Parameters
        ----------
        at_s : float
            Time on the sender's clock.
        offset_s : float
            Seconds to add to it for the session's time.
        """
        if self._offsets and abs(offset_s - self._offsets[-1][1]) > RESET_S:
            self._offsets.clear()
            self.n_resets += 1
        self._offsets.append((at_s, offset_s))
        self._line = _robust_line(np.array(self._offsets))

    @property
    def measured(self) -> bool:
        """Whether the offset was measured."""
        return bool(self._offsets)

    @property
    def offset_s(self) -> float:
        """The offset at the middle of the measurements."""
        return self._line[1]

    @property
    def drift_ppm(self) -> float:
        """Microseconds by which the offset grows in a second of the sender's time."""
        return 1e6 * self._line[2]

    def to_session(self, stamps_s: Array) -> Array:
        """Convert times of the sender to session time."""
        at_s, offset_s, drift = self._line
        return np.asarray(stamps_s + (offset_s + drift * (stamps_s - at_s)), np.float64)


def _robust_line(measured: Array) -> tuple[float, float, float]:
    """Return a time, the offset there and the drift, of measurements (n, 2)."""
    at_s, offset_s = measured.T
    middle_s = float(np.median(at_s))
    drift = 0.0
    if np.ptp(at_s) >= LEAST_SPAN_S:
        slopes = [
            (offset_s[j] - offset_s[i]) / (at_s[j] - at_s[i])
            for i, j in combinations(range(len(at_s)), 2)
            if at_s[j] - at_s[i] >= LEAST_SPAN_S / 2
        ]
        drift = float(np.clip(np.median(slopes), -MAX_DRIFT, MAX_DRIFT))
    level = float(np.median(offset_s - drift * (at_s - middle_s)))
    return middle_s, level, drift

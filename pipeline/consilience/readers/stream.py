"""The latest samples of a stream that is being received, as an open recording."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from consilience.readers import lsl
from consilience.readers.base import Recording

Array = NDArray[np.float64]

BREAK_S = 0.5  # a longer step means that the stream was lost
BREAK_PERIODS = 2.5  # and so many periods of a slow stream


def without_jitter(stamps_s: Array, rate_hz: float, can_drop_samples: bool) -> Array:
    """Return evenly spaced time stamps between the losses of a stream.

    Unlike those of a file, see `lsl.dejitter`, streams of any rate are lost and found again: a line
    through a loss would move the samples on both sides.

    Parameters
    ----------
    stamps_s : ndarray of float64, shape (n_samples,)
        Increasing.
    rate_hz : float
        Nominal rate; 0 for samples at irregular times, whose stamps are returned unchanged.
    can_drop_samples : bool
        Whether the sender declares that it drops samples: its stamps are exact.
    """
    if rate_hz <= 0 or can_drop_samples or len(stamps_s) < 2:
        return stamps_s.astype(np.float64)
    return lsl.fitted(stamps_s, np.diff(stamps_s) > break_s(rate_hz))


def break_s(rate_hz: float) -> float:
    """Return the step between time stamps above which samples of a stream with a rate were lost."""
    return max(BREAK_S, BREAK_PERIODS / rate_hz)


class StreamRecording(Recording):
    """Samples of a stream with their times on the session clock.

    Parameters
    ----------
    name : str
        Of the stream, for messages.
    channels, units : tuple of str
        One per channel; a unit is empty if the sender declares none.
    rate_hz : float
        Nominal rate; 0 for samples at irregular times.
    samples : ndarray, shape (n_samples, n_channels)
    stamps_s : ndarray of float64, shape (n_samples,)
        On the session clock, increasing.
    can_drop_samples : bool
        Whether the sender, such as a camera, declares that it drops samples.
    picture_size : tuple of int
        Height and width, if a sample is a picture; else (0, 0).
    """

    # The user names the stream of a sensor, so that its channels may have any name.
    selected = True
    start_time = None

    def __init__(
        self,
        name: str,
        channels: tuple[str, ...],
        units: tuple[str, ...],
        rate_hz: float,
        samples: NDArray[Any],
        stamps_s: Array,
        can_drop_samples: bool = False,
        picture_size: tuple[int, int] = (0, 0),
    ) -> None:
        self.path, self.names, self.units = Path(name), channels, units
        self.rate_hz, self.n_samples = rate_hz, len(samples)
        self.samples, self.stamps_s = samples, stamps_s
        self.can_drop_samples, self.picture_size = can_drop_samples, picture_size

    @property
    def file_bytes(self) -> int:
        """The size of the samples, which are in memory."""
        return int(self.samples.nbytes)

    @property
    def stamped(self) -> bool:
        """True: every sample of a stream has a time stamp."""
        return True

    def unit(self, name: str) -> str:
        """Return the unit of a channel as the sender declares it; empty if it declares none."""
        return self.units[self.names.index(name)]

    def times_s(self) -> Array:
        """Return the time stamps without jitter, if the stream has a rate, shape (n_samples,)."""
        return without_jitter(self.stamps_s, self.rate_hz, self.can_drop_samples)

    def stored_samples(self) -> NDArray[Any]:
        """Return all samples as they were received, shape (n_samples, n_channels)."""
        return self.samples

    def _read(self, channels: list[int]) -> Array:
        return self.samples[:, channels].astype(np.float64)

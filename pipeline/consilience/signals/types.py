"""A recording as it passes through a sensor: its header, its samples, its feature frames."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Header:
    """What a file says of a recording before its samples are read.

    Attributes
    ----------
    rate_hz : float or None
        Nominal sampling or frame rate; None for a table without a time axis.
    n_channels : int
        Channels of the signal (1 for a video).
    duration_s : float or None
        Seconds on the recording's own clock.
    start_time : str or None
        ISO 8601 time stamp of the first sample, if the header has one.
    """

    rate_hz: float | None
    n_channels: int
    duration_s: float | None
    start_time: str | None = None


@dataclass(frozen=True)
class Signal:
    """A recording as read.

    Attributes
    ----------
    values : ndarray
        Samples along the first axis; units are the modality's (volts, full scale 1, grey 0-255).
    times_s : ndarray of float64, shape (n_samples,)
        Time stamps on the recording's own clock, in seconds; first sample at 0 unless the
        container says otherwise.
    channels : tuple of str
        Channel names (or ``("grey",)``).
    pulses_s : ndarray of float64, shape (n_pulses,)
        Synchronisation pulses seen in this recording, on the same clock.
    anchors_s : ndarray of float64, shape (n_anchors, 2)
        The recording's own time and the session's at moments for which the container itself
        tells both, such as clock offsets measured while recording.
    """

    values: NDArray[Any]
    times_s: NDArray[np.float64]
    channels: tuple[str, ...]
    pulses_s: NDArray[np.float64] = field(default_factory=lambda: np.empty(0))
    anchors_s: NDArray[np.float64] = field(default_factory=lambda: np.empty((0, 2)))

    def masked(self, channels: Collection[str]) -> Signal:
        """Return the signal with NaN for all that some channels say; other names are ignored."""
        values = np.array(self.values, np.float64)
        values[:, [name in channels for name in self.channels]] = np.nan
        return replace(self, values=values)


@dataclass(frozen=True)
class Features:
    """Feature frames of a recording.

    Attributes
    ----------
    values : ndarray of float32, shape (n_frames, n_features)
        NaN rows are frames without a valid observation.
    times_s : ndarray of float64, shape (n_frames,)
        Centre of each frame on the recording's own clock, increasing.
    names : tuple of str
        One per feature.
    quality : dict of str to float
        Measures with units in their names; ``"quality"`` sums them up in ``[0, 1]``.
    """

    values: NDArray[np.float32]
    times_s: NDArray[np.float64]
    names: tuple[str, ...]
    quality: dict[str, float]

"""Header, samples and feature frames of a recording."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from consilience.core.scratch import blocks, empty

LEVEL_DB = "level_db"  # measure of quality of a sound: its power, which its features may ignore


@dataclass(frozen=True)
class Header:
    """Header of a recording, read without its samples.

    Attributes
    ----------
    rate_hz : float or None
        Nominal sampling or frame rate; None for a table without a time axis.
    n_channels : int
        Channels of the signal (1 for a video).
    duration_s : float or None
        Duration in seconds on the recording's clock; None if not stated.
    start_time : str or None
        ISO 8601 time of the first sample, if the header states it.
    channels : tuple of str
        Standard names of the EEG channels; empty for other sensors.
    """

    rate_hz: float | None
    n_channels: int
    duration_s: float | None
    start_time: str | None = None
    channels: tuple[str, ...] = ()


@dataclass(frozen=True)
class Signal:
    """Samples of a recording.

    Attributes
    ----------
    values : ndarray
        Samples along the first axis, in the unit of the modality (volts, full scale 1, grey 0-255).
    times_s : ndarray of float64, shape (n_samples,)
        Time stamps on the recording's clock in seconds; the first is 0 unless the container states
        otherwise.
    channels : tuple of str
        Channel names (or ``("grey",)``).
    pulses_s : ndarray of float64, shape (n_pulses,)
        Synchronisation pulses detected in the recording, on the same clock.
    anchors_s : ndarray of float64, shape (n_anchors, 2)
        Pairs of recording time and session time that the container states, such as clock offsets
        measured while recording.
    """

    values: NDArray[Any]
    times_s: NDArray[np.float64]
    channels: tuple[str, ...]
    pulses_s: NDArray[np.float64] = field(default_factory=lambda: np.empty(0))
    anchors_s: NDArray[np.float64] = field(default_factory=lambda: np.empty((0, 2)))

    def masked(self, channels: Collection[str]) -> Signal:
        """Return the signal with NaN in some channels; names of other channels are ignored."""
        values = empty(self.values.shape, np.float64)
        listed = [name in channels for name in self.channels]
        for rows in blocks(values, self.values):
            values[rows] = np.where(listed, np.nan, self.values[rows])
        return replace(self, values=values)


@dataclass(frozen=True)
class Features:
    """Feature frames of a recording.

    Attributes
    ----------
    values : ndarray of float32, shape (n_frames, n_features)
        A row of NaN is a frame without a valid observation.
    times_s : ndarray of float64, shape (n_frames,)
        Centre of each frame on the recording's clock, increasing.
    names : tuple of str
        One per feature.
    quality : dict of str to float
        Measures with units in their names; ``"quality"`` combines them into ``[0, 1]``.
    """

    values: NDArray[np.float32]
    times_s: NDArray[np.float64]
    names: tuple[str, ...]
    quality: dict[str, float]

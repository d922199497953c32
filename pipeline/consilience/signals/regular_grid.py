"""Sampled signals with holes: on an even grid, the holes known and, for filters, filled."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from consilience.core.errors import RecordingError
from consilience.readers.packet_counter import GAP
from consilience.signals.types import Signal

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]

MAX_LOST = 0.5  # of a recording's samples


def rate_of(signal: Signal, what: str, least_s: float) -> float:
    """Return the samples a second, gaps left aside.

    Parameters
    ----------
    signal : Signal
    what : str
        Whose signal it is, for the message.
    least_s : float
        The shortest duration that can be used, in seconds.

    Raises
    ------
    RecordingError
        If the signal is too short, its time does not run forward, or most of it is missing.
    """
    n_samples = len(signal.times_s)
    if n_samples < 2:
        raise RecordingError(f"{n_samples} samples", what, "record for longer")
    steps_s = np.diff(signal.times_s)
    if not (steps_s > 0).all():
        raise RecordingError("time stands still or runs back", what, "record each run by itself")
    duration_s = float(signal.times_s[-1] - signal.times_s[0])
    rate_hz = (n_samples - 1) / duration_s
    if gaps(signal.times_s).any():
        rate_hz = round(1 / float(np.median(steps_s)), 6)  # a difference of times is not exact
    expected = round(duration_s * rate_hz) + 1
    if n_samples < (1 - MAX_LOST) * expected:
        raise RecordingError(
            f"{expected - n_samples} of {expected} samples are missing",
            what,
            "check the wireless link, or divide the recording where it was interrupted",
        )
    if duration_s < least_s:
        raise RecordingError(f"{duration_s:.2f} s are too short", what, "record for longer")
    return rate_hz


def gaps(times_s: Array) -> Mask:
    """Say between which samples others are missing, shape (n_samples - 1,)."""
    steps_s = np.diff(times_s)
    wide: Mask = steps_s > GAP * np.median(steps_s)
    return wide


def on_grid(signal: Signal, rate_hz: float) -> tuple[Array, Mask]:
    """Return the samples at an even rate, NaN where none are, and which moments have one.

    Returns
    -------
    values : ndarray of float64, shape (n_moments, n_channels)
    received : ndarray of bool, shape (n_moments,)
    """
    values = np.where(np.isfinite(signal.values), signal.values, np.nan).astype(np.float64)
    place = np.arange(len(values))
    if gaps(signal.times_s).any():
        place = np.rint((signal.times_s - signal.times_s[0]) * rate_hz).astype(np.intp)
    grid = np.full((int(place[-1]) + 1, values.shape[1]), np.nan)
    received = np.zeros(len(grid), bool)
    grid[place], received[place] = values, True
    return grid, received


def filled(values: Array) -> Array:
    """Return the channels with what is not finite interpolated over time; 0 if nothing is."""
    unknown = ~np.isfinite(values)
    whole = np.where(unknown, 0.0, values)
    moments = np.arange(len(values))
    for channel in np.flatnonzero(unknown.any(axis=0) & ~unknown.all(axis=0)):
        hole = unknown[:, channel]
        whole[hole, channel] = np.interp(moments[hole], moments[~hole], values[~hole, channel])
    return whole

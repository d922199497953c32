"""Sampled signals with gaps: resampled to a regular grid, and interpolated for filters."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from consilience.core.errors import RecordingError
from consilience.readers.stamps import GAP
from consilience.signals.types import Signal

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]

LARGEST = 1e15
MAX_LOST = 0.5  # share of a recording's samples


def sampling_rate(signal: Signal, what: str, min_duration_s: float) -> float:
    """Estimate the sampling rate in Hz, ignoring gaps.

    Parameters
    ----------
    signal : Signal
    what : str
        Name of the sensor, for the message.
    min_duration_s : float
        The shortest usable duration, in seconds.

    Raises
    ------
    RecordingError
        If the signal is too short, its time stamps do not increase, or most of it is missing.
    """
    n_samples = len(signal.times_s)
    if n_samples < 2:
        raise RecordingError(f"only {n_samples} samples", what, "record for longer")
    steps_s = np.diff(signal.times_s)
    if not (steps_s > 0).all():
        raise RecordingError("time stamps do not increase", what, "record each run separately")
    duration_s = float(signal.times_s[-1] - signal.times_s[0])
    rate_hz = (n_samples - 1) / duration_s
    if gaps(signal.times_s).any():
        # The median step is unaffected by gaps, but a difference of times has rounding errors.
        rate_hz = round(1 / float(np.median(steps_s)), 6)
    expected = round(duration_s * rate_hz) + 1
    if n_samples < (1 - MAX_LOST) * expected:
        raise RecordingError(
            f"{expected - n_samples} of {expected} samples are missing",
            what,
            "check the wireless link, or divide the recording where it was interrupted",
        )
    if duration_s < min_duration_s:
        raise RecordingError(f"{duration_s:.2f} s are too short", what, "record for longer")
    return rate_hz


def gaps(times_s: Array) -> Mask:
    """Return between which neighbouring samples others are missing, shape (n_samples - 1,)."""
    steps_s = np.diff(times_s)
    wide: Mask = steps_s > GAP * np.median(steps_s)
    return wide


@dataclass(frozen=True)
class EvenSignal:
    """A signal on a regular time grid, its missing samples interpolated; see `even_signal`.

    Attributes
    ----------
    source : callable
        Returns a stretch, float32, shape (n_channels, n), relative to a constant per channel.
    n_samples : int
    received : ndarray of bool, shape (n_samples,)
        Whether a sample was received.
    missing_share : ndarray of float64, shape (n_samples,)
        Share of the channels that are interpolated.
    lost_share : ndarray of float64, shape (n_channels,)
        Share of the samples that a channel lacks, of those that some channel has.
    contact_bad_fraction : float
        Share of the received values that are missing.
    """

    source: Callable[[int, int], NDArray[np.float32]]
    n_samples: int
    received: Mask
    missing_share: Array
    lost_share: Array
    contact_bad_fraction: float

    @property
    def complete(self) -> bool:
        """Whether nothing is missing."""
        return self.contact_bad_fraction == 0 and bool(self.received.all())


def even_signal(signal: Signal, rate_hz: float) -> EvenSignal:
    """Place a signal on a regular time grid and interpolate what is missing.

    Missing are values that were not received, are not finite, or have no square in float32; see
    `interpolated`.
    """
    values = signal.values
    usable = np.abs(values) < LARGEST
    if not gaps(signal.times_s).any() and usable.all():
        n_samples, n_channels = values.shape
        received, complete = (np.broadcast_to(of, n_samples) for of in (True, 0.0))
        source = _offset_free(values)
        return EvenSignal(source, n_samples, received, complete, np.zeros(n_channels), 0.0)
    values, received = to_regular_grid(
        replace(signal, values=np.where(usable, values, np.nan)), rate_hz
    )
    missing = np.isnan(values)
    # Samples that all channels lack were lost in transmission, not at an electrode.
    somewhere = missing[~missing.all(axis=1)]
    return EvenSignal(
        _offset_free(interpolated(values)),
        len(values),
        received,
        missing.mean(axis=1),
        somewhere.mean(axis=0) if len(somewhere) else np.ones(values.shape[1]),
        float(missing[received].mean()),
    )


def _offset_free(values: Array) -> Callable[[int, int], NDArray[np.float32]]:
    # float32 would round what is small beside an electrode's offset.
    offset = np.array(values[:1].T, np.float64)

    def source(start: int, stop: int) -> NDArray[np.float32]:
        stretch = values[start:stop].T
        single = np.empty(stretch.shape, np.float32)
        return np.subtract(stretch, offset, out=single, casting="same_kind")

    return source


def to_regular_grid(signal: Signal, rate_hz: float) -> tuple[Array, Mask]:
    """Place the samples on a regular time grid.

    Parameters
    ----------
    signal : Signal
        ``values`` of shape (n_samples, n_channels).
    rate_hz : float
        Rate of the grid.

    Returns
    -------
    values : ndarray of float64, shape (n_grid, n_channels)
        NaN where no sample was received, or its value is not finite.
    received : ndarray of bool, shape (n_grid,)
        Whether a sample was received.
    """
    values = np.where(np.isfinite(signal.values), signal.values, np.nan).astype(np.float64)
    # Without gaps samples keep their order: rounding of jittered stamps could merge two of them.
    position = np.arange(len(values))
    if gaps(signal.times_s).any():
        position = np.rint((signal.times_s - signal.times_s[0]) * rate_hz).astype(np.intp)
    grid = np.full((int(position[-1]) + 1, values.shape[1]), np.nan)
    received = np.zeros(len(grid), bool)
    grid[position], received[position] = values, True
    return grid, received


def interpolated(values: Array) -> Array:
    """Return a signal without gaps: values that are not finite are interpolated linearly over time.

    Parameters
    ----------
    values : ndarray of float64, shape (n_samples, n_channels)

    Returns
    -------
    ndarray of float64, shape (n_samples, n_channels)
        Constant before the first and after the last finite value; 0 in a channel without any.
    """
    missing = ~np.isfinite(values)
    complete = np.where(missing, 0.0, values)
    index = np.arange(len(values))
    for channel in np.flatnonzero(missing.any(axis=0) & ~missing.all(axis=0)):
        gap = missing[:, channel]
        complete[gap, channel] = np.interp(index[gap], index[~gap], values[~gap, channel])
    return complete

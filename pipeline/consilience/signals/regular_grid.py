"""Sampled signals with gaps: resampled to a regular grid, and interpolated for filters."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from consilience.core.errors import RecordingError
from consilience.core.scratch import blocks, empty, full, release
from consilience.core.wording import counted
from consilience.readers.stamps import GAP
from consilience.signals.types import Signal

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]

LARGEST = 1e15
MAX_STEPS = 2**20  # of a recording, from which the median step is computed
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
        raise RecordingError(f"only {counted(n_samples, 'sample')}", what, "record for longer")
    if not all((steps_s > 0).all() for steps_s in _steps_s(signal.times_s)):
        raise RecordingError("time stamps do not increase", what, "record each run separately")
    duration_s = float(signal.times_s[-1] - signal.times_s[0])
    rate_hz = (n_samples - 1) / duration_s
    if has_gaps(signal.times_s):
        # The median step is unaffected by gaps, but a difference of times has rounding errors.
        rate_hz = round(1 / median_step_s(signal.times_s), 6)
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


def has_gaps(times_s: Array) -> bool:
    """Return whether samples are missing between two neighbours."""
    extremes_s = [(steps_s.min(), steps_s.max()) for steps_s in _steps_s(times_s) if len(steps_s)]
    shortest_s = min((low_s for low_s, _ in extremes_s), default=0.0)
    # The median, which takes longer, is not below the shortest step.
    if all(high_s <= GAP * shortest_s for _, high_s in extremes_s):
        return False
    longest_s = GAP * median_step_s(times_s)
    return any((steps_s > longest_s).any() for steps_s in _steps_s(times_s))


def median_step_s(times_s: Array) -> float:
    """Return the median step between times, of at most `MAX_STEPS` all over the recording."""
    every = max(-(-len(times_s) // MAX_STEPS), 1)
    steps_s = [steps_s[::every].copy() for steps_s in _steps_s(times_s)]
    return float(np.median(np.concatenate(steps_s)))


def _steps_s(times_s: Array) -> Iterator[Array]:
    for rows in blocks(times_s):
        yield np.diff(times_s[rows.start : rows.stop + 1])


@dataclass(frozen=True)
class EvenSignal:
    """A signal on a regular time grid, its missing samples interpolated; see `even_signal`.

    Attributes
    ----------
    source : callable
        Returns a stretch, float32, shape (n_channels, n), relative to a constant per channel.
    n_samples : int
    n_received : int
        Samples that were received.
    n_losses : int
        Stretches of samples that were not.
    missing_share : ndarray of float64, shape (n_samples,)
        Share of the channels that are interpolated.
    lost_share : ndarray of float64, shape (n_channels,)
        Share of the samples that a channel lacks, of those that some channel has.
    contact_bad_fraction : float
        Share of the received values that are missing.
    """

    source: Callable[[int, int], NDArray[np.float32]]
    n_samples: int
    n_received: int
    n_losses: int
    missing_share: Array
    lost_share: Array
    contact_bad_fraction: float

    @property
    def complete(self) -> bool:
        """Whether nothing is missing."""
        return self.contact_bad_fraction == 0 and self.n_received == self.n_samples

    def without_most(self, share: float) -> NDArray[np.intp]:
        """Return the samples at which more than a share of the channels is interpolated."""
        places = [
            rows.start + np.flatnonzero(self.missing_share[rows] > share)
            for rows in blocks(self.missing_share)
        ]
        return np.concatenate(places)


def even_signal(signal: Signal, rate_hz: float) -> EvenSignal:
    """Place a signal on a regular time grid and interpolate what is missing.

    Missing are values that were not received, are not finite, or have no square in float32; see
    `interpolated`.
    """
    values = signal.values
    usable = all((np.abs(values[rows]) < LARGEST).all() for rows in blocks(values))
    if usable and not has_gaps(signal.times_s):
        n_samples, n_channels = values.shape
        complete = np.broadcast_to(0.0, n_samples)
        source = _offset_free(values)
        return EvenSignal(source, n_samples, n_samples, 0, complete, np.zeros(n_channels), 0.0)
    values, received = to_regular_grid(signal, rate_hz, LARGEST)
    n_samples, n_channels = values.shape
    share: Array = empty(n_samples, np.float64)
    n_somewhere, n_lost, n_without_value = 0, np.zeros(n_channels), 0
    for rows in blocks(values, share):
        missing = np.isnan(values[rows])
        share[rows] = missing.mean(axis=1)
        # Samples that all channels lack were lost in transmission, not at an electrode.
        somewhere = missing[~missing.all(axis=1)]
        n_somewhere += len(somewhere)
        n_lost += somewhere.sum(axis=0)
        n_without_value += int(np.count_nonzero(missing[received[rows]]))
    return EvenSignal(
        _offset_free(interpolated(values)),
        n_samples,
        int(np.count_nonzero(received)),
        int(np.count_nonzero(received[:-1] & ~received[1:])),
        share,
        n_lost / n_somewhere if n_somewhere else np.ones(n_channels),
        n_without_value / (np.count_nonzero(received) * n_channels),
    )


def _offset_free(values: Array) -> Callable[[int, int], NDArray[np.float32]]:
    # float32 would round what is small beside an electrode's offset.
    offset = np.array(values[:1].T, np.float64)

    def source(start: int, stop: int) -> NDArray[np.float32]:
        stretch = values[start:stop].T
        single = np.empty(stretch.shape, np.float32)
        np.subtract(stretch, offset, out=single, casting="same_kind")
        release(values)
        return single

    return source


def to_regular_grid(signal: Signal, rate_hz: float, largest: float = np.inf) -> tuple[Array, Mask]:
    """Place the samples on a regular time grid.

    Parameters
    ----------
    signal : Signal
        ``values`` of shape (n_samples, n_channels).
    rate_hz : float
        Rate of the grid.
    largest : float
        Values of this magnitude and beyond are missing.

    Returns
    -------
    values : ndarray of float64, shape (n_grid, n_channels)
        NaN where no sample was received, or its value is not finite.
    received : ndarray of bool, shape (n_grid,)
        Whether a sample was received.
    """
    values, times_s = signal.values, signal.times_s
    stamped = has_gaps(times_s)

    def position(rows: slice) -> NDArray[np.intp]:
        # Without gaps samples keep their order: rounding of jittered stamps could merge two.
        if not stamped:
            return np.arange(rows.start, rows.stop)
        return np.asarray(np.rint((times_s[rows] - times_s[0]) * rate_hz), np.intp)

    last = len(values) - 1
    n_grid = int(position(slice(last, last + 1))[0]) + 1
    grid: Array = full((n_grid, values.shape[1]), np.nan, np.float64)
    received = np.zeros(n_grid, bool)
    for rows in blocks(values, times_s):
        places = position(rows)
        grid[places] = np.where(np.abs(values[rows]) < largest, values[rows], np.nan)
        received[places] = True
        release(grid)
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
    edges = _edges(values)
    complete: Array = empty(values.shape, np.float64)
    for rows in blocks(values, complete):
        missing = ~np.isfinite(values[rows])
        complete[rows] = np.where(missing, 0.0, values[rows])
        for channel in np.flatnonzero(missing.any(axis=0)):
            places, beside = edges[channel]
            if len(places):
                gap = np.flatnonzero(missing[:, channel])
                complete[rows.start + gap, channel] = np.interp(rows.start + gap, places, beside)
    return complete


def _edges(values: Array) -> list[tuple[NDArray[np.intp], Array]]:
    """Return by channel where a finite value is beside one that is not, and that value."""
    n_channels = values.shape[1]
    places, channels, beside = [], [], []
    for rows in blocks(values):
        first = max(rows.start - 1, 0)  # the last row of the block before
        stretch = values[first : rows.stop]
        missing = ~np.isfinite(stretch)
        at, channel = np.nonzero(missing[1:] != missing[:-1])
        at += missing[at, channel]
        places.append(first + at)
        channels.append(channel)
        beside.append(stretch[at, channel])
    place, channel, value = (np.concatenate(each) for each in (places, channels, beside))
    edges = []
    for number in range(n_channels):
        # A single value between two gaps is beside both.
        unique, index = np.unique(place[channel == number], return_index=True)
        edges.append((unique, value[channel == number][index]))
    return edges

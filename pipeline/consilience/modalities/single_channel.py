"""What sensors of the body's periphery share: one channel of many, in frames over time.

A modality adds its channel's usual names, its features and its quality.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import scipy.ndimage
import scipy.signal
from numpy.typing import NDArray

from consilience.core.errors import RecordingError
from consilience.modalities.base import Modality
from consilience.modalities.params.single_channel import SingleChannelParams
from consilience.readers.packet_counter import gaps_in, packets_of
from consilience.readers.recording import SUFFIXES, Recording, XdfStream, identity, open_recording
from consilience.schema.params.plugins import ModalityParams
from consilience.signals.regular_grid import filled, on_grid, rate_of
from consilience.signals.single_channel_corruptions import APPLY
from consilience.signals.types import Features, Header, Signal

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]

MAX_HOLE = 0.2  # share of a frame that may be missing
WORTH_TELLING = 0.01  # share of the time
REFRACTORY_S = 0.3
INTERVAL_S = (0.33, 2.0)  # 180 to 30 beats a minute
PLAUSIBLE = 0.7  # share of a frame's intervals
REGULAR = 0.2  # neighbouring intervals differ by less, relative to their mean


@dataclass(frozen=True)
class Frames:
    """Where frames lie on an even grid.

    Attributes
    ----------
    starts : ndarray of intp, shape (n_frames,)
        First sample of each.
    size : int
        Samples of one.
    centres_s : ndarray of float64, shape (n_frames,)
        From the first sample.
    """

    starts: NDArray[np.intp]
    size: int
    centres_s: Array

    @classmethod
    def over(cls, n_samples: int, rate_hz: float, params: SingleChannelParams) -> Frames:
        """Lay as many frames as fit."""
        size = min(round(params.window_s * rate_hz), n_samples)
        n_frames = 1 + int((n_samples - size) / (params.hop_s * rate_hz))
        starts = np.rint(np.arange(n_frames) * params.hop_s * rate_hz).astype(np.intp)
        centres_s: Array = np.asarray((starts + (size - 1) / 2) / rate_hz, np.float64)
        return cls(starts, size, centres_s)

    def share(self, mask: Mask) -> Array:
        """Return the share of each frame in which a mask over the samples is true."""
        before = np.concatenate([[0], np.cumsum(mask)])
        share: Array = (before[self.starts + self.size] - before[self.starts]) / self.size
        return share


class Peripheral(Modality):
    """A modality of one channel; a subclass says what it is called and what is made of it.

    Attributes
    ----------
    usual : re.Pattern
        What the channel is usually called.
    names : tuple of str
        Its features.
    least_rate_hz : float
        Below which the features cannot be had.
    """

    name: ClassVar[str]
    suffixes: ClassVar[tuple[str, ...]] = SUFFIXES
    Params: ClassVar[type[ModalityParams]] = SingleChannelParams
    usual: ClassVar[re.Pattern[str]]
    names: ClassVar[tuple[str, ...]]
    least_rate_hz: ClassVar[float]

    def measure(
        self, values: Array, rate_hz: float, frames: Frames, params: Any
    ) -> tuple[Array, dict[str, float]]:
        """Return features of frames, NaN where there are none, and measures of quality.

        Parameters
        ----------
        values : ndarray of float64, shape (n_samples,)
            The channel on an even grid, holes interpolated.
        rate_hz : float
        frames : Frames
        params : SingleChannelParams

        Returns
        -------
        values : ndarray of float64, shape (n_frames, n_features)
        quality : dict of str to float
            With ``"quality"`` from 0 to 1.
        """
        raise NotImplementedError

    def probe(self, path: Path, item: str | None) -> Header:
        """Read the header. Raises RecordingError if no channel is this modality's."""
        recording = open_recording(path, item)
        self._channel(recording, "")
        return Header(
            rate_hz=recording.rate_hz,
            n_channels=1,
            duration_s=recording.n_samples / recording.rate_hz,
            start_time=recording.start_time,
        )

    def identity(self, path: Path, item: str | None) -> str:
        """Return the hash of the recording, companions of its file included."""
        return identity(path, item)

    def read(self, path: Path, item: str | None, params: SingleChannelParams) -> Signal:
        """Read one channel, and the pulses on the trigger channel.

        Returns
        -------
        Signal
            ``values`` float64 in the recorder's unit (volts, if a voltage), shape (n_samples, 1).
        """
        recording = open_recording(path, item)
        channel = self._channel(recording, params.channel)
        values, times_s = recording.values([channel], 1.0), recording.times_s()
        once = np.ones(len(times_s), bool)
        packets = packets_of(recording)
        if packets is not None:
            once = ~packets.repeated
            times_s = times_s if recording.stamped else packets.position / recording.rate_hz
        pulses_s = times_s[recording.pulses()]
        return Signal(values[once], times_s[once], (channel,), pulses_s, recording.anchors_s())

    def inspect(self, path: Path, item: str | None) -> list[str]:
        """Return what is wrong with a readable recording: lost packets, a flat line, gaps."""
        recording = open_recording(path, item)
        packets = packets_of(recording)
        found = packets.findings() if packets else []
        values = recording.values([self._channel(recording, "")], 1.0)[:, 0]
        flat = float(np.mean(_flat(np.nan_to_num(values), recording.rate_hz)))
        if flat >= WORTH_TELLING:
            found.append(f"the signal is flat {100 * flat:.0f} % of the time")
        return found + gaps_in(recording.times_s(), recording.rate_hz)

    def features(self, signal: Signal, params: SingleChannelParams) -> Features:
        """Return feature frames; those over a gap or a flat line are NaN.

        Raises
        ------
        RecordingError
            If the recording is too short, its rate too low, or nothing moves.
        """
        rate_hz = rate_of(signal, self.name, params.window_s)
        if rate_hz < self.least_rate_hz:
            raise RecordingError(
                f"{rate_hz:g} samples a second are too few",
                self.name,
                f"{self.least_rate_hz:g} are needed",
            )
        values, received = on_grid(signal, rate_hz)
        whole = filled(values)[:, 0]
        missing, flat = np.isnan(values[:, 0]), _flat(whole, rate_hz)
        if (missing | flat).all():
            raise RecordingError("the signal is flat", self.name, "check the sensor")
        frames = Frames.over(len(whole), rate_hz, params)
        found, quality = self.measure(whole, rate_hz, frames, params)
        found[frames.share(missing | flat) > MAX_HOLE] = np.nan
        there = float(1 - np.mean(missing | flat))
        measures = {
            "packet_losses": float(np.count_nonzero(received[:-1] & ~received[1:])),
            "packet_loss_fraction": float(np.mean(~received)),
            "flat_fraction": float(flat.mean()),
            **quality,
            "quality": there * quality["quality"],
        }
        times_s = signal.times_s[0] + frames.centres_s
        return Features(found.astype(np.float32), times_s, self.names, measures)

    def corrupt(
        self,
        signal: Signal,
        kind: str,
        severity: int,
        params: SingleChannelParams,
        rng: np.random.Generator,
    ) -> Signal:
        """Spoil the channel as it comes from the sensor; what is missing stays missing."""
        values = np.asarray(signal.values, np.float64)
        rate_hz = 1 / float(np.median(np.diff(signal.times_s[:1000])))
        level = params.corruptions[kind][severity - 1]
        spoilt = APPLY[kind](filled(values), level, rate_hz, rng)
        return replace(signal, values=np.where(np.isfinite(values), spoilt, np.nan))

    def _channel(self, recording: Recording, wanted: str) -> str:
        known = {name.casefold(): name for name in recording.names}
        usual = [name for name in recording.names if self.usual.search(name)]
        if not wanted and not usual and isinstance(recording, XdfStream):
            usual = list(recording.names)  # whoever chose the stream chose its kind
        found = known.get(wanted.casefold()) if wanted else next(iter(usual), None)
        if found is None:
            raise RecordingError(
                f"there is no channel '{wanted}'"
                if wanted
                else f"no channel is named like {self.name}",
                str(recording.path),
                f"name it in params.modalities.{self.name}.channel; there are "
                f"{', '.join(recording.names[:12])}",
            )
        return found


def beats(
    clean: Array, rate_hz: float, peak_s: float, beat_s: float, offset: float
) -> NDArray[np.intp]:
    """Find heart beats by two moving averages (Elgendi 2013).

    Where the mean of the squared signal over about a peak exceeds that over about a beat, and for
    at least as long as a peak lasts, there is a beat; its place is the maximum.

    Parameters
    ----------
    clean : ndarray of float64, shape (n_samples,)
        Band-passed, and nowhere below 0.
    rate_hz : float
    peak_s, beat_s : float
        Durations of a peak and of a beat.
    offset : float
        Share of the mean by which the threshold is raised.
    """
    peak, beat = max(round(peak_s * rate_hz), 1), max(round(beat_s * rate_hz), 1)
    threshold = scipy.ndimage.uniform_filter1d(clean, beat) + offset * clean.mean()
    above = scipy.ndimage.uniform_filter1d(clean, peak) > threshold
    edges = np.diff(np.concatenate([[0], above.astype(int), [0]]))
    firsts, ends = np.flatnonzero(edges == 1), np.flatnonzero(edges == -1)
    long = ends - firsts >= peak
    found = [a + int(np.argmax(clean[a:b])) for a, b in zip(firsts[long], ends[long], strict=True)]
    places = np.array(found, np.intp)
    strong = np.concatenate([[True], np.diff(places) > REFRACTORY_S * rate_hz])
    return places[strong[: len(places)]]


def beat_features(
    places: NDArray[np.intp], sizes: Array, rate_hz: float, frames: Frames
) -> tuple[Array, dict[str, float]]:
    """Return heart rate, its variability and the beats' size, frame by frame.

    Parameters
    ----------
    places : ndarray of intp, shape (n_beats,)
    sizes : ndarray of float64, shape (n_beats,)
        In any unit: they are told relative to their median.
    rate_hz : float
    frames : Frames

    Returns
    -------
    values : ndarray of float64, shape (n_frames, 3)
        Beats a minute, root mean square of successive differences in ms, relative size; NaN
        where fewer than two intervals, or too few of them, can be heart beats.
    quality : dict of str to float
    """
    values = np.full((len(frames.starts), 3), np.nan)
    middle = float(np.median(sizes)) if len(sizes) else 0.0
    for row, start in enumerate(frames.starts):
        low, high = np.searchsorted(places, (start, start + frames.size))
        intervals_s = np.diff(places[low:high]) / rate_hz
        possible = (intervals_s > INTERVAL_S[0]) & (intervals_s < INTERVAL_S[1])
        steps_s = np.diff(intervals_s)
        if possible.sum() < 2 or not middle:
            continue
        steady = np.abs(steps_s) < REGULAR * intervals_s.mean()
        if min(possible.mean(), steady.mean()) < PLAUSIBLE:
            continue
        rmssd_ms = 1e3 * np.sqrt(np.mean(steps_s[steady] ** 2))
        size = sizes[low:high].mean() / middle
        values[row] = 60 / np.median(intervals_s[possible]), rmssd_ms, size
    plausible = float(np.isfinite(values[:, 0]).mean())
    return values, {"plausible_beat_fraction": plausible, "quality": plausible}


def _flat(values: Array, rate_hz: float) -> Mask:
    """Say which samples lie in a second in which nothing moves."""
    size = max(min(round(rate_hz), len(values)), 2)
    span = scipy.ndimage.maximum_filter1d(values, size) - scipy.ndimage.minimum_filter1d(
        values, size
    )
    still = span <= 1e-9 * max(float(np.ptp(values)), 1e-300)
    flat: Mask = scipy.ndimage.maximum_filter1d(still.astype(np.uint8), size).astype(bool)
    return flat

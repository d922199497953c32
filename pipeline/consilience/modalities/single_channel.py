"""Base class of sensors that record one channel: ECG, pulse, skin conductance, respiration.

It reads one channel of the recordings that `consilience.readers.recording` reads, puts it on an
even grid, and cuts it into overlapping frames. A subclass names the channel and computes the
features; see docs/adding-a-modality.md.
"""

from __future__ import annotations

import copy
import re
from abc import abstractmethod
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from consilience.core.errors import RecordingError
from consilience.modalities.base import Modality
from consilience.modalities.params.single_channel import SingleChannelParams
from consilience.readers.recording import SUFFIXES, Recording, identity, open_recording
from consilience.readers.sample_times import describe_gaps, packets_of, sample_times
from consilience.schema.params.plugins import ModalityParams
from consilience.signals.frame_grid import FrameGrid
from consilience.signals.plateaus import plateaus
from consilience.signals.regular_grid import interpolated, sampling_rate, to_regular_grid
from consilience.signals.single_channel_corruptions import APPLY
from consilience.signals.types import Features, Header, Signal

__all__ = ["Array", "FrameGrid", "SingleChannel", "SingleChannelParams"]

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]

MAX_MISSING = 0.2  # share of a frame that may be missing or flat
MAX_LISTED = 12  # channels named in a message
FLAT_S = 1.0  # a heart or a muscle is not still for as long
LOW_QUALITY = 0.5  # reported by the check
REPORTED_SHARE = 0.01  # findings that concern less of the time are not reported


class SingleChannel(Modality):
    """A sensor of one channel; a subclass names the channel and computes the features.

    Attributes
    ----------
    channel_pattern : re.Pattern
        Matches the usual names of the channel; ``params.channel`` overrides it.
    feature_names : tuple of str
        Names of the features that `measure` returns, each with its unit.
    min_rate_hz : float
        Least sampling rate from which the features can be computed.
    axes : int
        Channels that the sensor has in a recording, of which `combined` makes one.
    """

    suffixes: ClassVar[tuple[str, ...]] = SUFFIXES
    Params: ClassVar[type[ModalityParams]] = SingleChannelParams
    channel_pattern: ClassVar[re.Pattern[str]]
    feature_names: ClassVar[tuple[str, ...]]
    min_rate_hz: ClassVar[float]
    axes: ClassVar[int] = 1
    # Features are relative to the spread of the whole recording; one channel is cheap.
    context_s: ClassVar[float] = 300.0
    settings: SingleChannelParams  # of `probe` and `inspect`

    def __init__(self) -> None:
        self.settings = self.Params()  # type: ignore[assignment]

    @abstractmethod
    def measure(
        self, values: Array, rate_hz: float, frames: FrameGrid, params: Any
    ) -> tuple[Array, dict[str, float]]:
        """Compute the features of every frame, and measures of quality.

        Parameters
        ----------
        values : ndarray of float64, shape (n_samples,)
            The channel on an even grid, gaps interpolated.
        rate_hz : float
        frames : FrameGrid
        params : SingleChannelParams

        Returns
        -------
        values : ndarray of float64, shape (n_frames, n_features)
            In the order of `feature_names`; NaN where a feature cannot be computed.
        quality : dict of str to float
            ``"quality"`` between 0 and 1, and any other measures with a unit in their names.
        """

    def physical(self, values: Array, unit: str, params: Any) -> Array:
        """Return the samples in the sensor's quantity, NaN where impossible; as they are.

        Parameters
        ----------
        values : ndarray of float64, shape (n_samples, 1)
            In volts, siemens or ohms, or else in the recorder's unit.
        unit : str
            As the file states it; empty if it states none.
        params : SingleChannelParams

        Raises
        ------
        RecordingError
            If the unit contradicts the parameters.
        """
        return values

    def combined(self, values: Array) -> Array:
        """Return one signal (n_samples, 1) of the channels, shape (n_samples, axes)."""
        return values

    def choose(self, recording: Recording, candidates: list[str]) -> str:
        """Return the channel to read, of several; the first with a usual name.

        Raises
        ------
        RecordingError
            If the user must choose.
        """
        if not self.channel_pattern.search(candidates[0]):
            raise self._ambiguous(recording, candidates)
        return candidates[0]

    def flat(self, values: Array, rate_hz: float) -> Mask:
        """Return which samples lie in a stretch too still for the sensor, shape (n_samples,)."""
        return plateaus(values, rate_hz, FLAT_S)

    def configured(self, params: Any) -> SingleChannel:
        """Return the modality that probes and inspects the channel that the parameters name."""
        modality = copy.copy(self)
        modality.settings = params
        return modality

    def probe(self, path: Path, item: str | None) -> Header:
        """Read the header. Raises RecordingError if no channel has a usual name."""
        recording, channels = self._open(path, item, self.settings)
        self.physical(np.empty((0, 1)), recording.unit(channels[0]), self.settings)
        return Header(
            rate_hz=recording.rate_hz,
            n_channels=1,
            duration_s=recording.duration_s,
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
            ``values`` float64 in volts, siemens or ohms, or else in the recorder's unit, shape
            (n_samples, 1); see `physical`.
        """
        return self.stream_signal(open_recording(path, item), params)

    def stream_signal(self, recording: Recording, params: SingleChannelParams) -> Signal:
        """Return one channel of an open recording; see `read`."""
        recording, channels = self._channels_of(recording, params)
        values = self.combined(recording.values(channels, 1.0))
        values = self.physical(values, recording.unit(channels[0]), params)
        kept, times_s, pulses_s = sample_times(recording, params.sync_code)
        names = (" ".join(channels),)
        return Signal(values[kept], times_s[kept], names, pulses_s, recording.anchors_s())

    def least_stream_hz(self, params: SingleChannelParams) -> float:
        """Return `min_rate_hz`."""
        return self.min_rate_hz

    def inspect(self, path: Path, item: str | None) -> list[str]:
        """Return findings on a readable recording: lost packets, a flat line, gaps."""
        recording, channels = self._open(path, item, self.settings)
        packets = packets_of(recording)
        findings = recording.findings() + (packets.findings() if packets else [])
        candidates = self._candidates(recording)
        if len(candidates) > self.axes and not self.settings.channel:
            listed = ", ".join(candidates[:MAX_LISTED])
            findings.append(
                f"several channels are named like {self.name}: {listed}; {channels[0]} is read"
            )
        measured = self.combined(recording.values(channels, 1.0))
        values = self.physical(measured, recording.unit(channels[0]), self.settings)
        impossible = float(np.mean(np.isfinite(measured) & np.isnan(values)))
        if impossible >= REPORTED_SHARE:
            findings.append(
                f"{100 * impossible:.0f} % of the samples are impossible for {self.name}: missing"
            )
        whole = interpolated(values)[:, 0]
        flat = float(np.mean(self.flat(whole, recording.rate_hz)))
        if flat >= REPORTED_SHARE:
            findings.append(f"the signal is flat {100 * flat:.0f} % of the time")
        findings += self._low_quality(whole, recording.rate_hz)
        return findings + describe_gaps(recording.times_s(), recording.rate_hz)

    def features(self, signal: Signal, params: SingleChannelParams) -> Features:
        """Return feature frames; those over a gap or a flat line are NaN.

        Raises
        ------
        RecordingError
            If the recording is too short, its rate too low, or the signal flat throughout.
        """
        rate_hz = sampling_rate(signal, self.name, params.window_s)
        if rate_hz < self.min_rate_hz:
            raise RecordingError(
                f"{rate_hz:g} samples a second are too few",
                self.name,
                f"{self.min_rate_hz:g} are needed",
            )
        values, received = to_regular_grid(signal, rate_hz)
        whole = interpolated(values)[:, 0]
        missing, flat = np.isnan(values[:, 0]), self.flat(whole, rate_hz)
        if (missing | flat).all():
            raise RecordingError("the signal is flat", self.name, "check the sensor")
        frames = FrameGrid.over(len(whole), rate_hz, params.window_s, params.hop_s)
        features, quality = self.measure(whole, rate_hz, frames, params)
        features[frames.share(missing | flat) > MAX_MISSING] = np.nan
        observed = float(1 - np.mean(missing | flat))
        measures = {
            "packet_losses": float(np.count_nonzero(received[:-1] & ~received[1:])),
            "packet_loss_fraction": float(np.mean(~received)),
            "flat_fraction": float(flat.mean()),
            **quality,
            "quality": observed * quality["quality"],
        }
        times_s = signal.times_s[0] + frames.centres_s
        return Features(features.astype(np.float32), times_s, self.feature_names, measures)

    def corrupt(
        self,
        signal: Signal,
        kind: str,
        severity: int,
        params: SingleChannelParams,
        rng: np.random.Generator,
    ) -> Signal:
        """Corrupt the channel as it comes from the sensor; missing samples stay missing."""
        values = np.asarray(signal.values, np.float64)
        rate_hz = 1 / float(np.median(np.diff(signal.times_s[:1000])))
        level = params.corruptions[kind][severity - 1]
        corrupted = APPLY[kind](interpolated(values), level, rate_hz, rng)
        return replace(signal, values=np.where(np.isfinite(values), corrupted, np.nan))

    def _low_quality(self, values: Array, rate_hz: float) -> list[str]:
        """Return the measures of quality of a signal, shape (n_samples,), if it is low."""
        if rate_hz < self.min_rate_hz or len(values) < self.settings.window_s * rate_hz:
            return []  # quarantined later, with the reason
        frames = FrameGrid.over(
            len(values), rate_hz, self.settings.window_s, self.settings.window_s
        )
        _, quality = self.measure(values, rate_hz, frames, self.settings)
        if quality["quality"] >= LOW_QUALITY:
            return []
        listed = ", ".join(
            f"{name.replace('_', ' ')} {value:.2f}" for name, value in quality.items()
        )
        return [f"the signal may not be {self.name}: {listed}"]

    def _open(
        self, path: Path, item: str | None, params: SingleChannelParams
    ) -> tuple[Recording, list[str]]:
        """Open a recording at the rate of its channels, and return the channels' names."""
        return self._channels_of(open_recording(path, item), params)

    def _channels_of(
        self, recording: Recording, params: SingleChannelParams
    ) -> tuple[Recording, list[str]]:
        """Return a recording at the rate of the sensor's channels, and the channels' names."""
        if self.axes > 1:
            channels = self._axes(recording, params.channel)
        else:
            channels = [self._channel(recording, params.channel)]
        return recording.at_rate_of(channels), channels

    def _candidates(self, recording: Recording) -> list[str]:
        """Return the channels with a usual name, or all of a stream or column that was selected."""
        usual = [name for name in recording.names if self.channel_pattern.search(name)]
        return usual or (list(recording.names) if recording.selected else [])

    def _ambiguous(self, recording: Recording, described: list[str]) -> RecordingError:
        """Return the error that asks the user to name one of several channels."""
        return RecordingError(
            f"several channels may be {self.name}: {', '.join(described[:MAX_LISTED])}",
            str(recording.path),
            f"name one in params.modalities.{self.name}.channel",
        )

    def _axes(self, recording: Recording, chosen: str) -> list[str]:
        """Return the names of the axes: those that `chosen` lists, or else all with a usual name.

        Raises
        ------
        RecordingError
            If they are more or fewer than the sensor has.
        """
        if chosen:
            channels = [self._channel(recording, name.strip()) for name in chosen.split(",")]
        else:
            channels = self._candidates(recording)
        if len(channels) == self.axes:
            return channels
        raise RecordingError(
            f"{len(channels)} channels may be {self.name}, not {self.axes}"
            + (f": {', '.join(channels[:MAX_LISTED])}" if channels else ""),
            str(recording.path),
            f"name {self.axes} in params.modalities.{self.name}.channel, with commas; there are "
            f"{', '.join(recording.names[:MAX_LISTED])}",
        )

    def _channel(self, recording: Recording, chosen: str) -> str:
        """Return the name of the channel: `chosen`, or else one with a usual name."""
        by_name = {name.casefold(): name for name in recording.names}
        if chosen and chosen.casefold() in by_name:
            return by_name[chosen.casefold()]
        candidates = [] if chosen else self._candidates(recording)
        if candidates:
            return candidates[0] if len(candidates) == 1 else self.choose(recording, candidates)
        raise RecordingError(
            f"the file has no channel '{chosen}'"
            if chosen
            else f"no channel is named like {self.name}",
            str(recording.path),
            f"name it in params.modalities.{self.name}.channel; there are "
            f"{', '.join(recording.names[:MAX_LISTED])}",
        )

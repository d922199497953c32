"""Base class of sensors that record one channel: ECG, pulse, skin conductance, respiration.

It reads one channel of the recordings that `consilience.readers.recording` reads, puts it on an
even grid, and cuts it into overlapping frames. A subclass names the channel and computes the
features; see docs/adding-a-modality.md.
"""

from __future__ import annotations

import re
from abc import abstractmethod
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import scipy.ndimage
from numpy.typing import NDArray

from consilience.core.errors import RecordingError
from consilience.modalities.base import Modality
from consilience.modalities.params.single_channel import SingleChannelParams
from consilience.readers.packet_counter import describe_gaps, packets_of, sample_times
from consilience.readers.recording import SUFFIXES, Recording, XdfStream, identity, open_recording
from consilience.schema.params.plugins import ModalityParams
from consilience.signals.frame_grid import FrameGrid
from consilience.signals.regular_grid import interpolated, sampling_rate, to_regular_grid
from consilience.signals.single_channel_corruptions import APPLY
from consilience.signals.types import Features, Header, Signal

__all__ = ["Array", "FrameGrid", "SingleChannel", "SingleChannelParams"]

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]

MAX_MISSING = 0.2  # share of a frame that may be missing or flat
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
    """

    suffixes: ClassVar[tuple[str, ...]] = SUFFIXES
    Params: ClassVar[type[ModalityParams]] = SingleChannelParams
    channel_pattern: ClassVar[re.Pattern[str]]
    feature_names: ClassVar[tuple[str, ...]]
    min_rate_hz: ClassVar[float]

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

    def probe(self, path: Path, item: str | None) -> Header:
        """Read the header. Raises RecordingError if no channel has a usual name."""
        recording, _ = self._open(path, item, "")
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
            (n_samples, 1).
        """
        recording, channel = self._open(path, item, params.channel)
        values = recording.values([channel], 1.0)
        kept, times_s, pulses_s = sample_times(recording, params.sync_code)
        return Signal(values[kept], times_s[kept], (channel,), pulses_s, recording.anchors_s())

    def inspect(self, path: Path, item: str | None) -> list[str]:
        """Return findings on a readable recording: lost packets, a flat line, gaps."""
        recording, channel = self._open(path, item, "")
        packets = packets_of(recording)
        findings = recording.findings() + (packets.findings() if packets else [])
        values = recording.values([channel], 1.0)[:, 0]
        flat = float(np.mean(_flat(np.nan_to_num(values), recording.rate_hz)))
        if flat >= REPORTED_SHARE:
            findings.append(f"the signal is flat {100 * flat:.0f} % of the time")
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
        missing, flat = np.isnan(values[:, 0]), _flat(whole, rate_hz)
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

    def _open(self, path: Path, item: str | None, chosen: str) -> tuple[Recording, str]:
        """Open a recording at the rate of its channel, and return the channel's name."""
        recording = open_recording(path, item)
        channel = self._channel(recording, chosen)
        return recording.at_rate_of([channel]), channel

    def _channel(self, recording: Recording, chosen: str) -> str:
        """Return the name of the channel: `chosen`, or else the first with a usual name."""
        by_name = {name.casefold(): name for name in recording.names}
        usual = [name for name in recording.names if self.channel_pattern.search(name)]
        if not chosen and not usual and isinstance(recording, XdfStream):
            usual = list(recording.names)  # the stream was chosen by its type, whatever its labels
        channel = by_name.get(chosen.casefold()) if chosen else next(iter(usual), None)
        if channel is None:
            raise RecordingError(
                f"the file has no channel '{chosen}'"
                if chosen
                else f"no channel is named like {self.name}",
                str(recording.path),
                f"name it in params.modalities.{self.name}.channel; there are "
                f"{', '.join(recording.names[:12])}",
            )
        return channel


def _flat(values: Array, rate_hz: float) -> Mask:
    """Return which samples lie within a second in which the signal does not move."""
    size = max(min(round(rate_hz), len(values)), 2)
    span = scipy.ndimage.maximum_filter1d(values, size) - scipy.ndimage.minimum_filter1d(
        values, size
    )
    # Relative to the signal's range: recorders differ in unit by orders of magnitude.
    still = span <= 1e-9 * max(float(np.ptp(values)), 1e-300)
    # A still second is centred at one sample; all samples of that second are flat.
    flat: Mask = scipy.ndimage.maximum_filter1d(still.astype(np.uint8), size).astype(bool)
    return flat

"""Feature frames of a model's sensors, from the latest samples of their streams.

The frames are computed anew for every window from a stretch of samples, by the code that reads
recordings, which remembers slow results of parts that have not changed. The stretch begins at a
multiple of `Modality.stream_step_s` after the first sample, so that its frames are at the times of
the frames of a whole recording.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from consilience.alignment.clock import Clock
from consilience.core import registry
from consilience.core.errors import ConsilienceError, RecordingError
from consilience.core.memo import Memo, remembering
from consilience.live.buffer import RingBuffer
from consilience.modalities.base import Modality
from consilience.readers.stream import StreamRecording, break_s, without_jitter
from consilience.schema.params.base import validated
from consilience.schema.params.plugins import ModalityParams
from consilience.schema.params.windows import WindowParams
from consilience.windows.cutting import Cutter, Frames
from consilience.windows.layout import Window, grid_of

ROUNDING = 1e-9
UNKNOWN_HZ = 100.0  # of a stream without a rate, for the size of its buffer

Array = NDArray[np.float64]
Samples = tuple[NDArray[Any], Array]  # shapes (n_samples, n_channels) and (n_samples,): times


@dataclass(frozen=True)
class StreamHeader:
    """Description of a stream by its sender.

    Attributes
    ----------
    name, type, uid : str
        The uid differs each time a sender starts.
    rate_hz : float
        Nominal; 0 for samples at irregular times.
    channels, units : tuple of str
        One per channel.
    dtype : str
        Of the samples.
    picture_size : tuple of int
        Height and width, if a sample is a picture; else (0, 0).
    can_drop_samples : bool
    """

    name: str
    type: str
    uid: str
    rate_hz: float
    channels: tuple[str, ...]
    units: tuple[str, ...]
    dtype: str = "float32"
    picture_size: tuple[int, int] = (0, 0)
    can_drop_samples: bool = False

    @cached_property
    def channel_names(self) -> frozenset[str]:
        """The channels; a picture has one for each pixel."""
        return frozenset(self.channels)

    def recording(self, samples: NDArray[Any], stamps_s: Array) -> StreamRecording:
        """Return samples of the stream as an open recording."""
        return StreamRecording(
            self.name,
            self.channels,
            self.units,
            self.rate_hz,
            samples,
            stamps_s,
            self.can_drop_samples,
            self.picture_size,
        )

    def empty_buffer(self, length_s: float) -> RingBuffer:
        """Return a buffer for a number of seconds of the stream."""
        capacity = int(length_s * (self.rate_hz or UNKNOWN_HZ)) + 1
        return RingBuffer(capacity, len(self.channels), self.dtype, self.rate_hz)


@dataclass(frozen=True)
class Sensor:
    """A sensor of a model.

    Attributes
    ----------
    name : str
    modality : Modality
    cutter : Cutter
        With its parameters, the names of its features and the frames of a window.
    length_s : float
        Of a window.
    memo : Memo
        What was computed of parts of the stream.
    """

    name: str
    modality: Modality
    cutter: Cutter
    length_s: float
    memo: Memo = field(default_factory=Memo, compare=False)

    @property
    def kind(self) -> str:
        """Kind of the recordings: the sensor, or that whose recordings it reads."""
        return self.modality.reads or self.name

    @property
    def context_s(self) -> float:
        """Seconds of samples before the end of a window from which its frames are computed."""
        return max(self.modality.context_s, 2 * self.length_s)

    def step_s(self, header: StreamHeader) -> float:
        """Seconds by whose multiples the first sample of the stretch moves."""
        return self.modality.stream_step_s(self.cutter.params, header.rate_hz)

    def reads_features(self, header: StreamHeader) -> bool:
        """Return whether a stream has the sensor's features instead of samples."""
        return set(self.cutter.features) <= header.channel_names

    def check(self, header: StreamHeader) -> None:
        """Raise if the sensor cannot be read from a stream.

        Raises
        ------
        ConsilienceError
            If channels, units or rate are unsuitable.
        """
        if self.reads_features(header):
            return
        least_hz = self.modality.least_stream_hz(self.cutter.params)
        if least_hz and header.rate_hz < least_hz:
            raise ConsilienceError(
                f"{header.rate_hz:g} samples a second, where {self.name} needs {least_hz:g}",
                f"stream '{header.name}'",
                "set the rate of the device, and declare it as the nominal rate",
            )
        empty = np.empty((0, len(header.channels)), header.dtype)
        try:
            self.modality.stream_signal(header.recording(empty, np.empty(0)), self.cutter.params)
        except RecordingError as error:
            raise ConsilienceError(error.what, f"stream '{header.name}'", error.remedy) from None

    def warm_up(self, header: StreamHeader) -> None:
        """Compute features of noise: libraries load and compile what they need at first use."""
        if self.reads_features(header) or not header.rate_hz:
            return
        n_samples = round(self.length_s * header.rate_hz) + 1
        noise = np.random.default_rng(0).normal(0, 20, (n_samples, len(header.channels)))
        times_s = np.arange(n_samples) / header.rate_hz
        recording = header.recording(noise.astype(header.dtype), times_s)
        with suppress(RecordingError):  # it is noise
            signal = self.modality.stream_signal(recording, self.cutter.params)
            self.modality.stream_features(signal, self.cutter.params)

    def needs_s(self, header: StreamHeader, window: Window) -> float:
        """Return the time up to which samples of a stream are needed for a window."""
        grid = self.cutter.grid
        if self.reads_features(header) and grid.rate_hz is not None:
            # Between two samples: the window's last frame is half a period before its end.
            return float(np.nanmax(grid.times_s(window)))
        # The last sample before the end may be a period before it.
        return window.end_s - (1.5 / header.rate_hz if header.rate_hz else 0.0)

    def frames(self, header: StreamHeader, buffer: RingBuffer, end_s: float) -> Frames | None:
        """Return the latest feature frames of a stream; None without a sample.

        Parameters
        ----------
        header : StreamHeader
        buffer : RingBuffer
            Its samples, on the session clock.
        end_s : float
            End of the window.

        Raises
        ------
        RecordingError
            If no features can be computed from the samples.
        """
        values, times_s = buffer.values, buffer.times_s
        if self.reads_features(header):
            return self._received(header, values, times_s, end_s)
        if not len(times_s) or times_s[-1] < end_s - self.length_s:
            return None
        reason: RecordingError | None = None
        for samples in self._stretches(header, buffer, end_s):
            recording = header.recording(*samples)
            try:
                with remembering(self.memo):
                    signal = self.modality.stream_signal(recording, self.cutter.params)
                    features = self.modality.stream_features(signal, self.cutter.params)
            except RecordingError as error:  # perhaps too many samples were lost
                reason = error
                continue
            return Frames(features.values, features.times_s, Clock())
        if reason is not None:
            raise reason
        return None

    def _stretches(
        self, header: StreamHeader, buffer: RingBuffer, end_s: float
    ) -> Iterator[Samples]:
        """Yield the latest samples before the end of a window, in the order of preference.

        Those with the losses of the whole recording; without a loss at an end; after the last long
        loss. A sensor may find that the first ones lack too much.
        """
        values, times_s = buffer.values, buffer.times_s
        # Times without jitter, which would move the start to another sample.
        even_s = buffer.first_s + buffer.positions / header.rate_hz if header.rate_hz else times_s
        from_s = context_start(buffer.first_s, end_s - self.context_s, self.step_s(header))
        first = first_from(even_s, from_s)
        if len(times_s) - first < 2:
            return
        if header.rate_hz:
            start_s = float(times_s[first] - max(even_s[first] - from_s, 0.0))
            longest_s = break_s(header.rate_hz)
            samples = with_ends(values[first:], times_s[first:], start_s, end_s, longest_s)
            if len(samples[1]) > len(times_s) - first:
                yield samples
        yield values[first:], times_s[first:]
        gaps = np.flatnonzero(np.diff(even_s[first:]) > self.length_s)
        if len(gaps):
            first += int(gaps[-1]) + 1
            yield values[first:], times_s[first:]

    def _received(
        self, header: StreamHeader, values: NDArray[Any], times_s: Array, end_s: float
    ) -> Frames | None:
        """Return the frames of a stream of features."""
        columns = [header.channels.index(name) for name in self.cutter.features]
        rows = slice(0, len(times_s))
        if self.cutter.grid.rate_hz is None:  # one frame stands for the window: the latest
            last = int(np.searchsorted(times_s, end_s, "right"))
            rows = slice(max(last - 1, 0), last)
        frames = values[rows][:, columns].astype(np.float32)
        if not len(frames):
            return None
        even_s = without_jitter(times_s[rows], header.rate_hz, header.can_drop_samples)
        return Frames(frames, even_s, Clock())


def context_start(first_s: float, from_s: float, step_s: float) -> float:
    """Return the time at which the stretch begins from which features are computed.

    Parameters
    ----------
    first_s : float
        Time of the first sample of the stream; the stretch begins a multiple of `step_s` later.
    from_s : float
        It begins less than `step_s` before this time, if there are as many samples.
    step_s : float
    """
    return first_s + step_s * max(np.floor((from_s - first_s) / step_s + ROUNDING), 0.0)


def first_from(times_s: Array, from_s: float) -> int:
    """Return the first of increasing times (n,) from a time on, but for rounding."""
    period_s = float(np.median(np.diff(times_s[-1000:]))) if len(times_s) > 1 else 0.0
    return int(np.searchsorted(times_s, from_s - period_s / 2))


def with_ends(
    values: NDArray[Any], times_s: Array, start_s: float, end_s: float, longest_s: float
) -> Samples:
    """Return samples that begin and end at some times, if they were lost there.

    The first and the last sample are repeated beyond the loss, so that a stretch that begins or
    ends within a loss has the frames that the whole recording has.

    Parameters
    ----------
    values : ndarray, shape (n_samples, n_channels)
    times_s : ndarray of float64, shape (n_samples,)
    start_s, end_s : float
    longest_s : float
        A longer time without samples is a loss.
    """
    if times_s[0] - start_s > longest_s:
        values, times_s = np.concatenate([values[:1], values]), np.append(start_s, times_s)
    if end_s - times_s[-1] > longest_s:
        values, times_s = np.concatenate([values, values[-1:]]), np.append(times_s, end_s)
    return values, times_s


def sensors_of(card: dict[str, Any]) -> list[Sensor]:
    """Return the sensors of a model, in its order."""
    windows = validated(WindowParams, card["recipe"]["windows"], "card.json", ("windows",))
    sensors = []
    for name, fields in card["recipe"]["modalities"].items():
        params: ModalityParams = validated(
            registry.params("modalities", name), fields, "card.json", ("modalities", name)
        )
        modality: Modality = registry.get("modalities", name).configured(params)
        cutter = Cutter(name, params, tuple(card["features"][name]), grid_of(params, windows))
        length_s = windows.length_s or windows.max_length_s
        sensors.append(Sensor(name, modality, cutter, length_s))
    return sensors

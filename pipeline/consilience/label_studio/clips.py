"""Stretches of recordings on the session clock, in formats that a browser plays."""

from __future__ import annotations

import math
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple

import av
import numpy as np
import soundfile
from numpy.typing import NDArray

from consilience.alignment.clock import Clock
from consilience.core.errors import RecordingError
from consilience.label_studio.config import FRAME_RATE_HZ, TIME
from consilience.readers.container import default_track, open_container, origin_s
from consilience.readers.display import AS_STORED, Display, display_reader
from consilience.signals.types import Signal

SOUND_HZ = 16_000
SIGNAL_HZ = 64  # of the curves: several points a pixel
WIDTH = 480  # pixels, at most
MOST_CHANNELS = 8  # of a sensor; more do not fit on a screen

Array = NDArray[np.float64]


class Stretch(NamedTuple):
    """Stretch of a session, seconds of its clock."""

    start_s: float
    end_s: float

    def times(self, rate_hz: float) -> Array:
        """Return regular times within the stretch."""
        n = max(2, math.floor((self.end_s - self.start_s) * rate_hz + 1e-9))
        return self.start_s + np.arange(n) / rate_hz


def at_times(signal: Signal, clock: Clock, times_s: Array) -> Array:
    """Interpolate a signal's samples (n, C) at session times, 0 where it has none."""
    native_s = clock.to_native(times_s)
    values = np.asarray(signal.values, np.float64).reshape(len(signal.times_s), -1)
    columns = []
    for column in values.T:
        usable = np.isfinite(column)
        if usable.any():
            column = np.interp(
                native_s, signal.times_s[usable], column[usable], left=np.nan, right=np.nan
            )
        else:
            column = np.full(len(times_s), np.nan)
        columns.append(np.nan_to_num(column))
    return np.stack(columns, 1)


def write_sound(path: Path, signal: Signal | None, clock: Clock, stretch: Stretch) -> None:
    """Write a stretch of sound as WAV; silence without a signal.

    Parameters
    ----------
    path : Path
    signal : Signal or None
        Mono, full scale 1.
    clock : Clock
    stretch : Stretch
    """
    times_s = stretch.times(SOUND_HZ)
    sound = np.zeros(len(times_s))
    if signal is not None:
        sound = at_times(signal, clock, times_s)[:, 0]
    soundfile.write(path, np.clip(sound, -1, 1), SOUND_HZ, "PCM_16")


def curves(
    signal: Signal | None, clock: Clock, stretch: Stretch, prefix: str, channels: list[str]
) -> dict[str, list[float]]:
    """Return a stretch of a sensor's channels, standardised, by column, a name in lower case."""
    times_s = stretch.times(SIGNAL_HZ)
    columns: dict[str, list[float]] = {}
    for name in channels:
        values = np.zeros(len(times_s))
        if signal is not None and name in signal.channels:
            place = signal.channels.index(name)
            values = at_times(_one_channel(signal, place), clock, times_s)[:, 0]
        standardised = (values - values.mean()) / (values.std() or 1.0)
        columns[f"{prefix}_{name}".lower()] = np.round(standardised, 3).tolist()
    return columns


def time_column(stretch: Stretch) -> dict[str, list[float]]:
    """Return the times of `curves`; 0 is the start of the clip, as for pictures and sound."""
    return {TIME: np.round(stretch.times(SIGNAL_HZ) - stretch.start_s, 4).tolist()}


def shown_channels(signal: Signal) -> list[str]:
    """Return the channels of a signal that are shown, evenly chosen."""
    names = list(signal.channels)
    places = np.unique(np.linspace(0, len(names) - 1, min(len(names), MOST_CHANNELS)).round())
    return [names[int(place)] for place in places]


def _one_channel(signal: Signal, place: int) -> Signal:
    values = np.asarray(signal.values).reshape(len(signal.times_s), -1)[:, [place]]
    return Signal(values, signal.times_s, (signal.channels[place],))


def write_pictures(path: Path, source: Path | None, clock: Clock, stretch: Stretch) -> None:
    """Write a stretch of a video as H.264 at a constant rate; black without a source.

    Parameters
    ----------
    path : Path
        Ends in ``.mp4``.
    source : Path or None
        The recording.
    clock : Clock
    stretch : Stretch

    Raises
    ------
    RecordingError
        If the recording cannot be decoded.
    """
    times_s = stretch.times(FRAME_RATE_HZ)
    black = np.zeros((16, 16, 3), np.uint8)
    if source is None:
        pictures: Iterator[NDArray[np.uint8]] = iter([black] * len(times_s))
    else:
        pictures = _pictures(source, np.asarray(clock.to_native(times_s)))
    with av.open(str(path), "w") as container:
        stream: Any = None
        for picture in pictures:
            if stream is None:
                # Browsers play H.264 in 4:2:0; mp4v, the default of the container, they do not.
                stream = container.add_stream("libx264", rate=FRAME_RATE_HZ)
                stream.pix_fmt = "yuv420p"
                stream.height, stream.width = picture.shape[:2]
                stream.options = {"crf": "28", "preset": "veryfast", "threads": "1"}
            frame = av.VideoFrame.from_ndarray(picture, "rgb24")
            frame.pts, frame.time_base = None, Fraction(1, FRAME_RATE_HZ)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def _pictures(source: Path, native_s: Array) -> Iterator[NDArray[np.uint8]]:
    """Yield the last frame before each native time; the first one before it begins."""
    with open_container(source, "video") as container:
        stream = default_track(container, "video")
        origin, current = origin_s(container), display_reader()
        first = float(np.nanmin(native_s)) if np.isfinite(native_s).any() else 0.0
        _seek(container, stream, first + origin)
        decoded = _upright(container, stream, origin, current)
        latest = following = next(decoded, None)
        if latest is None:
            raise RecordingError("no picture at this time", str(source), "check its clock")
        for moment in native_s:
            while following is not None and following[0] <= moment + 1e-6:
                latest, following = following, next(decoded, None)
            yield latest[1]


def _seek(container: Any, stream: Any, seconds: float) -> None:
    """Go to the last key frame before a time, where the format can."""
    try:
        container.seek(int(max(0.0, seconds) / stream.time_base), stream=stream, backward=True)
    except av.FFmpegError:
        container.seek(0)


def _upright(
    container: Any, stream: Any, origin: float, current: Any
) -> Iterator[tuple[float, NDArray[np.uint8]]]:
    """Yield times and colour pictures as displayed, reduced to `WIDTH`; sizes are even."""
    for frame in container.decode(stream):
        if frame.time is None:
            continue
        display: Display = current(frame)
        scale = min(1.0, WIDTH / frame.width)
        width, height = (max(2, int(side * scale) // 2 * 2) for side in (frame.width, frame.height))
        stored = frame.reformat(width, height, "rgb24").to_ndarray()
        if display != AS_STORED:
            stored = np.stack([display.upright(stored[..., c]) for c in range(3)], -1)
        yield frame.time - origin, np.ascontiguousarray(stored)

"""A few seconds of a recording as numbers that can be drawn: signals, spectrum, bands, envelope."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from consilience.alignment.clock import Clock
from consilience.reporting.content.source import spread
from consilience.signals.types import Signal

SECONDS = 5.0
SPECTRUM_SECONDS = 60.0  # around the excerpt, from which the spectrum is estimated
MOST_CHANNELS = 8
MOST_POINTS = 600  # of a curve: more than a page has pixels for
SPECTRUM_POINTS = 120
SEGMENT_SECONDS = 2.0  # of the spectrum's estimate: a resolution of 0.5 Hz
LEAST_SOUND_HZ = 4000.0  # rate from which a signal is drawn as a sound
LEAST_HZ = 2.0  # rate below which samples are table rows, without a spectrum
THUMBNAILS, THUMBNAIL_PIXELS = 5, 64

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Excerpt:
    """Numbers that are drawn of one recording.

    Attributes
    ----------
    kind : str
        ``signal``, ``sound``, ``picture`` or ``features``.
    channels : tuple of str
    times_s : ndarray, shape (n,)
        Seconds from the excerpt's beginning, of signals, envelopes and frames.
    values : ndarray, shape (n, C)
        Signals in the recorder's unit; of a sound, the root mean square (full scale 1); of a
        picture, brightness (0 to 255) and change of the picture from frame to frame.
    frequency_hz, power_db : ndarray, shape (m,)
        Spectrum, mean over channels, dB relative to its largest value; empty without one.
    bands : dict of str to float
        Share of the power in each band, if bands are named.
    thumbnails : list of bytes
        PNG files of pictures, only if they were asked for.
    """

    kind: str
    channels: tuple[str, ...]
    times_s: Array
    values: Array
    frequency_hz: Array = field(default_factory=lambda: np.empty(0))
    power_db: Array = field(default_factory=lambda: np.empty(0))
    bands: dict[str, float] = field(default_factory=dict)
    thumbnails: list[bytes] = field(default_factory=list)


def excerpt(
    signal: Signal,
    clock: Clock,
    start_s: float,
    bands_hz: Mapping[str, tuple[float, float]],
    *,
    with_pictures: bool,
) -> Excerpt | None:
    """Return the excerpt of a recording that begins at a session time; None without samples there.

    Parameters
    ----------
    signal : Signal
    clock : Clock
        From the recording's native time to session time.
    start_s : float
        In session time.
    bands_hz : mapping of str to (float, float)
        Of which the power is stated; empty for none.
    with_pictures : bool
        Whether pictures yield thumbnails.
    """
    times_s = clock.to_session(signal.times_s) - start_s
    inside = np.flatnonzero((times_s >= 0) & (times_s < SECONDS))
    if len(inside) < 2:
        return None
    values = signal.values[inside]
    if values.ndim == 3:
        return _picture(values, times_s[inside], with_pictures)
    values = values.reshape(len(inside), -1).astype(np.float64)
    rate_hz = 1 / float(np.median(np.diff(times_s[inside])))
    around = np.flatnonzero(np.abs(times_s - SECONDS / 2) < SPECTRUM_SECONDS / 2)
    whole = signal.values[around].reshape(len(around), -1).astype(np.float64)
    names = tuple(signal.channels)[: values.shape[1]]
    if rate_hz >= LEAST_SOUND_HZ:
        frequency_hz, power = spectrum(whole[:, :1], rate_hz)
        centres_s, envelope = rms(values[:, 0], times_s[inside])
        return Excerpt(
            "sound",
            ("root mean square",),
            centres_s,
            envelope[:, None],
            *thinned(frequency_hz, power),
        )
    if rate_hz < LEAST_HZ:
        return Excerpt(
            "features", names[:MOST_CHANNELS], times_s[inside], values[:, :MOST_CHANNELS]
        )
    frequency_hz, power = spectrum(whole, rate_hz)
    chosen = spread(values.shape[1], MOST_CHANNELS)
    times, drawn = averaged(times_s[inside], values[:, chosen])
    return Excerpt(
        "signal",
        tuple(names[n] if n < len(names) else str(n + 1) for n in chosen),
        times,
        drawn,
        *thinned(frequency_hz, power),
        bands=band_shares(frequency_hz, power, bands_hz),
    )


def averaged(times_s: Array, values: Array) -> tuple[Array, Array]:
    """Average samples over blocks, so that at most `MOST_POINTS` are left."""
    size = -(-len(values) // MOST_POINTS)
    n = len(values) // size
    shape = (n, size, values.shape[1])
    return (
        times_s[: n * size].reshape(n, size).mean(1),
        values[: n * size].reshape(shape).mean(1),
    )


def rms(sound: Array, times_s: Array) -> tuple[Array, Array]:
    """Return centres and root mean square of at most `MOST_POINTS` blocks of a sound."""
    size = -(-len(sound) // MOST_POINTS)
    n = len(sound) // size
    blocks = np.nan_to_num(sound[: n * size]).reshape(n, size)
    centres_s = times_s[: n * size].reshape(n, size).mean(1)
    level: Array = np.sqrt((blocks**2).mean(1))
    return centres_s, level


def spectrum(values: Array, rate_hz: float) -> tuple[Array, Array]:
    """Return frequencies and power, mean over the channels (n, C) that have samples (Welch 1967).

    Missing samples are the channel's mean: a short gap changes the spectrum little.
    """
    from scipy.signal import welch  # takes a second to import

    present = np.isfinite(values)
    usable = present.any(0)
    if not usable.any() or len(values) < 4:
        return np.empty(0), np.empty(0)
    values, present = values[:, usable], present[:, usable]
    mean = np.where(present, values, 0).sum(0) / present.sum(0)
    filled = np.where(present, values - mean, 0.0)
    size = min(len(filled), int(SEGMENT_SECONDS * rate_hz))
    frequency_hz, power = welch(filled, rate_hz, nperseg=max(4, size), axis=0)
    return frequency_hz[1:], power[1:].mean(1)


def thinned(frequency_hz: Array, power: Array) -> tuple[Array, Array]:
    """Return a spectrum in dB at frequencies that are evenly spread on a logarithmic scale."""
    if not len(power) or not power.max() > 0:
        return np.empty(0), np.empty(0)
    edges = np.geomspace(frequency_hz[0], frequency_hz[-1] * 1.001, SPECTRUM_POINTS + 1)
    places = np.digitize(frequency_hz, edges) - 1
    counts = np.bincount(places, minlength=SPECTRUM_POINTS)[:SPECTRUM_POINTS]
    filled = counts > 0

    def mean(numbers: Array) -> Array:
        sums = np.bincount(places, numbers, minlength=SPECTRUM_POINTS)[:SPECTRUM_POINTS]
        result: Array = sums[filled] / counts[filled]
        return result

    level = mean(power)
    floor = level.max() * 1e-12
    return mean(frequency_hz), 10 * np.log10(np.maximum(level, floor) / level.max())


def band_shares(
    frequency_hz: Array, power: Array, bands_hz: Mapping[str, tuple[float, float]]
) -> dict[str, float]:
    """Return the share of each band in the power of all bands."""
    sums = {
        name: float(power[(frequency_hz >= low) & (frequency_hz < high)].sum())
        for name, (low, high) in bands_hz.items()
    }
    total = sum(sums.values())
    return {name: value / total for name, value in sums.items()} if total > 0 else {}


def _picture(frames: NDArray[Any], times_s: Array, with_pictures: bool) -> Excerpt:
    """Return brightness and change of frames (n, height, width), and thumbnails of some."""
    brightness = np.array([frame.mean() for frame in frames], np.float64)
    change = np.array(
        [np.abs(after.astype(np.int16) - before).mean() for before, after in pairwise(frames)],
        np.float64,
    )
    values = np.column_stack([brightness, np.r_[np.nan, change]])
    pictures = []
    if with_pictures:
        pictures = [png(_small(frames[n])) for n in spread(len(frames), THUMBNAILS)]
    return Excerpt(
        "picture",
        ("brightness, 0 to 255", "change of the picture"),
        times_s,
        values,
        thumbnails=pictures,
    )


def _small(frame: NDArray[Any]) -> NDArray[np.uint8]:
    """Return a picture whose longer side has at most `THUMBNAIL_PIXELS` pixels."""
    step = max(1, -(-max(frame.shape) // THUMBNAIL_PIXELS))
    height, width = (side // step * step for side in frame.shape)
    blocks = frame[:height, :width].reshape(height // step, step, width // step, step)
    return np.asarray(blocks.mean((1, 3)).round().astype(np.uint8))


def png(picture: NDArray[np.uint8]) -> bytes:
    """Return a grey picture (height, width) as a PNG file, whose bytes depend on it alone."""
    height, width = picture.shape

    def chunk(kind: bytes, content: bytes) -> bytes:
        checked = kind + content
        return struct.pack(">I", len(content)) + checked + struct.pack(">I", zlib.crc32(checked))

    rows = np.zeros((height, width + 1), np.uint8)  # each row begins with its filter, 0: none
    rows[:, 1:] = picture
    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    body = zlib.compress(rows.tobytes(), 9)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", body) + chunk(b"IEND", b"")


def features_excerpt(values: Array, times_s: Array, names: Sequence[str]) -> Excerpt:
    """Return feature frames (n, F) as an excerpt: the first channels, around the middle.

    Parameters
    ----------
    values : ndarray, shape (n, F)
    times_s : ndarray, shape (n,)
        NaN for rows without a time.
    names : sequence of str
    """
    first_channels = slice(0, MOST_CHANNELS)
    times = np.where(np.isfinite(times_s), times_s, np.arange(len(times_s)))
    middle = np.median(times)
    inside = np.abs(times - middle) <= SECONDS / 2
    if inside.sum() < 2:
        inside = np.ones(len(times), bool)
    first = times[inside].min()
    return Excerpt(
        "features",
        tuple(names[first_channels]),
        times[inside][:MOST_POINTS] - first,
        values[inside][:MOST_POINTS, first_channels].astype(np.float64),
    )

"""Reads sound: WAV, FLAC and MP3 files, and the sound tracks of media containers."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

from consilience.core.errors import RecordingError
from consilience.readers.container import (
    CONTAINERS,
    check_duration,
    check_size,
    check_sound_format,
    declared_s,
    decode_sound,
    open_container,
    sound_blocks,
)

Array = NDArray[np.float32]

# Names of the formats in libsndfile, by file extension.
FORMATS = {
    ".wav": ("WAV", "WAVEX", "RF64"),
    ".flac": ("FLAC",),
    ".mp3": ("MP3", "MPEG"),
}
SUFFIXES = (*FORMATS, *CONTAINERS)
MISSING_S = 0.25  # by which a sound track may be shorter than its container declares
UNSTATED_BYTES = 2**31 - 2**20  # a larger length in a WAV header is a placeholder
BLOCK = 2**18  # samples read at a time: bounds memory


class SoundHeader(NamedTuple):
    """Sampling rate in Hz, number of channels, and duration in s or None if not stated."""

    rate_hz: float
    n_channels: int
    duration_s: float | None


def probe(path: Path) -> SoundHeader:
    """Read rate, channels and duration from the header of a sound file or a container.

    Raises
    ------
    RecordingError
        If the file is empty, not readable as sound, of another format than its extension, or
        shorter than its header declares.
    """
    _check_not_empty(path)
    if path.suffix.lower() in CONTAINERS:
        return _probe_container(path)
    return _probe_file(path)


def decode(path: Path) -> tuple[Array, float, float]:
    """Decode the sound of a file, its channels averaged.

    Returns
    -------
    sound : ndarray of float32, shape (n_samples,)
        Full scale 1; NaN where a container's time stamps show that sound was lost.
    rate_hz : float
    start_s : float
        Time of the first sample on the file's clock.

    Raises
    ------
    RecordingError
        As `probe`; or if decoding fails, samples are not finite, or the sound ends early.
    """
    _check_not_empty(path)
    if path.suffix.lower() not in CONTAINERS:
        sound, rate_hz = _decode_file(path)
        return sound, rate_hz, 0.0
    sound, rate_hz, start_s = decode_sound(path)
    declared = _probe_container(path).duration_s
    if declared is not None and sound.size / rate_hz < declared - MISSING_S:
        raise RecordingError(
            f"the sound track is truncated: it ends before its stated {declared:.2f} s",
            str(path),
            "copy it again from the recorder",
        )
    return sound, rate_hz, start_s


def resample(sound: Array, rate_hz: float, target_hz: float, path: Path) -> Array:
    """Resample a sound; NaN marks lost samples, before and after.

    Parameters
    ----------
    sound : ndarray of float32, shape (n_samples,)
    rate_hz, target_hz : float
    path : Path
        The sound's file, for the message.

    Raises
    ------
    RecordingError
        If the result has more samples than are read at once.
    """
    if rate_hz == target_hz:
        return sound
    check_size(int(sound.size * target_hz / rate_hz), path)
    lost = np.isnan(sound)
    # The filter would spread a NaN over its neighbours, so lost samples are 0 while it runs.
    result = _resample_blocks(
        np.where(lost, np.float32(0), sound) if lost.any() else sound, rate_hz, target_hz
    )
    if lost.any():
        source = (np.arange(result.size) * (rate_hz / target_hz)).astype(int)
        result[lost[source.clip(max=lost.size - 1)]] = np.nan
    return result


def channel_blocks(path: Path) -> Iterator[tuple[float | None, Array]]:
    """Yield the samples of every channel block by block.

    Yields
    ------
    stamp_s : float or None
        Time stamp of the block, if the file has time stamps.
    block : ndarray of float32, shape (n_channels, n_samples)

    Raises
    ------
    RecordingError
        If decoding fails.
    """
    if path.suffix.lower() in CONTAINERS:
        with open_container(path, "audio") as container:
            yield from sound_blocks(container, path)
    else:
        for block in _file_blocks(path):
            yield None, block


def _check_not_empty(path: Path) -> None:
    if path.stat().st_size == 0:
        raise RecordingError("the file is empty", str(path), "copy it again from the recorder")


def _probe_file(path: Path) -> SoundHeader:
    try:
        info = soundfile.info(path)
    except soundfile.LibsndfileError as error:
        raise RecordingError(
            f"not a readable sound file: {error.error_string}", str(path), "copy or export it again"
        ) from None
    expected = FORMATS.get(path.suffix.lower(), ())
    if info.format not in expected:
        raise RecordingError(
            f"the content is {info.format}, not {expected[0] if expected else path.suffix}",
            str(path),
            "correct the file extension",
        )
    if info.frames == 0:
        raise RecordingError("no samples", str(path), "copy it again from the recorder")
    check_sound_format(info.samplerate, info.channels, path)
    check_duration(info.frames / info.samplerate, path)
    # A recorder that cannot rewrite its header leaves the largest possible length there; libsndfile
    # reports it in this line. Any other length that the file does not reach means a truncated file.
    declared = re.search(r"data : (\d+) \(should be", info.extra_info)
    if declared and int(declared[1]) < UNSTATED_BYTES:
        raise RecordingError(
            "the file is truncated: it is shorter than its header states",
            str(path),
            "copy it again from the recorder",
        )
    return SoundHeader(float(info.samplerate), info.channels, info.frames / info.samplerate)


def _probe_container(path: Path) -> SoundHeader:
    with open_container(path, "audio") as container:
        stream = container.streams.audio[0]
        check_sound_format(float(stream.rate), stream.channels, path)
        return SoundHeader(float(stream.rate), stream.channels, declared_s(container, stream))


def _decode_file(path: Path) -> tuple[Array, float]:
    """Read a sound file, its channels averaged."""
    header = _probe_file(path)
    assert header.duration_s is not None
    n_declared = round(header.duration_s * header.rate_hz)
    check_size(n_declared, path)
    sound, n_read = np.empty(n_declared, np.float32), 0
    for block in _file_blocks(path):
        if not np.isfinite(block).all():
            raise RecordingError(
                "the sound has NaN or infinite samples", str(path), "export it again"
            )
        n_read += block.shape[1]
        if n_read > sound.size:  # the header states no length, or one that is too small
            sound.resize(n_read, refcheck=False)
        sound[n_read - block.shape[1] : n_read] = block.mean(axis=0, dtype=np.float32)
    if n_read < n_declared:
        raise RecordingError("the sound is truncated", str(path), "copy it again from the recorder")
    return sound, header.rate_hz


def _file_blocks(path: Path) -> Iterator[Array]:
    """Yield the samples of a sound file, shape (n_channels, n)."""
    try:
        with soundfile.SoundFile(path) as file:
            while len(block := file.read(BLOCK, dtype="float32", always_2d=True)):
                yield block.T
    except soundfile.LibsndfileError as error:
        raise RecordingError(
            f"the sound is truncated: {error.error_string}", str(path), "copy it again"
        ) from None


def _resample_blocks(sound: Array, rate_hz: float, target_hz: float) -> Array:
    """Resample block by block, which gives the same samples as all at once."""
    stream = soxr.ResampleStream(rate_hz, target_hz, 1, dtype="float32", quality="HQ")
    starts = range(0, sound.size, BLOCK)
    blocks = [stream.resample_chunk(sound[i : i + BLOCK], i + BLOCK >= sound.size) for i in starts]
    return np.concatenate(blocks)

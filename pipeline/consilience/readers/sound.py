"""Reads sound: WAV, FLAC, AIFF, MP3, Ogg and AAC files, and the sound tracks of media containers.

WAV, FLAC and Ogg files whose content is longer or shorter than their stated length are read as
containers, which yield everything that is present with its time.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import av
import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

from consilience.core.errors import RecordingError
from consilience.core.files import cached_per_file
from consilience.core.scratch import blocks, joined, release
from consilience.core.wording import counted
from consilience.readers.channel_mix import ChannelStatistics
from consilience.readers.container import (
    DEMUXERS,
    LONGER_S,
    LOST_S,
    UNSTAMPED,
    check_duration,
    check_size,
    check_sound_format,
    content_s,
    declared_s,
    decode_sound,
    default_track,
    failed,
    losses,
    open_container,
    paced_hz,
    present_s,
    restart_findings,
    several_tracks,
    sound_blocks,
)
from consilience.readers.contents import check_not_empty
from consilience.readers.sound_length import FrameBytes, is_longer, mp3_declared_s

Array = NDArray[np.float32]
Mix = Callable[[Array], Array]

# Names of the formats in libsndfile, by file extension.
FORMATS = {
    ".wav": ("WAV", "WAVEX", "RF64"),
    ".flac": ("FLAC",),
    ".aiff": ("AIFF",),
    ".aif": ("AIFF",),
    **dict.fromkeys((".ogg", ".oga", ".opus"), ("OGG",)),
}
SUFFIXES = (*FORMATS, *DEMUXERS)
UNSTAMPED_SUFFIXES = tuple(suffix for suffix, name in DEMUXERS.items() if name in UNSTAMPED)
MISSING_S = 0.25  # by which a sound track may be shorter than its container declares
UNSTATED_BYTES = 2**31 - 2**20  # a larger length in a WAV header is a placeholder
UNSTATED_FRAMES = 2**62  # libsndfile returns the largest integer for a FLAC file without a length
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
    check_not_empty(path)
    return _probe_container(path) if _as_container(path) else _probe_file(path)


def decode(path: Path) -> tuple[Array, float, float]:
    """Decode the sound of a file, its channels averaged as in `ChannelStatistics.weights`.

    Returns
    -------
    sound : ndarray of float32, shape (n_samples,)
        Full scale 1; NaN where a container's time stamps show that sound was lost.
    rate_hz : float
        Samples per second of the file's clock.
    start_s : float
        Time of the first sample on the file's clock.

    Raises
    ------
    RecordingError
        As `probe`; or if decoding fails, samples are not finite, or the sound ends early.
    """
    check_not_empty(path)
    statistics = ChannelStatistics(path)

    def average(block: Array) -> Array:
        statistics.add(block)
        mono: Array = block.mean(axis=0, dtype=np.float32) if len(block) > 1 else block[0]
        return mono

    sound, rate_hz, start_s = _decode(path, average)
    weights = statistics.weights()
    if weights is not None:
        # Decoded again, because the statistics of the whole sound decide its mix.
        del sound
        sound, rate_hz, start_s = _decode(path, lambda block: weights @ block)
    if statistics.divisor != 1:
        for places in blocks(sound):
            sound[places] /= np.float32(statistics.divisor)
    return sound, rate_hz, start_s


def _decode(path: Path, mix: Mix) -> tuple[Array, float, float]:
    if not _as_container(path):
        sound, rate_hz = _decode_file(path, mix)
        return sound, rate_hz, 0.0
    if path.suffix.lower() in UNSTAMPED_SUFFIXES:
        _counted_s(path)  # raises if it is damaged
    decoded = decode_sound(path, mix)
    sound = decoded.joined(path)
    declared = _declared_s(path)
    if declared is not None and _ends_before(sound.size / decoded.rate_hz, declared, path):
        raise RecordingError(
            f"the sound track is truncated: it ends before its stated {declared:.2f} s",
            str(path),
            "copy it again from the recorder",
        )
    return sound, decoded.rate_hz, decoded.start_s


def _ends_before(duration_s: float, declared_s: float, path: Path) -> bool:
    """Return whether a sound track ends before its stated end, and the picture too."""
    if duration_s >= declared_s - MISSING_S:
        return False
    with open_container(path, "audio") as container:
        if default_track(container, "audio").duration is not None or path.suffix.lower() == ".mp3":
            return True
    # The container states the duration of its longest track, which may be the picture's.
    return content_s(path) < declared_s - MISSING_S


def inspect(path: Path) -> list[str]:
    """Return findings on the channels, the level, and the time stamps of a sound.

    Raises
    ------
    RecordingError
        As `decode`.
    """
    statistics = ChannelStatistics(path)
    header = probe(path)
    stamps_s: list[float | None] = []
    sizes, n_damaged = [], 0
    for stamp_s, block in channel_blocks(path):
        stamps_s.append(stamp_s)
        sizes.append(block.shape[1])
        n_damaged += int(np.isnan(block[0]).sum())
        statistics.add(block)
    findings = statistics.findings()
    if not sizes:
        return findings
    if n_damaged:
        findings.append(f"damaged: {n_damaged / header.rate_hz:.2f} s of the sound are missing")
    n_samples = np.array(sizes)
    findings += _clock_findings(n_samples, stamps_s, header.rate_hz)
    if not _as_container(path):
        return findings
    read_s = n_samples.sum() / header.rate_hz
    stated_s = _declared_s(path)
    if path.suffix.lower() in FORMATS:
        findings.append(f"the stated length is wrong or missing: {read_s:.2f} s are read")
    elif stated_s is not None and read_s > stated_s + LONGER_S:
        findings.append(f"the header states {stated_s:.2f} s: {read_s:.2f} s are read")
    with open_container(path, "audio") as container:
        return [
            *findings,
            *several_tracks(container, "audio"),
            *restart_findings(container, path),
        ]


def _clock_findings(
    sizes: NDArray[np.int64], stamps_s: list[float | None], nominal_hz: float
) -> list[str]:
    """Return findings on the pace of the time stamps and the sound lost between them."""
    rate_hz = paced_hz(sizes, stamps_s, nominal_hz)
    findings = []
    if rate_hz != nominal_hz:
        findings.append(
            f"time stamps of {rate_hz:.2f} Hz, not {nominal_hz:g} Hz: sound is read at their pace"
        )
    lost, _ = losses(sizes, stamps_s, rate_hz)
    if lost.any():
        longest_s = lost.max() / rate_hz
        places = counted(int(np.count_nonzero(lost)), "place")
        findings.append(f"sound lost at {places}, up to {longest_s:.2f} s")
    return findings


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
    result = joined(_resampled_blocks(sound, rate_hz, target_hz))
    if not any(np.isnan(sound[places].sum()) for places in blocks(sound)):
        return result
    for places in blocks(result):
        numbers = np.arange(places.start, places.stop)
        source = (numbers * (rate_hz / target_hz)).astype(int).clip(max=sound.size - 1)
        near = sound[source[0] : source[-1] + 1]
        if np.isnan(near).any():
            result[places][np.isnan(near[source - source[0]])] = np.nan
        release(sound)
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
    if _as_container(path):
        with open_container(path, "audio") as container:
            yield from sound_blocks(container, path)
    else:
        for block in _file_blocks(path):
            yield None, block


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
    if info.format == "AIFF" and is_longer(path):
        raise RecordingError(
            "its samples continue behind their stated length", str(path), "export it again as WAV"
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


def _as_container(path: Path) -> bool:
    """Return whether FFmpeg reads the file: a container, or a file that libsndfile cuts short.

    Raises
    ------
    RecordingError
        If the file is two WAV files joined.
    """
    suffix = path.suffix.lower()
    if suffix == ".wav":
        return is_longer(path)
    if suffix in (".flac", ".ogg", ".oga", ".opus"):
        return _length_differs(path)
    return suffix in DEMUXERS


def _length_differs(path: Path) -> bool:
    """Return whether a FLAC or Ogg file holds sound of another length than libsndfile reads.

    Joined files are longer; damaged ones are shorter, and libsndfile refuses or shifts their sound.
    """
    try:
        info = soundfile.info(path)
    except soundfile.LibsndfileError:
        return path.suffix.lower() != ".flac"  # libsndfile reads some codecs of Ogg only
    if info.format not in FORMATS[path.suffix.lower()]:
        return False  # reported by `_probe_file`
    try:
        difference_s = _counted_s(path) - info.frames / info.samplerate
    except RecordingError:
        return False
    # Packets of lossy codecs include samples that are not presented.
    limit_s = 0.5 / info.samplerate if info.format == "FLAC" else LOST_S
    return abs(difference_s) > limit_s


@cached_per_file(8)
def _counted_s(path: Path) -> float:
    """Return the sum of the durations of a sound track's packets, in seconds.

    Raises
    ------
    RecordingError
        If a file without time stamps is damaged, because later sound would be shifted.
    """
    with open_container(path, "audio") as container:
        stream = default_track(container, "audio")
        checked = FrameBytes(path) if container.format.name in UNSTAMPED else None
        ticks = 0
        try:
            for packet in container.demux(stream):
                ticks += packet.duration or 0
                if checked and packet.size:
                    checked.add(packet.pos, bytes(packet))
            if checked:
                checked.check_total()
        except (av.FFmpegError, ValueError, IndexError) as error:
            raise failed("the sound track is truncated", error, path) from None
        # Without the priming samples of the codec, which are not presented.
        return float(ticks * stream.time_base) - max(container.start_time or 0, 0) / av.time_base


def _declared_s(path: Path) -> float | None:
    """Return the duration that a container's header states; None without any."""
    if path.suffix.lower() == ".mp3":
        return mp3_declared_s(path)
    with open_container(path, "audio") as container:
        return declared_s(container, default_track(container, "audio"))


def _probe_container(path: Path) -> SoundHeader:
    with open_container(path, "audio") as container:
        stream = default_track(container, "audio")
        check_sound_format(float(stream.rate), stream.channels, path)
        rate_hz, n_channels = float(stream.rate), stream.channels
        unstamped = container.format.name in UNSTAMPED
        if path.suffix.lower() in FORMATS:
            # Such a file's header is wrong, so its content is counted.
            sound, paced, _ = _decode(path, lambda block: block[0])
            duration_s: float | None = sound.size / paced
        else:
            duration_s = _counted_s(path) if unstamped else present_s(container, stream, path)
    check_duration(duration_s, path)
    return SoundHeader(rate_hz, n_channels, duration_s)


def _decode_file(path: Path, mix: Mix) -> tuple[Array, float]:
    """Read a sound file, its channels mixed."""
    header = _probe_file(path)
    assert header.duration_s is not None
    n_declared = round(header.duration_s * header.rate_hz)
    check_size(n_declared, path)

    def mono() -> Iterator[Array]:
        n_read = 0
        for block in _file_blocks(path):
            if not np.isfinite(block).all():
                raise RecordingError(
                    "the sound has NaN or infinite samples", str(path), "export it again"
                )
            n_read += block.shape[1]
            yield mix(block)
        if n_read < n_declared or not n_read:
            raise RecordingError(
                "the sound is truncated", str(path), "copy it again from the recorder"
            )

    return joined(mono()), header.rate_hz


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


def _resampled_blocks(sound: Array, rate_hz: float, target_hz: float) -> Iterator[Array]:
    """Resample block by block, which gives the same samples as all at once."""
    stream = soxr.ResampleStream(rate_hz, target_hz, 1, dtype="float32", quality="HQ")
    for places in blocks(sound, step=BLOCK):
        block = sound[places]
        # The filter would spread a NaN over its neighbours, so lost samples are 0 while it runs.
        if np.isnan(block.sum()):
            block = np.where(np.isnan(block), np.float32(0), block)
        yield stream.resample_chunk(block, places.stop == sound.size)

"""Media containers: header checks, time stamps and decoding of the sound track.

The time of every stream counts from the presentation start of the container, so that picture and
sound of a file share a clock: formats such as MPEG start at any time stamp, and the priming samples
of a codec precede the start.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Literal

import av
import numpy as np
from numpy.typing import NDArray

from consilience.core.errors import RecordingError

Array = NDArray[np.float32]

# FFmpeg's demuxer by file extension.
CONTAINERS = {
    ".mp4": "mov",
    ".mov": "mov",
    ".avi": "avi",
    ".flv": "flv",
    ".mpg": "mpeg",
    ".mpeg": "mpeg",
    ".mkv": "matroska",
}
# FFmpeg chooses the demuxer by content. The whitelist excludes playlists, which open other files
# or the network.
ALLOWED = {
    "format_whitelist": ",".join(dict.fromkeys(CONTAINERS.values())),
    "protocol_whitelist": "file",
}
MISSING = {
    "audio": ("no sound track", "export it with sound"),
    "video": ("no video stream", "export it with its video"),
}
MAX_DURATION_S = 12 * 3600.0
MAX_SAMPLES = 2**29  # 3 hours at 48 kHz, which fit into memory
RATES_HZ = (4000.0, 768000.0)  # of sound
MAX_CHANNELS = 64
MAX_PIXELS = 2**26  # of a picture: twice those of 8K video
LOST_S = 0.05  # a longer gap in the time stamps is lost sound; a shorter one is rounding
START_S = 1.0  # the earliest block within this time sets the start of the sound


def open_container(path: Path, kind: Literal["audio", "video"]) -> Any:
    """Open a media file with at least one stream of a kind.

    Returns
    -------
    av.container.InputContainer
        The caller closes it.

    Raises
    ------
    RecordingError
        If the file is empty, not a media file, or of another format than its extension; if it has
        no such stream, or its stated duration is invalid.
    """
    if path.stat().st_size == 0:
        raise RecordingError("the file is empty", str(path), "copy it again from the recorder")
    try:
        # The prefix keeps a colon in the name from being read as a protocol.
        container = av.open(f"file:{path}", options=dict(ALLOWED))
    except av.ArgumentError:
        raise RecordingError(
            f"the content is not one of {', '.join(dict.fromkeys(CONTAINERS.values()))}",
            str(path),
            "correct the file extension; playlists are not followed",
        ) from None
    except (av.FFmpegError, OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise RecordingError(
            f"not a readable media file: {reason}", str(path), "copy it again"
        ) from None
    try:
        _check(container, path, kind)
    except RecordingError:
        container.close()
        raise
    return container


def _check(container: Any, path: Path, kind: Literal["audio", "video"]) -> None:
    expected = CONTAINERS[path.suffix.lower()]
    if expected not in container.format.name.split(","):
        raise RecordingError(
            f"the content is {container.format.name}, not {expected}",
            str(path),
            "correct the file extension",
        )
    streams = getattr(container.streams, kind)
    if not streams:
        what, remedy = MISSING[kind]
        raise RecordingError(what, str(path), remedy)
    codec = streams[0].codec_context
    if codec is None:
        raise RecordingError(f"unsupported {kind} codec", str(path), "export it again")
    if kind == "video":
        if codec.width * codec.height > MAX_PIXELS:
            raise RecordingError(
                f"pictures of {codec.width} by {codec.height} pixels are too large",
                str(path),
                "export it again",
            )
        codec.options = {"max_pixels": str(MAX_PIXELS)}  # the size may change within the file
    check_duration(declared_s(container, streams[0]), path)


def check_duration(duration_s: float | None, path: Path) -> None:
    """Raise RecordingError if a stated duration is longer than `MAX_DURATION_S`, or NaN."""
    if duration_s is not None and not duration_s <= MAX_DURATION_S:
        raise RecordingError(
            f"the stated duration is {duration_s / 3600:.3g} h; at most "
            f"{MAX_DURATION_S / 3600:g} h are read",
            str(path),
            "split it, or export it again if its header is wrong",
        )


def check_sound_format(rate_hz: float, n_channels: int, path: Path) -> None:
    """Raise RecordingError if the sampling rate or the number of channels is invalid for sound."""
    if not RATES_HZ[0] <= rate_hz <= RATES_HZ[1]:
        low, high = RATES_HZ
        raise RecordingError(
            f"invalid sampling rate of sound: {rate_hz:g} Hz ({low:g} to {high:g} are read)",
            str(path),
            "correct the header, or resample the sound",
        )
    if not 1 <= n_channels <= MAX_CHANNELS:
        raise RecordingError(
            f"invalid number of channels: {n_channels} (1 to {MAX_CHANNELS} are read)",
            str(path),
            "export it again",
        )


def check_size(n_samples: int, path: Path) -> None:
    """Raise RecordingError if a sound has more than `MAX_SAMPLES` samples."""
    if n_samples > MAX_SAMPLES:
        raise RecordingError(
            f"more than {MAX_SAMPLES} samples, which do not fit into memory",
            str(path),
            "split it, or export it at a lower rate",
        )


def declared_s(container: Any, stream: Any) -> float | None:
    """Return the stated duration in seconds of a stream, or else of its container."""
    if stream.duration is not None:
        return float(stream.duration * stream.time_base)
    return container.duration / av.time_base if container.duration is not None else None


def origin_s(container: Any) -> float:
    """Return the time stamp of the presentation start of a container, in seconds."""
    # A negative start is the priming of a codec, which is not presented.
    return max((container.start_time or 0) / av.time_base, 0.0)


def decode_sound(path: Path) -> tuple[Array, float, float]:
    """Decode the first sound track of a container, its channels averaged.

    Returns
    -------
    sound : ndarray of float32, shape (n_samples,)
        Full scale 1; NaN where the time stamps show that sound was lost.
    rate_hz : float
    start_s : float
        Time of the first sample on the container's clock.

    Raises
    ------
    RecordingError
        If decoding fails or nothing is decoded.
    """
    blocks: list[Array] = []
    stamps_s: list[float | None] = []
    n_samples = 0
    with open_container(path, "audio") as container:
        rate_hz = float(container.streams.audio[0].rate)
        start_s = origin_s(container)
        for stamp_s, block in sound_blocks(container, path):
            n_samples += block.shape[1]
            check_size(n_samples, path)
            blocks.append(block.mean(axis=0, dtype=np.float32))
            stamps_s.append(stamp_s)
    if not blocks:
        raise RecordingError("the sound track has no samples", str(path), "export it again")
    lost, first_s = losses(np.array([block.size for block in blocks]), stamps_s, rate_hz)
    check_size(n_samples + int(lost.sum()), path)
    return _joined(blocks, lost), rate_hz, first_s - start_s


def sound_blocks(container: Any, path: Path) -> Iterator[tuple[float | None, Array]]:
    """Decode the first sound track block by block.

    Yields
    ------
    stamp_s : float or None
        Time stamp of the block.
    block : ndarray of float32, shape (n_channels, n_samples)

    Raises
    ------
    RecordingError
        If decoding fails.
    """
    stream = container.streams.audio[0]
    check_sound_format(float(stream.rate), stream.channels, path)
    to_float = av.AudioResampler(format="fltp")
    try:
        for frame in container.decode(stream):
            for converted in to_float.resample(frame):
                yield frame.time, np.asarray(converted.to_ndarray(), np.float32)
    except (av.FFmpegError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise RecordingError(
            f"the sound track is truncated: {reason}", str(path), "copy it again"
        ) from None


def losses(
    sizes: NDArray[np.int64], stamps_s: Iterable[float | None], rate_hz: float
) -> tuple[NDArray[np.int64], float]:
    """Return how many samples were lost before each block, from the time stamps.

    A single late block is rounding, or was stamped on arrival; sound was lost where all later
    blocks are late too. The lateness of a block is therefore the minimum over it and all later
    blocks, and a loss is a rise of this minimum by more than `LOST_S`.

    Parameters
    ----------
    sizes : ndarray of int64, shape (n_blocks,)
        Samples of each block.
    stamps_s : iterable of float or None
        Time stamp of each block; a missing or decreasing one counts as on time.
    rate_hz : float

    Returns
    -------
    lost : ndarray of int64, shape (n_blocks,)
        Samples lost before each block; 0 before the first.
    first_s : float
        Time of the first sample.
    """
    late_s = np.array([np.nan if stamp is None else stamp for stamp in stamps_s], np.float64)
    decreasing = np.zeros(late_s.size, bool)
    decreasing[1:] = late_s[1:] < np.fmax.accumulate(late_s)[:-1]
    late_s[decreasing] = np.nan
    # Without losses a block starts when the samples before it have been played.
    nominal_s = (np.cumsum(sizes) - sizes) / rate_hz
    late_s -= nominal_s
    if np.isnan(late_s).all():
        return np.zeros(sizes.size, np.int64), 0.0
    # Blocks without a stamp are as late as the last stamped one before them.
    last = np.maximum.accumulate(np.where(np.isnan(late_s), 0, np.arange(late_s.size)))
    late_s = np.where(np.isnan(late_s[last]), np.nanmin(late_s), late_s[last])
    lasting_s = np.minimum.accumulate(late_s[::-1])[::-1]
    lost = np.zeros(sizes.size, np.int64)
    level_s = first_s = float(late_s[nominal_s < START_S].min())
    for index in np.flatnonzero(np.diff(lasting_s) > 0) + 1:
        # The level ignores small rises, so that they add up until they exceed the limit.
        if lasting_s[index] - level_s > LOST_S:
            lost[index] = round((lasting_s[index] - level_s) * rate_hz)
            level_s = float(lasting_s[index])
    return lost, first_s


def _joined(blocks: list[Array], lost: NDArray[np.int64]) -> Array:
    pieces: list[Array] = []
    for block, n_lost in zip(blocks, lost, strict=True):
        if n_lost:
            pieces.append(np.full(n_lost, np.nan, np.float32))
        pieces.append(block)
    return np.concatenate(pieces)

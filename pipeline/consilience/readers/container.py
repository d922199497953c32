"""Media containers: opening them, what they say of their time, and the sound in them.

The time of every stream counts from the moment the container begins to be shown, so that picture
and sound of one file share a clock: formats such as MPEG start anywhere, and a coder's run-in
before that moment is not shown.
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

# The name of FFmpeg's reader by file name ending.
CONTAINERS = {
    ".mp4": "mov",
    ".mov": "mov",
    ".avi": "avi",
    ".flv": "flv",
    ".mpg": "mpeg",
    ".mpeg": "mpeg",
    ".mkv": "matroska",
}
# Playlists, which open other files or the network, are none of these: FFmpeg goes by the content.
ALLOWED = {
    "format_whitelist": ",".join(dict.fromkeys(CONTAINERS.values())),
    "protocol_whitelist": "file",
}
MISSING = {
    "audio": ("there is no sound track", "export it with sound"),
    "video": ("there is no picture", "export it with its video"),
}
LONGEST_S = 12 * 3600.0
MOST_SAMPLES = 2**29  # 3 hours at 48 kHz: what a machine holds in memory
RATES_HZ = (4000.0, 768000.0)  # of sound
MOST_CHANNELS = 64
MOST_PIXELS = 2**26  # of a picture; twice those of 8K
LOST_S = 0.05  # sound that stays away for longer than this was lost; less is rounding
BEGINNING_S = 1.0  # the least late block of it tells when the sound began


def open_container(path: Path, kind: Literal["audio", "video"]) -> Any:
    """Open a media file that has at least one stream of a kind.

    Returns
    -------
    av.container.InputContainer
        To be closed by the caller.

    Raises
    ------
    RecordingError
        If the file is empty, no media file, of another format than its ending says, has no
        such stream, or states a length that no recording has.
    """
    if path.stat().st_size == 0:
        raise RecordingError("the file is empty", str(path), "copy it again from the recorder")
    try:
        container = av.open(f"file:{path}", options=dict(ALLOWED))  # or a colon makes a protocol
    except av.ArgumentError:
        raise RecordingError(
            f"the content is none of {', '.join(dict.fromkeys(CONTAINERS.values()))}",
            str(path),
            "correct the file's ending; playlists are not followed",
        ) from None
    except (av.FFmpegError, OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise RecordingError(
            f"not a readable media file: {reason}", str(path), "copy it again"
        ) from None
    try:
        _refuse(container, path, kind)
    except RecordingError:
        container.close()
        raise
    return container


def _refuse(container: Any, path: Path, kind: Literal["audio", "video"]) -> None:
    expected = CONTAINERS[path.suffix.lower()]
    if expected not in container.format.name.split(","):
        raise RecordingError(
            f"the content is {container.format.name}, not {expected}",
            str(path),
            "correct the file's ending",
        )
    streams = getattr(container.streams, kind)
    if not streams:
        what, remedy = MISSING[kind]
        raise RecordingError(what, str(path), remedy)
    coder = streams[0].codec_context
    if coder is None:
        raise RecordingError(
            f"its {kind} is coded in a way that cannot be read", str(path), "export it again"
        )
    if kind == "video":
        if coder.width * coder.height > MOST_PIXELS:
            raise RecordingError(
                f"pictures of {coder.width} by {coder.height} are larger than any camera's",
                str(path),
                "export it again",
            )
        coder.options = {"max_pixels": str(MOST_PIXELS)}  # it may change within the file
    refuse_length(declared_s(container, streams[0]), path)


def refuse_length(duration_s: float | None, path: Path) -> None:
    """Raise RecordingError if a recording is said to last longer than any does."""
    if duration_s is not None and not duration_s <= LONGEST_S:
        raise RecordingError(
            f"it is said to last {duration_s / 3600:.3g} h, of which {LONGEST_S / 3600:g} are read",
            str(path),
            "split it, or export it again if its header is wrong",
        )


def refuse_layout(rate_hz: float, n_channels: int, path: Path) -> None:
    """Raise RecordingError if no sound has this rate or as many channels."""
    if not RATES_HZ[0] <= rate_hz <= RATES_HZ[1]:
        low, high = RATES_HZ
        raise RecordingError(
            f"a rate of {rate_hz:g} Hz is none of sound ({low:g} to {high:g} are read)",
            str(path),
            "correct the header, or resample the sound",
        )
    if not 1 <= n_channels <= MOST_CHANNELS:
        raise RecordingError(
            f"{n_channels} channels are not 1 to {MOST_CHANNELS}", str(path), "export it again"
        )


def refuse_size(n_samples: int, path: Path) -> None:
    """Raise RecordingError if a sound has more samples than are read at once."""
    if n_samples > MOST_SAMPLES:
        raise RecordingError(
            f"more than {MOST_SAMPLES} samples are not read at once",
            str(path),
            "split it, or export it at a lower rate",
        )


def declared_s(container: Any, stream: Any) -> float | None:
    """Return the duration a stream, or else its container, states in seconds."""
    if stream.duration is not None:
        return float(stream.duration * stream.time_base)
    return container.duration / av.time_base if container.duration is not None else None


def origin_s(container: Any) -> float:
    """Return the time stamp at which the container begins to be shown, in seconds."""
    return max((container.start_time or 0) / av.time_base, 0.0)


def decode_sound(path: Path) -> tuple[Array, float, float]:
    """Decode the first sound track of a container, its channels averaged.

    Returns
    -------
    sound : ndarray of float32, shape (n_samples,)
        NaN where the time stamps say that sound was lost.
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
            refuse_size(n_samples, path)
            blocks.append(block.mean(axis=0, dtype=np.float32))
            stamps_s.append(stamp_s)
    if not blocks:
        raise RecordingError("the sound track has no samples", str(path), "export it again")
    lost, first_s = losses(np.array([block.size for block in blocks]), stamps_s, rate_hz)
    refuse_size(n_samples + int(lost.sum()), path)
    return _joined(blocks, lost), rate_hz, first_s - start_s


def sound_blocks(container: Any, path: Path) -> Iterator[tuple[float | None, Array]]:
    """Decode the first sound track, yielding time stamps and blocks, shape (n_channels, n).

    Raises
    ------
    RecordingError
        If decoding fails.
    """
    stream = container.streams.audio[0]
    refuse_layout(float(stream.rate), stream.channels, path)
    to_float = av.AudioResampler(format="fltp")
    try:
        for frame in container.decode(stream):
            for part in to_float.resample(frame):
                yield frame.time, np.asarray(part.to_ndarray(), np.float32)
    except (av.FFmpegError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise RecordingError(
            f"the sound track breaks off: {reason}", str(path), "copy it again"
        ) from None


def losses(
    sizes: NDArray[np.int64], stamps_s: Iterable[float | None], rate_hz: float
) -> tuple[NDArray[np.int64], float]:
    """Find how much sound was lost before each block.

    A block may be late for a moment, by rounding or because it was stamped on arrival; sound is
    lost where all that follows stays late. So the lateness of a block is the least of it and of
    all later ones, and a loss is where that rises by more than `LOST_S`.

    Parameters
    ----------
    sizes : ndarray of int64, shape (n_blocks,)
        Samples of each block.
    stamps_s : iterable of float or None
        Their time stamps; one that is missing or goes back counts as on time.
    rate_hz : float

    Returns
    -------
    lost : ndarray of int64, shape (n_blocks,)
        Samples lost before each block, 0 before the first.
    first_s : float
        Time of the first sample.
    """
    late = np.array([np.nan if stamp is None else stamp for stamp in stamps_s], np.float64)
    back = np.zeros(late.size, bool)
    back[1:] = late[1:] < np.fmax.accumulate(late)[:-1]
    late[back] = np.nan
    since_s = (np.cumsum(sizes) - sizes) / rate_hz
    late -= since_s
    if np.isnan(late).all():
        return np.zeros(sizes.size, np.int64), 0.0
    known = np.maximum.accumulate(np.where(np.isnan(late), 0, np.arange(late.size)))
    late = np.where(np.isnan(late[known]), np.nanmin(late), late[known])
    settled = np.minimum.accumulate(late[::-1])[::-1]
    lost = np.zeros(sizes.size, np.int64)
    reached = first_s = float(late[since_s < BEGINNING_S].min())
    for index in np.flatnonzero(np.diff(settled) > 0) + 1:
        if settled[index] - reached > LOST_S:
            lost[index] = round((settled[index] - reached) * rate_hz)
            reached = float(settled[index])
    return lost, first_s


def _joined(blocks: list[Array], lost: NDArray[np.int64]) -> Array:
    parts: list[Array] = []
    for block, n_lost in zip(blocks, lost, strict=True):
        if n_lost:
            parts.append(np.full(n_lost, np.nan, np.float32))
        parts.append(block)
    return np.concatenate(parts)

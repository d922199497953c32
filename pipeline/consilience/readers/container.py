"""Media containers: header checks, time stamps and decoding of the sound track.

The time of every stream counts from the presentation start of the container, so that picture and
sound of a file share a clock: formats such as MPEG start at any time stamp, and the priming samples
of a codec precede the start. If the stamps begin again, as in files joined byte by byte, the parts
follow each other (`consilience.readers.restarts`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from mmap import ACCESS_READ, mmap
from pathlib import Path
from typing import Any, Literal, NamedTuple

import av
import numpy as np
from av.stream import Disposition
from numpy.typing import NDArray

from consilience.core.errors import RecordingError
from consilience.core.files import cached_per_file
from consilience.core.scratch import blocks, joined
from consilience.readers.contents import check_not_empty
from consilience.readers.pace import fit_pace
from consilience.readers.restarts import NO_RESTARTS, Packets, Restarts, find_restarts

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
    ".webm": "matroska",
}
# Files with sound alone.
SOUND_CONTAINERS = {
    ".m4a": "mov",
    ".mp3": "mp3",
    ".aac": "aac",
}
DEMUXERS = {**CONTAINERS, **SOUND_CONTAINERS}
# Read by libsndfile, unless their stated length is wrong; recognised, so that a wrong extension of
# another file is named.
OTHERS = {
    ".wav": "wav",
    ".flac": "flac",
    ".aiff": "aiff",
    ".ogg": "ogg",
    ".oga": "ogg",
    ".opus": "ogg",
}
UNSTAMPED = ("mp3", "aac")  # have no time stamps; their stated durations are estimates
# Demuxers that compute increasing time stamps from an index cannot begin again.
INDEXED = ("mov", "avi", "wav", "flac", *UNSTAMPED)
# FFmpeg chooses the demuxer by content. The whitelist excludes playlists, which open other files
# or the network.
ALLOWED = {
    "format_whitelist": ",".join(dict.fromkeys((*DEMUXERS.values(), *OTHERS.values()))),
    "protocol_whitelist": "file",
}
MISSING = {
    "audio": ("no sound track", "export it with sound"),
    "video": ("no video stream", "export it with its video"),
}
MAX_DURATION_S = 12 * 3600.0
MAX_SAMPLES = 2**31  # 12 hours at 48 kHz, 9 GB of temporary files
RATES_HZ = (4000.0, 768000.0)  # of sound
MAX_CHANNELS = 64
MAX_PIXELS = 2**26  # of a picture: twice those of 8K video
LOST_S = 0.05  # a longer gap in the time stamps is lost sound; a shorter one is rounding
LONGER_S = 1.0  # by which content may exceed its stated duration without a finding
START_S = 1.0  # the earliest block within this time sets the start of the sound
FLASH = b"FLV\x01"  # begins an FLV file; after the kinds of tracks follow two sizes
FLASH_SIZES = b"\0\0\0\x09\0\0\0\0"
MAX_BOXES = 100_000  # of an MP4 file, at its top level
PRIMING_S = 1.0  # a start before it is that of a wrapped clock, not a codec's priming
DAMAGED_FRACTION = 0.5  # of the sound, above which nothing can be made of it


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
    check_not_empty(path)
    try:
        # The prefix keeps a colon in the name from being read as a protocol.
        container = _open(path)
    except av.ArgumentError:
        raise RecordingError(
            f"the content is not one of {', '.join(dict.fromkeys(DEMUXERS.values()))}",
            str(path),
            "correct the file extension; playlists are not followed",
        ) from None
    except (av.FFmpegError, OSError, ValueError) as error:
        raise failed("not a readable media file", error, path) from None
    try:
        _check(container, path, kind)
    except RecordingError:
        container.close()
        raise
    return container


def failed(what: str, error: Exception, path: Path) -> RecordingError:
    """Return the error of a file in which FFmpeg or PyAV fails, with their reason."""
    reason = getattr(error, "strerror", None) or error
    return RecordingError(f"{what}: {reason}", str(path), "copy it again")


def _open(path: Path) -> Any:
    options = dict(ALLOWED)
    if path.suffix.lower() == ".wav":
        options["ignore_length"] = "1"  # read as a container only if its length is wrong
    # Tags may be in any encoding; they are not used as text.
    return av.open(f"file:{path}", options=options, metadata_errors="replace")


def _check(container: Any, path: Path, kind: Literal["audio", "video"]) -> None:
    expected = {**DEMUXERS, **OTHERS}[path.suffix.lower()]
    if expected not in container.format.name.split(","):
        raise RecordingError(
            f"the content is {container.format.name}, not {expected}",
            str(path),
            "correct the file extension",
        )
    if not getattr(container.streams, kind):
        what, remedy = MISSING[kind]
        raise RecordingError(what, str(path), remedy)
    stream = default_track(container, kind)
    codec = stream.codec_context
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
    check_duration(declared_s(container, stream), path)
    if expected == "mov":
        _check_single(_second_movie(path), path)
    if expected == "flv":
        _check_single(_second_flash(path), path)


def _check_single(place: int | None, path: Path) -> None:
    """Raise RecordingError if a second file begins at a place, of which FFmpeg reads nothing."""
    if place is not None:
        raise RecordingError(
            f"a second recording follows the first, before byte {place} of {path.stat().st_size}",
            str(path),
            "files of this format are joined with a video editor, not byte by byte",
        )


def _second_flash(path: Path) -> int | None:
    """Return the end of the second header of an FLV file."""
    with path.open("rb") as file, mmap(file.fileno(), 0, access=ACCESS_READ) as content:
        place = content.find(FLASH, len(FLASH))
        while place >= 0 and content[place + 5 : place + 13] != FLASH_SIZES:
            place = content.find(FLASH, place + 1)
    return None if place < 0 else place + 13


def _second_movie(path: Path) -> int | None:
    """Return the place behind the second table of contents of an MP4 file."""
    place, n_movies = 0, 0
    with path.open("rb") as file:
        for _ in range(MAX_BOXES):
            file.seek(place)
            header = file.read(16)
            if len(header) < 8:
                break
            n_bytes, kind = int.from_bytes(header[:4], "big"), header[4:8]
            if n_bytes == 1:  # the length has 64 bits
                n_bytes = int.from_bytes(header[8:], "big")
            n_movies += kind == b"moov"
            if n_movies == 2:
                return place
            if n_bytes < 8:
                break
            place += n_bytes
    return None


def default_track(container: Any, kind: Literal["audio", "video"]) -> Any:
    """Return the stream of a kind that the container marks as default, or else the first one.

    Cover pictures, which sound files contain, are chosen only if nothing else is present.
    """
    streams = getattr(container.streams, kind)
    moving = [s for s in streams if not s.disposition & Disposition.attached_pic] or list(streams)
    return next((s for s in moving if s.disposition & Disposition.default), moving[0])


def several_tracks(container: Any, kind: Literal["audio", "video"]) -> list[str]:
    """Return a finding on the track that is read, if there are several of a kind."""
    streams = list(getattr(container.streams, kind))
    if len(streams) < 2:
        return []
    chosen = default_track(container, kind)
    default = "the default" if chosen.disposition & Disposition.default else "the first"
    number = 1 + streams.index(chosen)
    return [f"{len(streams)} {kind} tracks: track {number} is read, {default}"]


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
            f"more than {MAX_SAMPLES} samples, which do not fit into temporary files",
            str(path),
            "split it, or export it at a lower rate",
        )


def declared_s(container: Any, stream: Any) -> float | None:
    """Return the stated duration in seconds of a stream, or else of its container."""
    if container.format.name in UNSTAMPED:
        return None
    if stream.duration is not None:
        return float(stream.duration * stream.time_base)
    return container.duration / av.time_base if container.duration is not None else None


def origin_s(container: Any) -> float:
    """Return the time stamp of the presentation start of a container, in seconds."""
    if container.format.name in UNSTAMPED:
        return 0.0
    start_s: float = (container.start_time or 0) / av.time_base
    # A negative start is the priming of a codec, which is not presented. FFmpeg also returns one
    # if the 33-bit clock of MPEG wraps within the file.
    return start_s if start_s > 0 or start_s < -PRIMING_S else 0.0


class DecodedSound(NamedTuple):
    """A sound track.

    Attributes
    ----------
    samples : ndarray of float32, shape (n_samples,)
        Full scale 1; NaN where the file is damaged. In a temporary file if it is large.
    sizes : ndarray of int64, shape (n_blocks,)
        Samples of each block of the track.
    lost : ndarray of int64, shape (n_blocks,)
        Samples lost before each block.
    rate_hz : float
        Samples per second of the container's clock.
    start_s : float
        Time of the first sample on the container's clock.
    """

    samples: Array
    sizes: NDArray[np.int64]
    lost: NDArray[np.int64]
    rate_hz: float
    start_s: float

    def joined(self, path: Path) -> Array:
        """Return the samples in one array, NaN where sound was lost.

        Raises
        ------
        RecordingError
            If they are too many.
        """
        check_size(self.samples.size + int(self.lost.sum()), path)
        return joined(self._pieces()) if self.lost.any() else self.samples

    def _pieces(self) -> Iterator[Array]:
        before = np.flatnonzero(self.lost)
        starts = np.concatenate([[0], (np.cumsum(self.sizes) - self.sizes)[before]])
        stops = np.append(starts[1:], self.samples.size)
        for start, stop, n_lost in zip(starts, stops, [0, *self.lost[before]], strict=True):
            yield np.full(n_lost, np.nan, np.float32)
            for rows in blocks(self.samples[start:stop]):
                yield self.samples[start:stop][rows]


def decode_sound(path: Path, mix: Callable[[Array], Array]) -> DecodedSound:
    """Decode the sound track of a container.

    Parameters
    ----------
    path : Path
    mix : callable
        Returns the mono samples, shape (n_samples,), of a block of shape (n_channels, n_samples).

    Raises
    ------
    RecordingError
        If decoding fails or nothing is decoded.
    """
    stamps_s: list[float | None] = []
    counts: list[int] = []
    damaged: list[bool] = []

    def mono() -> Iterator[Array]:
        n_samples = 0
        for stamp_s, block in sound_blocks(container, path):
            n_samples += block.shape[1]
            check_size(n_samples, path)
            mixed = mix(block)
            stamps_s.append(stamp_s)
            counts.append(mixed.size)
            damaged.extend(np.isnan(mixed[:1]))
            yield mixed
        if not counts:
            raise RecordingError("the sound track has no samples", str(path), "export it again")

    with open_container(path, "audio") as container:
        rate_hz = float(default_track(container, "audio").rate)
        origin = origin_s(container)
        samples = joined(mono())
    if np.mean(damaged) > DAMAGED_FRACTION:
        raise RecordingError("most of the sound track is damaged", str(path), "copy it again")
    sizes = np.array(counts)
    rate_hz = paced_hz(sizes, stamps_s, rate_hz)
    lost, first_s = losses(sizes, stamps_s, rate_hz)
    return DecodedSound(samples, sizes, lost, rate_hz, first_s - origin)


def paced_hz(sizes: NDArray[np.int64], stamps_s: Iterable[float | None], rate_hz: float) -> float:
    """Return the samples per second of the container's clock.

    It is the nominal rate, unless the time stamps clearly advance at another pace.
    """
    nominal_s = (np.cumsum(sizes) - sizes) / rate_hz
    stamps = np.array([np.nan if stamp is None else stamp for stamp in stamps_s], np.float64)
    return rate_hz / (1 + fit_pace(nominal_s, stamps))


def packets(container: Any, stream: Any, path: Path) -> Iterator[Any]:
    """Demultiplex a stream, its time stamps on one clock if they begin again within the file.

    Raises
    ------
    RecordingError
        As `restarts_of`.
    """
    shifts = restarts_of(container, path).shifts_s(stream.index)
    number = 0
    for packet in container.demux(stream):
        shift_s = shifts(number) if shifts and packet.dts is not None else 0.0
        number += packet.dts is not None
        if shift_s:
            ticks = round(shift_s / packet.time_base)
            packet.dts += ticks
            packet.pts = None if packet.pts is None else packet.pts + ticks
        yield packet


def intact_frames(container: Any, stream: Any, path: Path) -> Iterator[Any]:
    """Decode a video stream without the pictures of damaged sections.

    After a packet that cannot be decoded, pictures are wrong until the next one that does not
    depend on others.

    Raises
    ------
    RecordingError
        As `restarts_of`.
    """
    intact = True
    for packet in packets(container, stream, path):
        try:
            frames = packet.decode()
        except av.InvalidDataError:
            intact = False
            continue
        for frame in frames:
            intact = intact or bool(frame.key_frame)
            if intact and not frame.is_corrupt:
                yield frame


def restarts_of(container: Any, path: Path) -> Restarts:
    """Return where the time stamps of an open container begin again.

    Reads all packets of the file without decoding them, unless its format computes stamps.

    Raises
    ------
    RecordingError
        If picture and sound do not begin again together.
    """
    return NO_RESTARTS if _is_indexed(container) else find_restarts(_packet_times(path), path)


def _is_indexed(container: Any) -> bool:
    return any(name in INDEXED for name in container.format.name.split(","))


def content_s(path: Path) -> float:
    """Return the end of the last packet of picture or sound, on the container's clock.

    Raises
    ------
    RecordingError
        As `restarts_of`.
    """
    return max(_ends_s(path).values(), default=0.0)


def present_s(container: Any, stream: Any, path: Path) -> float | None:
    """Return the stated duration of a stream in seconds, or that of its content if it is longer.

    Raises
    ------
    RecordingError
        As `restarts_of`.
    """
    stated_s = declared_s(container, stream)
    entries = stream.index_entries if "mov" in container.format.name else ()
    if entries:  # the table of contents of an MP4 file lists all packets
        end_s = float(entries[len(entries) - 1].timestamp * stream.time_base)
    else:
        end_s = _ends_s(path).get(stream.index, 0.0)
    return end_s if stated_s is None or end_s > stated_s + LONGER_S else stated_s


@cached_per_file(8)
def _ends_s(path: Path) -> dict[int, float]:
    """Return the end of the last packet of each stream of picture or sound; see `content_s`."""
    with _open(path) as container:
        start_s, indexed = origin_s(container), _is_indexed(container)
    streams = _packet_times(path)
    restarts = NO_RESTARTS if indexed else find_restarts(streams, path)
    return {
        index: restarts.end_s(index, packets) - start_s
        for index, packets in streams.items()
        if packets.dts_s
    }


def _packet_times(path: Path) -> dict[int, Packets]:
    """Return the time stamps of the packets of picture and sound, by stream."""
    with _open(path) as container:
        tracks = (*container.streams.video, *container.streams.audio)
        streams = {track.index: Packets() for track in tracks}
        try:
            for packet in container.demux(*tracks):
                if packet.dts is not None:
                    ticks = (packet.dts, packet.pts, packet.duration)
                    streams[packet.stream_index].add(
                        *(np.nan if t is None else float(t * packet.time_base) for t in ticks)
                    )
        except (av.FFmpegError, ValueError, IndexError):
            pass  # a truncated file: decoding it reports the reason
    return streams


def restart_findings(container: Any, path: Path) -> list[str]:
    """Return a finding on time stamps that begin again. Raises as `restarts_of`."""
    n_restarts = len(restarts_of(container, path).offsets_s)
    if not n_restarts:
        return []
    places = "place" if n_restarts == 1 else "places"
    return [
        f"time stamps begin again at {n_restarts} {places}: "
        "the parts follow each other without a pause"
    ]


def sound_blocks(container: Any, path: Path) -> Iterator[tuple[float | None, Array]]:
    """Decode the sound track block by block.

    Yields
    ------
    stamp_s : float or None
        Time stamp of the block.
    block : ndarray of float32, shape (n_channels, n_samples)
        NaN where a packet is damaged.

    Raises
    ------
    RecordingError
        If decoding fails, or the sampling rate changes.
    """
    stream = default_track(container, "audio")
    rate_hz = stream.rate
    check_sound_format(float(rate_hz), stream.channels, path)
    # Damaged frames of FLAC decode to noise, unless their checksums are compared.
    stream.codec_context.options = {"err_detect": "crccheck+explode"}
    to_float = av.AudioResampler(format="fltp")
    stamped = container.format.name not in UNSTAMPED
    try:
        for packet in packets(container, stream, path):
            try:
                frames = packet.decode()
            except av.InvalidDataError:
                yield from _damaged(packet, stream)
                continue
            for frame in frames:
                if frame.sample_rate != rate_hz:
                    raise RecordingError(
                        f"the sampling rate changes between {frame.sample_rate} and {rate_hz} Hz",
                        str(path),
                        "export it again",
                    )
                for converted in to_float.resample(frame):
                    stamp_s = frame.time if stamped else None
                    yield stamp_s, np.asarray(converted.to_ndarray(), np.float32)
    except (av.FFmpegError, ValueError, IndexError) as error:
        # PyAV raises IndexError for a stream that FFmpeg did not see when it opened the file.
        raise failed("the sound track is truncated", error, path) from None


def _damaged(packet: Any, stream: Any) -> Iterator[tuple[float | None, Array]]:
    """Yield NaN for the duration of a packet that cannot be decoded."""
    if packet.duration and packet.pts is not None:
        n_samples = round(float(packet.duration * packet.time_base) * stream.rate)
        yield (
            float(packet.pts * packet.time_base),
            np.full((stream.channels, n_samples), np.nan, np.float32),
        )


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

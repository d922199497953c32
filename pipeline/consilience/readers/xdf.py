"""XDF files of LabRecorder: the list of streams, and the samples of a stream.

pyxdf reads the samples. Before that, the chunks of the file are walked once, to check that the
declared numbers of bytes, samples and channels fit into the file. A file that its recorder did not
finish is read up to the last whole chunk. ``.xdfz`` is XDF packed by gzip. Format:
https://github.com/sccn/xdf/wiki/Specifications
"""

from __future__ import annotations

import io
import logging
import math
import struct
import zlib
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple
from xml.etree import ElementTree

import numpy as np
import pyxdf
from numpy.typing import NDArray

from consilience.core.errors import RecordingError
from consilience.core.files import cached_per_file, content_hash, text_hash
from consilience.readers import lsl
from consilience.readers.contents import refuse_converted
from consilience.readers.packet_counter import COUNTER, count

Array = NDArray[np.float64]

SUFFIXES = (".xdf", ".xdfz")
FILE_HEADER, STREAM_HEADER, SAMPLES, CLOCK_OFFSET, STREAM_FOOTER = 1, 2, 3, 4, 6
SAMPLE_BYTES = {
    **{"int8": 1, "int16": 2, "int32": 4, "int64": 8},
    **{"float32": 4, "double64": 8},
    "string": 2,  # at least: the length of a length, and a length of 0
}
TEXT = "string"
CHANNELS = "desc/channels/channel"  # in a stream's header
MAX_RATE_HZ = 200_000.0
GZIP = b"\x1f\x8b"
GZIP_BITS = 31  # zlib: a gzip header, and the largest window
MAX_EXPANSION = 64  # bytes in memory per byte of a packed file
SMALL_BYTES = 2**28  # packed files that need less memory are always read
BLOCK = 2**16
# Offsets are measured every few seconds while a stream is recorded.
MAX_FROM_OFFSETS_S = 300.0
MAX_FROM_OTHERS_S = 6 * 3600.0  # a longer pause within a session is a difference of clocks

logging.getLogger("pyxdf").setLevel(logging.CRITICAL)


@dataclass
class Stream:
    """Header of a stream, and the size of its content.

    Attributes
    ----------
    stream_id : int
        Number of the stream in the file.
    name, type : str
        As declared by the sender; several streams may share both.
    rate_hz : float
        Nominal sampling rate; 0 for samples at irregular times.
    n_channels : int
    format : str
        ``"string"``, ``"float32"`` and so on.
    channels, units : tuple of str
        One per channel; empty if the sender does not declare them.
    can_drop_samples : bool
        Whether the sender, such as a camera, declares that it drops samples.
    start_time : str or None
        Start of the recording, as stated by the file.
    n_samples : int
    first_s : float
        First time stamp on the sender's clock; NaN without samples.
    span_s : tuple of (float, float)
        Least and largest time stamp at the start of a chunk.
    offsets : list of (float, float)
        Time on the sender's clock, and the offset to the recording computer's clock, in seconds.
    clock_fault : str
        Why the time stamps cannot be mapped to the session's clock; empty if they can.
    """

    stream_id: int
    name: str
    type: str
    rate_hz: float
    n_channels: int
    format: str
    channels: tuple[str, ...]
    units: tuple[str, ...]
    can_drop_samples: bool = False
    start_time: str | None = None
    n_samples: int = 0
    first_s: float = math.nan
    span_s: tuple[float, float] = (math.inf, -math.inf)
    offsets: list[tuple[float, float]] = field(default_factory=list)
    clock_fault: str = ""

    @property
    def item(self) -> str:
        """The key of the stream, unique in the file: its type, or else name, and its number."""
        return f"{self.type or self.name}#{self.stream_id}"


class Contents(NamedTuple):
    """Streams of a file, in the order of their numbers, and what is wrong with the file.

    Attributes
    ----------
    streams : tuple of Stream
    notes : tuple of str
        Damage of the file, and footers that are missing or disagree with the samples.
    damaged : bool
        Whether a part of the file could not be read.
    end : int
        Bytes of the unpacked file that consist of whole chunks.
    """

    streams: tuple[Stream, ...]
    notes: tuple[str, ...]
    damaged: bool
    end: int


@dataclass(frozen=True)
class Samples:
    """Samples of a stream.

    Attributes
    ----------
    stream : Stream
    values : ndarray of float64, shape (n_samples, n_channels), or of objects (str)
    stamps_s : ndarray of float64, shape (n_samples,)
        Time stamps of the sender, from the start of the session: on the sender's clock, with
        jitter. Resets of the sender's clock are removed.
    anchors_s : ndarray of float64, shape (n_offsets, 2)
        Sender's time and session time of each clock comparison.
    """

    stream: Stream
    values: NDArray[Any]
    stamps_s: Array
    anchors_s: Array

    @property
    def times_s(self) -> Array:
        """The time stamps without jitter, if the stream has a rate, shape (n_samples,)."""
        names = [name.casefold() for name in self.stream.channels]
        packets = count(self.values[:, names.index(COUNTER)]) if COUNTER in names else None
        positions = None if packets is None else packets.position
        return lsl.dejitter(
            self.stamps_s, self.stream.rate_hz, self.stream.can_drop_samples, positions
        )


@cached_per_file(8)
def contents(path: Path) -> Contents:
    """Return the streams of a file, empty ones included, and notes on its damage.

    Raises
    ------
    RecordingError
        If the file is not an XDF file, breaks off before its first sample, or has an invalid
        header.
    """
    with _open(path) as file:
        if file.read(4) != b"XDF:":
            raise RecordingError("not an XDF file", str(path), "export it again")
        walk = _Walk(file)
        try:
            walk.run()
        except (struct.error, ValueError, KeyError, ElementTree.ParseError) as error:
            refuse_converted(path)
            what = " ".join(str(error).split())
            if not any(stream.n_samples for stream in walk.by_id.values()):
                raise RecordingError(
                    f"the XDF file is truncated or broken: {what}", str(path), "copy it again"
                ) from None
            share = 100 * (1 - walk.end / walk.size)
            walk.notes = [
                f"the file breaks off at byte {walk.end} of {walk.size} (the last {share:.2g} %): "
                "what was recorded before is read"
            ]
    present = tuple(walk.by_id[number] for number in sorted(walk.by_id))
    _find_clock_faults(present)
    damaged = walk.end < walk.size
    notes = walk.notes if damaged else walk.notes + _footer_notes(present, walk.footers)
    return Contents(present, tuple(notes), damaged, walk.end)


def streams(path: Path) -> tuple[Stream, ...]:
    """Return the streams of a file in the order of their numbers. Raises as `contents`."""
    return contents(path).streams


def findings(path: Path, item: str | None) -> list[str]:
    """Return what is wrong with a file, and with the clock of one of its streams."""
    stream = find(path, item)
    fault = [f"stream {stream.item} ('{stream.name}'): {stream.clock_fault}"]
    return [*contents(path).notes, *(fault if stream.clock_fault else [])]


def find(path: Path, item: str | None) -> Stream:
    """Return the stream that `item` selects: ``EEG#3``, or a type or name only one stream has.

    Raises
    ------
    RecordingError
        As `streams`; if the item selects no stream, more than one, or an empty one.
    """
    present = streams(path)
    key = (item or "").casefold()
    matches = [stream for stream in present if stream.item.casefold() == key] or [
        stream for stream in present if key in (stream.type.casefold(), stream.name.casefold())
    ]
    if len(matches) != 1:
        raise RecordingError(
            f"{'no stream is' if not matches else 'more than one stream is'} '{item}'",
            str(path),
            f"the file has {', '.join(stream.item for stream in present) or 'none'}",
        )
    if matches[0].n_samples == 0:
        raise RecordingError(
            f"the stream {matches[0].item} ('{matches[0].name}') is empty",
            str(path),
            "the device was not sending: check it before the next recording",
        )
    return matches[0]


def read(path: Path, item: str | None) -> Samples:
    """Read one stream.

    Raises
    ------
    RecordingError
        As `find`; or if the samples are unreadable.
    """
    stream = find(path, item)
    content = contents(path)
    try:
        (loaded,), _ = pyxdf.load_xdf(
            io.BytesIO(_chunks_of(path, stream, content.end)),
            synchronize_clocks=False,
            dejitter_timestamps=False,
        )
    except Exception as error:  # pyxdf raises almost anything on damaged bytes
        raise RecordingError(
            f"the stream {stream.item} is unreadable: {error}", str(path), "record again"
        ) from None
    n_read = len(loaded["time_stamps"])
    if n_read != stream.n_samples:
        what = f"{n_read} of {stream.n_samples} samples of stream {stream.item} are readable"
        raise RecordingError(what, str(path), "copy it again")
    start_s = stream.first_s if stream.clock_fault else _start_s(content.streams)
    stamps_s = np.asarray(loaded["time_stamps"], np.float64) - start_s
    if not np.isfinite(stamps_s).all():
        raise RecordingError(f"non-finite time stamps in stream {stream.item}", str(path))
    offsets = [] if stream.clock_fault else stream.offsets
    measured_s, offsets_s = np.array(offsets, np.float64).reshape(-1, 2).T
    stamps_s, anchors_s = lsl.unfold(stamps_s, measured_s - start_s, offsets_s)
    dtype = object if stream.format == TEXT else np.float64
    values = np.asarray(loaded["time_series"], dtype).reshape(len(stamps_s), -1)
    return Samples(stream, values, stamps_s, anchors_s)


def identity(path: Path, item: str | None) -> str:
    """Return the hash of the file and of the selected stream."""
    return text_hash(content_hash(path), find(path, item).item)


def _start_s(present: tuple[Stream, ...]) -> float:
    """Return the start of the session, the first sample, on the recording computer's clock."""
    firsts = [
        stream.first_s + (stream.offsets[0][1] if stream.offsets else 0.0)
        for stream in present
        if math.isfinite(stream.first_s) and not stream.clock_fault
    ]
    return min(firsts, default=0.0)


class _Walk:
    """One pass over the chunks of a file that is open behind its magic bytes."""

    def __init__(self, file: BinaryIO) -> None:
        self.file, self.end = file, file.tell()
        self.size = file.seek(0, io.SEEK_END)
        file.seek(self.end)
        self.by_id: dict[int, Stream] = {}
        self.footers: dict[int, int] = {}  # declared number of samples by stream
        self.notes: list[str] = []
        self.start_time: str | None = None

    def run(self) -> None:
        """Read headers and offsets, and count the samples, up to the first invalid chunk."""
        for tag, length, end in _chunks(self.file, self.size):
            self._chunk(tag, length)
            self.end = end

    def _chunk(self, tag: int, length: int) -> None:
        file = self.file
        if tag == FILE_HEADER:
            self.start_time = ElementTree.fromstring(file.read(length)).findtext("datetime")
        elif tag == STREAM_HEADER:
            stream = _parse_header(_number(file, "<I"), file.read(length - 4), self.size)
            stream.start_time = self.start_time
            self.by_id[stream.stream_id] = stream
        elif tag == SAMPLES:
            _count(self.by_id[_number(file, "<I")], file, length - 4)
        elif tag == CLOCK_OFFSET:
            stream = self.by_id[_number(file, "<I")]
            stream.offsets.append((_number(file, "<d"), _number(file, "<d")))
        elif tag == STREAM_FOOTER:
            self._footer(_number(file, "<I"), file.read(length - 4))

    def _footer(self, stream_id: int, text: bytes) -> None:
        try:
            declared = int(ElementTree.fromstring(text).findtext("sample_count") or 0)
        except (ValueError, ElementTree.ParseError):
            self.notes.append(f"the footer of stream {stream_id} is broken: it is ignored")
            declared = 0
        self.footers[stream_id] = declared


def _footer_notes(present: tuple[Stream, ...], footers: dict[int, int]) -> list[str]:
    """Return notes on footers that are missing, or declare another number of samples."""
    without = [stream.item for stream in present if stream.stream_id not in footers]
    notes = [f"no footer for {', '.join(without)}: the recorder did not finish the file"]
    return notes * bool(without) + [
        f"stream {stream.item} has {stream.n_samples} samples, its footer declares {declared}"
        for stream in present
        if (declared := footers.get(stream.stream_id, 0)) and declared != stream.n_samples
    ]


def _find_clock_faults(present: tuple[Stream, ...]) -> None:
    """Mark the streams whose time stamps are not on the clock that the file states for them."""
    recorded = [stream for stream in present if stream.n_samples]
    for stream in recorded:
        measured = [(time_s, time_s) for time_s, _ in stream.offsets]
        if measured and _distance_s(stream.span_s, _hull(measured)) > MAX_FROM_OFFSETS_S:
            stream.clock_fault = (
                f"its time stamps, from {stream.first_s:.0f} s, and the clock offsets measured "
                f"for it, from {measured[0][0]:.0f} s, are of different clocks: it is not aligned"
            )
    sound = [stream for stream in recorded if not stream.clock_fault]
    compared = [stream for stream in sound if stream.offsets] or sound[:1]
    if not compared:
        return
    session = _common_span([_session_span(stream) for stream in compared])
    for stream in sound:
        if _distance_s(_session_span(stream), session) > MAX_FROM_OTHERS_S:
            stream.clock_fault = (
                f"its time stamps, from {stream.first_s:.0f} s, are not on the clock of the other "
                f"streams, from {session[0]:.0f} s: it is not aligned"
            )


def _session_span(stream: Stream) -> tuple[float, float]:
    offset_s = stream.offsets[0][1] if stream.offsets else 0.0
    return stream.span_s[0] + offset_s, stream.span_s[1] + offset_s


def _common_span(spans_s: list[tuple[float, float]]) -> tuple[float, float]:
    """Return the hull of the most spans that lie close together; of equally many, the earliest.

    LSL's clock counts from the start of a computer: seconds of 1970 are those of another clock.
    """
    groups = [
        [other for other in spans_s if _distance_s(span, other) <= MAX_FROM_OTHERS_S]
        for span in sorted(spans_s)
    ]
    return _hull(max(groups, key=len))


def _hull(spans_s: list[tuple[float, float]]) -> tuple[float, float]:
    return min(low for low, _ in spans_s), max(high for _, high in spans_s)


def _distance_s(first: tuple[float, float], second: tuple[float, float]) -> float:
    """Return how far two spans of time lie apart; below 0 if they overlap."""
    return max(first[0] - second[1], second[0] - first[1])


def _chunks_of(path: Path, stream: Stream, end: int) -> bytes:
    """Return an XDF file of one stream, of the whole chunks up to a position, without footers."""
    parts = [b"XDF:"]
    with _open(path) as file:
        first = file.seek(len(parts[0]))
        for tag, length, after in _chunks(file, end):
            start = file.tell()
            in_stream = tag in (STREAM_HEADER, SAMPLES, CLOCK_OFFSET)
            if tag == FILE_HEADER or (in_stream and _number(file, "<I") == stream.stream_id):
                file.seek(first)
                parts.append(file.read(start - first + length))
            first = after
    return b"".join(parts)


def _open(path: Path) -> BinaryIO:
    """Open a file, unpacked if it is packed by gzip, whatever its name.

    A packed file that breaks off is unpacked as far as it goes.
    """
    file = path.open("rb")
    packed = file.read(len(GZIP)) == GZIP
    file.seek(0)
    if not packed:
        return file
    limit = max(SMALL_BYTES, MAX_EXPANSION * path.stat().st_size)
    unzip, unpacked = zlib.decompressobj(GZIP_BITS), io.BytesIO()
    with file, suppress(zlib.error):
        while (block := file.read(BLOCK)) and not unzip.eof:
            unpacked.write(unzip.decompress(block, limit))
            if unzip.unconsumed_tail or unpacked.tell() > limit:
                raise RecordingError(
                    f"unpacked, it would take more than {limit / 1e9:.1f} GB of memory",
                    str(path),
                    "unpack it with gunzip",
                )
    unpacked.seek(0)
    return unpacked


def _chunks(file: BinaryIO, size: int) -> Iterator[tuple[int, int, int]]:
    """Yield tag, length in bytes and end of every chunk, with the file at its content."""
    while file.tell() < size:
        length = _length(file)
        end = file.tell() + length
        if length < 2 or end > size:
            raise ValueError(f"a chunk ends at byte {end} of {size}")
        yield _number(file, "<H"), length - 2, end
        file.seek(end)


def _parse_header(stream_id: int, text: bytes, size: int) -> Stream:
    header = ElementTree.fromstring(text)
    name, kind = ((header.findtext(what) or "").strip() for what in ("name", "type"))
    rate_hz = float(header.findtext("nominal_srate") or 0)
    n_channels = int(header.findtext("channel_count") or 0)
    sample_format = (header.findtext("channel_format") or "").strip()
    row_bytes = n_channels * SAMPLE_BYTES.get(sample_format, 0)
    if not 0 < row_bytes <= size:
        raise ValueError(f"stream {stream_id} has {n_channels} channels of '{sample_format}'")
    if not 0 <= rate_hz <= MAX_RATE_HZ:
        raise ValueError(f"stream {stream_id} has a sampling rate of {rate_hz:g} Hz")
    labels, units = (
        tuple((channel.findtext(key) or "").strip() for channel in header.iterfind(CHANNELS))
        for key in ("label", "unit")
    )
    complete = len(labels) == n_channels and all(labels)
    return Stream(
        stream_id,
        name,
        kind,
        rate_hz,
        n_channels,
        sample_format,
        labels if complete else (),
        units if len(units) == n_channels else (),
        header.findtext("desc/synchronization/can_drop_samples") == "true",
    )


def _count(stream: Stream, file: BinaryIO, length: int) -> None:
    """Add the samples of a chunk to a stream, and check that they fit into the chunk."""
    start = file.tell()
    n_samples = _length(file)
    n_bytes = length - (file.tell() - start)
    if n_samples * (1 + stream.n_channels * SAMPLE_BYTES[stream.format]) > n_bytes:
        raise ValueError(f"{n_samples} samples of stream {stream.item} in {n_bytes} bytes")
    if n_samples and file.read(1) != b"\x00":
        first_s = _number(file, "<d")
        if not math.isfinite(first_s):
            raise ValueError(f"a time stamp of stream {stream.item} is {first_s}")
        stream.first_s = first_s if math.isnan(stream.first_s) else stream.first_s
        stream.span_s = min(stream.span_s[0], first_s), max(stream.span_s[1], first_s)
    stream.n_samples += n_samples


def _length(file: BinaryIO) -> int:
    width = file.read(1)
    if width not in (b"\x01", b"\x04", b"\x08"):
        raise ValueError("invalid length of a length")
    return int(_number(file, {1: "<B", 4: "<I", 8: "<Q"}[width[0]]))


def _number(file: BinaryIO, form: str) -> Any:
    return struct.unpack(form, file.read(struct.calcsize(form)))[0]

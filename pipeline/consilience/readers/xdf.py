"""XDF files of LabRecorder: the list of streams, and the samples of a stream.

pyxdf reads the samples. Before that, the chunks of the file are walked once, to check that the
declared numbers of bytes, samples and channels fit into the file. Format:
https://github.com/sccn/xdf/wiki/Specifications
"""

from __future__ import annotations

import logging
import math
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, BinaryIO
from xml.etree import ElementTree

import numpy as np
import pyxdf
from numpy.typing import NDArray

from consilience.core.errors import RecordingError
from consilience.core.files import content_hash, text_hash
from consilience.readers import lsl

Array = NDArray[np.float64]

FILE_HEADER, STREAM_HEADER, SAMPLES, CLOCK_OFFSET = 1, 2, 3, 4
SAMPLE_BYTES = {
    **{"int8": 1, "int16": 2, "int32": 4, "int64": 8},
    **{"float32": 4, "double64": 8},
    "string": 2,  # at least: the length of a length, and a length of 0
}
TEXT = "string"
CHANNELS = "desc/channels/channel"  # in a stream's header
MAX_RATE_HZ = 200_000.0

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
    offsets : list of (float, float)
        Time on the sender's clock, and the offset to the recording computer's clock, in seconds.
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
    offsets: list[tuple[float, float]] = field(default_factory=list)

    @property
    def item(self) -> str:
        """The key of the stream, unique in the file: its type, or else name, and its number."""
        return f"{self.type or self.name}#{self.stream_id}"


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
        return lsl.dejitter(self.stamps_s, self.stream.rate_hz, self.stream.can_drop_samples)


def streams(path: Path) -> tuple[Stream, ...]:
    """Return the streams of a file in the order of their numbers, empty ones included.

    Raises
    ------
    RecordingError
        If the file is not an XDF file, is truncated, or has an invalid header.
    """
    stat = path.stat()
    return _walk(path, stat.st_mtime_ns, stat.st_size)


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
    try:
        (loaded,), _ = pyxdf.load_xdf(
            str(path),
            select_streams=[stream.stream_id],
            synchronize_clocks=False,
            dejitter_timestamps=False,
        )
    except Exception as error:  # pyxdf raises almost anything on damaged bytes
        raise RecordingError(
            f"the stream {stream.item} is unreadable: {error}", str(path), "record again"
        ) from None
    start_s = _start_s(streams(path))
    stamps_s = np.asarray(loaded["time_stamps"], np.float64) - start_s
    if not np.isfinite(stamps_s).all():
        raise RecordingError(f"non-finite time stamps in stream {stream.item}", str(path))
    measured_s, offsets_s = np.array(stream.offsets, np.float64).reshape(-1, 2).T
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
        if math.isfinite(stream.first_s)
    ]
    return min(firsts, default=0.0)


@lru_cache(maxsize=8)
def _walk(path: Path, mtime_ns: int, size: int) -> tuple[Stream, ...]:
    by_id: dict[int, Stream] = {}
    start_time = None
    try:
        with path.open("rb") as file:
            if file.read(4) != b"XDF:":
                raise RecordingError("not an XDF file", str(path), "export it again")
            for tag, length in _chunks(file, size):
                if tag == FILE_HEADER:
                    start_time = ElementTree.fromstring(file.read(length)).findtext("datetime")
                elif tag == STREAM_HEADER:
                    stream = _parse_header(_number(file, "<I"), file.read(length - 4), size)
                    stream.start_time = start_time
                    by_id[stream.stream_id] = stream
                elif tag == SAMPLES:
                    _count(by_id[_number(file, "<I")], file, length - 4)
                elif tag == CLOCK_OFFSET:
                    stream = by_id[_number(file, "<I")]
                    stream.offsets.append((_number(file, "<d"), _number(file, "<d")))
    except (struct.error, ValueError, KeyError, ElementTree.ParseError) as error:
        what = " ".join(str(error).split())
        raise RecordingError(
            f"the XDF file is truncated or broken: {what}", str(path), "copy it again"
        ) from None
    return tuple(by_id[number] for number in sorted(by_id))


def _chunks(file: BinaryIO, size: int) -> Iterator[tuple[int, int]]:
    """Yield the tag and the length in bytes of every chunk, with the file at its content."""
    while file.tell() < size:
        length = _length(file)
        end = file.tell() + length
        if length < 2 or end > size:
            raise ValueError(f"a chunk ends at byte {end} of {size}")
        yield _number(file, "<H"), length - 2
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
    if n_samples and math.isnan(stream.first_s) and file.read(1) != b"\x00":
        stream.first_s = _number(file, "<d")
        if not math.isfinite(stream.first_s):
            raise ValueError(f"a time stamp of stream {stream.item} is {stream.first_s}")
    stream.n_samples += n_samples


def _length(file: BinaryIO) -> int:
    width = file.read(1)
    if width not in (b"\x01", b"\x04", b"\x08"):
        raise ValueError("invalid length of a length")
    return int(_number(file, {1: "<B", 4: "<I", 8: "<Q"}[width[0]]))


def _number(file: BinaryIO, form: str) -> Any:
    return struct.unpack(form, file.read(struct.calcsize(form)))[0]

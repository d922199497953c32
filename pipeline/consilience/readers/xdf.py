"""XDF files, as LabRecorder writes them: which streams there are, and one stream's samples.

pyxdf reads the samples. Before it may, the file's chunks are walked once, so that no declared
number of bytes, samples or channels is believed that the file is too small to hold. The format:
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
    "string": 2,  # at the least: the length of a length, and a length of 0
}
TEXT = "string"
CHANNELS = "desc/channels/channel"  # in a stream's header
MAX_RATE_HZ = 200_000.0

logging.getLogger("pyxdf").setLevel(logging.CRITICAL)


@dataclass
class Stream:
    """What a file says of one of its streams.

    Attributes
    ----------
    stream_id : int
        Its number in the file.
    name, type : str
        As its sender called it; several streams may share both.
    rate_hz : float
        Nominal sampling rate; 0 if samples come when they come.
    n_channels : int
    format : str
        ``"string"``, ``"float32"`` and so on.
    channels, units : tuple of str
        One per channel, or empty if the sender did not say.
    can_drop_samples : bool
        Whether the sender, such as a camera, says that it leaves out samples.
    start_time : str or None
        When the recording began, as the file has it.
    n_samples : int
    first_s : float
        First time stamp on the sender's clock, NaN if there is none.
    offsets : list of (float, float)
        The sender's clock, and what to add to it for the recording computer's.
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
        """What selects the stream, unique in the file: its type or else name, and its number."""
        return f"{self.type or self.name}#{self.stream_id}"


@dataclass(frozen=True)
class Samples:
    """One stream as recorded.

    Attributes
    ----------
    stream : Stream
    values : ndarray of float64, shape (n_samples, n_channels), or of objects (str)
    stamps_s : ndarray of float64, shape (n_samples,)
        Time stamps as the sender gave them, from the start of the session: not moved to the
        recording computer's clock, jitter and all; a restart of the sender's clock is undone.
    anchors_s : ndarray of float64, shape (n_offsets, 2)
        Time on the sender's clock and on the session's, where the clocks were compared.
    """

    stream: Stream
    values: NDArray[Any]
    stamps_s: Array
    anchors_s: Array

    @property
    def times_s(self) -> Array:
        """The time stamps freed from jitter, if the stream has a rate."""
        return lsl.dejitter(self.stamps_s, self.stream.rate_hz, self.stream.can_drop_samples)


def streams(path: Path) -> tuple[Stream, ...]:
    """Return the streams of a file in the order of their numbers, empty ones included.

    Raises
    ------
    RecordingError
        If the file is no XDF file, is truncated, or says what cannot be.
    """
    stat = path.stat()
    return _walk(path, stat.st_mtime_ns, stat.st_size)


def find(path: Path, item: str | None) -> Stream:
    """Return the stream that `item` selects: ``EEG#3``, or a type or name only one stream has.

    Raises
    ------
    RecordingError
        As `streams`; if no stream or more than one is meant, or it is empty.
    """
    known = streams(path)
    wanted = (item or "").casefold()
    found = [stream for stream in known if stream.item.casefold() == wanted] or [
        stream for stream in known if wanted in (stream.type.casefold(), stream.name.casefold())
    ]
    if len(found) != 1:
        raise RecordingError(
            f"{'no stream is' if not found else 'more than one stream is'} '{item}'",
            str(path),
            f"there are {', '.join(stream.item for stream in known) or 'none'}",
        )
    if found[0].n_samples == 0:
        raise RecordingError(
            f"the stream {found[0].item} ('{found[0].name}') is empty",
            str(path),
            "the device was not sending: check it before the next recording",
        )
    return found[0]


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
    except Exception as error:  # whatever the bytes lead the reader to
        raise RecordingError(
            f"the stream {stream.item} is unreadable: {error}", str(path), "record again"
        ) from None
    start_s = _start_s(streams(path))
    stamps_s = np.asarray(loaded["time_stamps"], np.float64) - start_s
    if not np.isfinite(stamps_s).all():
        raise RecordingError(f"time stamps of {stream.item} are no numbers", str(path))
    measured_s, offsets_s = np.array(stream.offsets, np.float64).reshape(-1, 2).T
    stamps_s, anchors_s = lsl.unfold(stamps_s, measured_s - start_s, offsets_s)
    kind = object if stream.format == TEXT else np.float64
    values = np.asarray(loaded["time_series"], kind).reshape(len(stamps_s), -1)
    return Samples(stream, values, stamps_s, anchors_s)


def identity(path: Path, item: str | None) -> str:
    """Return a hash of the file and of which stream is meant."""
    return text_hash(content_hash(path), find(path, item).item)


def _start_s(known: tuple[Stream, ...]) -> float:
    """Return when the session begins on the recording computer's clock: with the first sample."""
    firsts = [
        stream.first_s + (stream.offsets[0][1] if stream.offsets else 0.0)
        for stream in known
        if math.isfinite(stream.first_s)
    ]
    return min(firsts, default=0.0)


@lru_cache(maxsize=8)
def _walk(path: Path, mtime_ns: int, size: int) -> tuple[Stream, ...]:
    found: dict[int, Stream] = {}
    start_time = None
    try:
        with path.open("rb") as file:
            if file.read(4) != b"XDF:":
                raise RecordingError("not an XDF file", str(path), "export it again")
            for tag, length in _chunks(file, size):
                if tag == FILE_HEADER:
                    start_time = ElementTree.fromstring(file.read(length)).findtext("datetime")
                elif tag == STREAM_HEADER:
                    stream = _described(_number(file, "<I"), file.read(length - 4), size)
                    stream.start_time = start_time
                    found[stream.stream_id] = stream
                elif tag == SAMPLES:
                    _count(found[_number(file, "<I")], file, length - 4)
                elif tag == CLOCK_OFFSET:
                    stream = found[_number(file, "<I")]
                    stream.offsets.append((_number(file, "<d"), _number(file, "<d")))
    except (struct.error, ValueError, KeyError, ElementTree.ParseError) as error:
        what = " ".join(str(error).split())
        raise RecordingError(
            f"the XDF file is truncated or broken: {what}", str(path), "copy it again"
        ) from None
    return tuple(found[number] for number in sorted(found))


def _chunks(file: BinaryIO, size: int) -> Iterator[tuple[int, int]]:
    """Stop at the content of every chunk, giving its tag and its length in bytes."""
    while file.tell() < size:
        length = _length(file)
        end = file.tell() + length
        if length < 2 or end > size:
            raise ValueError(f"a chunk ends at byte {end} of {size}")
        yield _number(file, "<H"), length - 2
        file.seek(end)


def _described(stream_id: int, text: bytes, size: int) -> Stream:
    header = ElementTree.fromstring(text)
    name, kind = ((header.findtext(what) or "").strip() for what in ("name", "type"))
    rate_hz = float(header.findtext("nominal_srate") or 0)
    n_channels = int(header.findtext("channel_count") or 0)
    form = (header.findtext("channel_format") or "").strip()
    if form not in SAMPLE_BYTES or not 0 < n_channels * SAMPLE_BYTES[form] <= size:
        raise ValueError(f"stream {stream_id} has {n_channels} channels of format '{form}'")
    if not 0 <= rate_hz <= MAX_RATE_HZ:
        raise ValueError(f"stream {stream_id} has {rate_hz:g} samples a second")
    labels, units = (
        tuple((one.findtext(what) or "").strip() for one in header.iterfind(CHANNELS))
        for what in ("label", "unit")
    )
    complete = len(labels) == n_channels and all(labels)
    return Stream(
        stream_id,
        name,
        kind,
        rate_hz,
        n_channels,
        form,
        labels if complete else (),
        units if len(units) == n_channels else (),
        header.findtext("desc/synchronization/can_drop_samples") == "true",
    )


def _count(stream: Stream, file: BinaryIO, length: int) -> None:
    """Count the samples of a chunk, and check that it can hold as many."""
    start = file.tell()
    n_samples = _length(file)
    room = length - (file.tell() - start)
    if n_samples * (1 + stream.n_channels * SAMPLE_BYTES[stream.format]) > room:
        raise ValueError(f"{n_samples} samples of stream {stream.item} in {room} bytes")
    if n_samples and math.isnan(stream.first_s) and file.read(1) != b"\x00":
        stream.first_s = _number(file, "<d")
        if not math.isfinite(stream.first_s):
            raise ValueError(f"a time stamp of stream {stream.item} is {stream.first_s}")
    stream.n_samples += n_samples


def _length(file: BinaryIO) -> int:
    width = file.read(1)
    if width not in (b"\x01", b"\x04", b"\x08"):
        raise ValueError("a length makes no sense")
    return int(_number(file, {1: "<B", 4: "<I", 8: "<Q"}[width[0]]))


def _number(file: BinaryIO, form: str) -> Any:
    return struct.unpack(form, file.read(struct.calcsize(form)))[0]

"""Stated lengths of sound files, and the bytes of their frames."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import BinaryIO

from consilience.core.errors import RecordingError

BLOCK = 2**20  # bytes read at a time
# Byte order, and name of the chunk of samples, by the first bytes of a file.
SAMPLES = {b"RIFF": ("<", b"data"), b"RF64": ("<", b"data"), b"FORM": (">", b"SSND")}
UNSTATED = 2**32 - 1  # length of a chunk that is stated elsewhere, or not
MP3_RATES_HZ = (44100, 48000, 32000)  # of MPEG 1; 2 and 2.5 halve and quarter them
MP3_SEARCH = 2**16  # bytes in which the first frame lies, after the tags
MAX_CHUNKS = 10_000
FRAME_BYTES = {".mp3": 1441, ".aac": 8191}  # the longest frame of the format
MAX_OTHER_BYTES = 1024  # of an AAC file: a tag at its end
TAGS = (b"ID3", b"TAG", b"APETAGEX", b"LYRICS")  # data between joined files


class FrameBytes:
    """Check that a sound file without time stamps consists of frames and tags alone.

    Decoders skip other bytes, which shifts all later sound.

    Parameters
    ----------
    path : Path
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.first: int | None = None
        self.n_bytes = 0

    def add(self, place: int | None, content: bytes) -> None:
        """Add a packet at a byte of the file.

        Raises
        ------
        RecordingError
            If it is longer than a frame, without a tag.
        """
        self.first = place or 0 if self.first is None else self.first
        self.n_bytes += len(content)
        limit = FRAME_BYTES[self.path.suffix.lower()]
        if len(content) > limit and not any(tag in content for tag in TAGS):
            self._refuse(len(content) - limit)

    def check_total(self) -> None:
        """Raise RecordingError if more bytes than one frame and a tag are in no packet."""
        missing = self.path.stat().st_size - (self.first or 0) - self.n_bytes
        if self.path.suffix.lower() == ".aac" and missing > MAX_OTHER_BYTES:
            self._refuse(missing)

    def _refuse(self, n_bytes: int) -> None:
        raise RecordingError(
            f"the sound is damaged: {n_bytes} bytes are not frames, and its time is lost",
            str(self.path),
            "copy it again, or export it as WAV",
        )


def is_longer(path: Path) -> bool:
    """Return whether the samples of a WAV or AIFF file continue behind their stated length.

    Recorders write the length last: if they crash, it is 0 or that of the last autosave. Chunks of
    other data and zeros may follow the samples.

    Raises
    ------
    RecordingError
        If a second file follows.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        kind = file.read(4)
        place = _end_of_samples(file, kind) if kind in SAMPLES else None
        if place is None or place + 8 > size:
            return False
        file.seek(place)
        name, n_bytes = struct.unpack(f"{SAMPLES[kind][0]}4sI", file.read(8))
        if name == kind:
            raise RecordingError(
                f"a second recording begins at byte {place}",
                str(path),
                "files are joined with a sound editor, not byte by byte",
            )
        is_chunk = name.isascii() and name.decode().isprintable() and place + 8 + n_bytes <= size
        file.seek(place)
        return not is_chunk and any(any(block) for block in iter(lambda: file.read(BLOCK), b""))


def _end_of_samples(file: BinaryIO, kind: bytes) -> int | None:
    """Return the stated end of the samples; None without any, or of AIFF if none is stated."""
    order, samples = SAMPLES[kind]
    place, n_long = 12, UNSTATED
    for _ in range(MAX_CHUNKS):
        file.seek(place)
        header = file.read(8)
        if len(header) < 8:
            return None
        name, n_bytes = struct.unpack(f"{order}4sI", header)
        if name == b"ds64":  # of RF64: the lengths that do not fit into 32 bits
            n_long = int.from_bytes(file.read(16)[8:], "little")
        if name == samples:
            n_bytes = n_long if n_bytes == UNSTATED else n_bytes
            # libsndfile reads AIFF without a length up to the end.
            return None if kind == b"FORM" and not n_bytes else place + 8 + n_bytes + n_bytes % 2
        place += 8 + n_bytes + n_bytes % 2
    return None


def mp3_declared_s(path: Path) -> float | None:
    """Return the duration in seconds that the Xing header of an MP3 file states, or None."""
    with path.open("rb") as file:
        tag = file.read(10)
        if tag[:3] == b"ID3" and len(tag) == 10:
            length = sum(byte << shift for byte, shift in zip(tag[6:], (21, 14, 7, 0), strict=True))
            file.seek(10 + length)
        else:
            file.seek(0)
        start = file.read(MP3_SEARCH)
    sync = start.find(b"\xff")
    place = max(start.find(b"Xing", 0, sync + 200), start.find(b"Info", 0, sync + 200))
    if sync < 0 or place < 0 or len(start) < place + 12 or not start[place + 7] & 1:
        return None
    version, rate_index = start[sync + 1] >> 3 & 3, start[sync + 2] >> 2 & 3
    if rate_index == 3 or version == 1:
        return None
    rate_hz = MP3_RATES_HZ[rate_index] / {3: 1, 2: 2, 0: 4}[version]
    n_frames = int.from_bytes(start[place + 8 : place + 12], "big")
    return n_frames * (1152 if version == 3 else 576) / rate_hz

"""Stated lengths of sound files, and the bytes of their frames."""

from __future__ import annotations

import struct
from pathlib import Path

from consilience.core.errors import RecordingError

BLOCK = 2**20  # bytes read at a time
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


def wav_is_longer(path: Path) -> bool:
    """Return whether a WAV file's samples continue behind their stated length.

    Recorders write the length last: if they crash, it is 0 or that of the last autosave. Chunks of
    other data and zeros may follow the samples.

    Raises
    ------
    RecordingError
        If a second WAV file follows.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        if file.read(4) != b"RIFF":
            return False
        place = 12
        for _ in range(MAX_CHUNKS):
            file.seek(place)
            header = file.read(8)
            if len(header) < 8:
                return False
            name, n_bytes = struct.unpack("<4sI", header)
            place += 8 + n_bytes + n_bytes % 2
            if name == b"data":
                break
        if place + 8 > size:
            return False
        file.seek(place)
        name, n_bytes = struct.unpack("<4sI", file.read(8))
        if name == b"RIFF":
            raise RecordingError(
                f"a second WAV file begins at byte {place}",
                str(path),
                "files are joined with a sound editor, not byte by byte",
            )
        is_chunk = name.isascii() and name.decode().isprintable() and place + 8 + n_bytes <= size
        file.seek(place)
        return not is_chunk and any(any(block) for block in iter(lambda: file.read(BLOCK), b""))


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

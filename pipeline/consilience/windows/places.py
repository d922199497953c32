"""Places of windows in the files of their recordings: which file, and which second of it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import PurePosixPath
from typing import NamedTuple

import polars as pl

from consilience.alignment.clock import Clock, clocks_from_pieces
from consilience.project import Project
from consilience.schema.tables import Alignment, Pieces, Recordings, read_table

PICTURES = {".mp4", ".mov", ".avi", ".flv", ".mpg", ".mpeg", ".mkv", ".webm"}
SOUNDS = {".wav", ".flac", ".aiff", ".ogg", ".oga", ".opus", ".m4a", ".mp3", ".aac"}


class Place(NamedTuple):
    """Moment of a recording.

    Attributes
    ----------
    modality, path : str
        The path is relative to the dataset's root.
    item : str or None
        Key of the recording inside the file.
    second_s : float
        On the recording's own clock.
    """

    modality: str
    path: str
    item: str | None
    second_s: float

    def __str__(self) -> str:
        item = f" [{self.item}]" if self.item else ""
        return f"{self.modality}: {self.path}{item} {self.second_s:.2f} s"


class Source(NamedTuple):
    """Aligned recording of one modality in a session."""

    modality: str
    path: str
    item: str | None
    clock: Clock

    @property
    def rank(self) -> int:
        """Return 0 for a file with pictures, 1 for sound, 2 for others."""
        suffix = PurePosixPath(self.path).suffix.lower()
        return 0 if suffix in PICTURES else 1 if suffix in SOUNDS else 2


def session_sources(project: Project, modalities: Sequence[str]) -> dict[str, list[Source]]:
    """Return the aligned recordings of every session, what can be watched or heard first."""
    clocks = clocks_from_pieces(read_table(project.alignment / "pieces.parquet", Pieces))
    aligned = read_table(project.alignment / "alignment.parquet", Alignment)
    names = set(aligned.filter(pl.col("status") == "aligned")["recording"])
    sources: dict[str, list[Source]] = {}
    for modality in modalities:
        table = read_table(project.recordings_table(modality), Recordings)
        for recording, session, path, item in table.select(
            "recording", "session", "path", "item"
        ).iter_rows():
            if recording in names and recording in clocks:
                source = Source(modality, path, item, clocks[recording])
                sources.setdefault(session, []).append(source)
    return {
        session: sorted(of_session, key=lambda s: s.rank) for session, of_session in sources.items()
    }


def places(sources: Sequence[Source], session_s: float) -> list[Place]:
    """Return a moment of a session in each of its recordings that covers it."""
    listed = []
    for source in sources:
        second_s = float(source.clock.to_native(session_s))
        if math.isfinite(second_s):  # the clock is valid at that time
            listed.append(Place(source.modality, source.path, source.item, second_s))
    return listed

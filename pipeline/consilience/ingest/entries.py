"""Check of one entry of a dataset's listing: its names, its file and its header.

The module is the entry point of the keys of kept rows: everything it imports can change a row, and
nothing else can.
"""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import NamedTuple

from consilience.core.errors import RecordingError, one_line, unreadable
from consilience.core.file_names import is_side_file, near_name
from consilience.core.files import hashed_files
from consilience.datasets.base import Entry
from consilience.modalities.base import Modality
from consilience.signals.types import Header

FILE_NAME = re.compile(r"[^./\\\0][^/\\\0]*")
MAX_NAME_BYTES = 150  # file systems allow 255, and results add suffixes
MAX_DURATION_S = 7 * 86_400.0
ANNEX = "annex/objects/"  # in the target of a link of git-annex
RATE_TOLERANCE = 0.01  # relative; clocks differ by less than 1e-3, wrong headers by far more


class Checked(NamedTuple):
    """Result of checking an entry.

    Attributes
    ----------
    row : dict of str to object
        Of `Recordings`.
    files : tuple of Path or None
        Files on whose content the row depends; None if it may differ the next time, because the
        file is missing or the system refused to read it.
    """

    row: dict[str, object]
    files: tuple[Path, ...] | None


def check_entry(entry: Entry, root: Path, modality: Modality, clock: str) -> Checked:
    """Return the catalog row of one entry; every failure becomes its reason.

    Parameters
    ----------
    entry : Entry
    root : Path
        Root of the dataset.
    modality : Modality
    clock : str
        `Dataset.clock` of the entry's dataset.
    """
    row, path = _row(entry, clock), root / entry.path
    with hashed_files() as hashed:
        try:
            _check_names(entry)
            if not path.resolve().is_relative_to(root.resolve()):
                raise RecordingError("the path is outside the dataset", entry.path)
            if not path.is_file():
                row |= {"status": "missing", "reason": _missing(root, entry.path)}
                return Checked(row, None)
            header = _probe(path, entry, modality)
            row["content_hash"] = modality.identity(path, entry.item)
            row |= {**vars(header), "status": "ok", "reason": None}
        except RecordingError as error:
            row |= {"status": "quarantined", "reason": one_line(error.reason)}
        except Exception as error:  # any failure of a reader belongs to its recording
            row |= {"status": "quarantined", "reason": one_line(unreadable(error))}
            if isinstance(error, MemoryError | OSError):
                return Checked(row, None)
    return Checked(row, tuple(sorted({path, *hashed})))


def _missing(root: Path, path: str) -> str:
    """Return why a listed file does not exist, and the remedy."""
    place = root / path
    if place.is_symlink():
        target = str(place.readlink())
        if ANNEX in target:
            remedy = f"run 'git annex get {path}' or 'datalad get {path}' in the dataset"
            return one_line(f"git-annex has not fetched its content ({remedy})")
        return one_line(f"a link to '{target}', which does not exist (copy the file)")
    near = near_name(root, path)
    similar = f"; a similar name is '{one_line(near)}'" if near else ""
    return f"listed, but the file does not exist{similar}"


def _row(entry: Entry, clock: str) -> dict[str, object]:
    return {
        "recording": one_line(f"{entry.session}_{entry.modality}"),
        "session": one_line(entry.session),
        "subject": one_line(entry.subject),
        "modality": entry.modality,
        "path": one_line(entry.path),
        "item": entry.item and one_line(entry.item),
        "clock": entry.clock or clock,
        "bad_channels": one_line(",".join(entry.bad_channels)) or None,
    }


def failed_entry(entry: Entry, reason: str, clock: str) -> Checked:
    """Return the row of an entry whose worker crashed or exceeded the time limit."""
    return Checked({**_row(entry, clock), "status": "quarantined", "reason": reason}, None)


def _check_names(entry: Entry) -> None:
    """Raise if the session is not a safe file name, or a name cannot be stored as text."""
    session = entry.session
    if not FILE_NAME.fullmatch(session) or len(session.encode("utf-8", "replace")) > MAX_NAME_BYTES:
        raise RecordingError(
            "the session name is not valid as part of a file name",
            entry.path,
            f"at most {MAX_NAME_BYTES} bytes, without / or \\, no leading dot",
        )
    names = (entry.session, entry.subject, entry.path, entry.item or "")
    if any(text != one_line(text) for text in names):
        raise RecordingError(
            "its name, session or subject contains undecodable or unprintable characters",
            entry.path,
            "rename it",
        )


def _probe(path: Path, entry: Entry, modality: Modality) -> Header:
    """Read and check the header; raise a `RecordingError` if it is invalid."""
    if is_side_file(path):
        raise RecordingError(
            "a side file of macOS, not a recording", entry.path, "list the file without '._'"
        )
    if path.suffix.lower() not in modality.suffixes:
        raise RecordingError(
            f"unsupported {modality.name} file extension '{path.suffix}'",
            entry.path,
            f"expected {', '.join(modality.suffixes)}",
        )
    if path.stat().st_size == 0:
        raise RecordingError("the file is empty", entry.path, "record or copy it again")
    header = modality.probe(path, entry.item)
    _check_header(header, entry)
    declared = entry.declared_rate_hz
    rate = header.rate_hz
    if declared and rate and abs(rate - declared) > RATE_TOLERANCE * declared:
        raise RecordingError(
            f"sampling rate mismatch: {rate:g} Hz in the header, {declared:g} Hz in the dataset",
            entry.path,
            "correct the wrong one",
        )
    return header


def _check_header(header: Header, entry: Entry) -> None:
    rate_hz, duration_s = header.rate_hz, header.duration_s
    if rate_hz is not None and not 0 < rate_hz < math.inf:
        raise RecordingError(
            f"invalid sampling rate in the header: {rate_hz:g} Hz",
            entry.path,
            "correct the header",
        )
    if duration_s is not None and not 0 <= duration_s <= MAX_DURATION_S:
        raise RecordingError(
            f"invalid duration in the header: {duration_s:g} s",
            entry.path,
            f"correct the header; the longest recording supported has {MAX_DURATION_S:g} s",
        )

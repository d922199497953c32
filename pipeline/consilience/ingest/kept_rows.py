"""Rows of the catalog, kept between runs for files that have not changed.

A file counts as unchanged if its size and its time of change are the same. A row depends on the
files that were hashed for it, and on those of the same name with another ending, such as the
header, samples and markers of BrainVision: a file added to them is noticed.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from consilience.core.errors import ConsilienceError, RecordingError
from consilience.core.files import json_ready, text_hash, write_bytes
from consilience.datasets.base import Entry
from consilience.ingest.entries import Checked
from consilience.modalities.base import Modality

State = tuple[int, int]  # size in bytes, time of the last change in ns


class KeptRows:
    """Rows of one modality in a file.

    Parameters
    ----------
    path : Path
        The file; it need not exist. A damaged one, and one of other code, is ignored.
    code : str
        Hash of all that a row depends on besides the entry and its files.
    root : Path
        Root of the dataset.
    states : mapping of Path to (size, time)
        Of every file of the dataset, as `consilience.core.special_files.file_states` returns them.
    """

    def __init__(self, path: Path, code: str, root: Path, states: Mapping[Path, State]) -> None:
        self._path, self._code, self._root, self._states = path, code, root, states
        self._relatives: dict[tuple[Path, str], list[Path]] = defaultdict(list)
        for file in sorted(states):
            self._relatives[_stem(file)].append(file)
        self._before: dict[str, Any] = read_kept(path, code)
        self._now: dict[str, Any] = {}

    def row(self, entry: Entry) -> dict[str, object] | None:
        """Return the row of an entry, or None if it is new or a file of it changed."""
        key = text_hash(repr(entry))
        kept = self._before.get(key)
        if kept is None:
            return None
        files = [self._root / name for name in kept["files"]]
        if kept["files"] != self._described(self._with_relatives(entry, files)):
            return None
        self._now[key] = kept
        row: dict[str, object] = kept["row"]
        return row

    def keep(self, entry: Entry, checked: Checked) -> None:
        """Add the row of an entry, unless it may differ the next time."""
        if checked.files is not None:
            files = self._described(self._with_relatives(entry, checked.files))
            if files is not None:
                self._now[text_hash(repr(entry))] = {"files": files, "row": json_ready(checked.row)}

    def write(self) -> None:
        """Write the rows that were returned or added, for the next run."""
        text = json.dumps({"code": self._code, "rows": self._now})
        write_bytes(self._path, f"{text_hash(text)}\n{text}".encode())

    def _with_relatives(self, entry: Entry, files: Iterable[Path]) -> list[Path]:
        return sorted({*files, *self._relatives[_stem(self._root / entry.path)]})

    def _described(self, files: Iterable[Path]) -> dict[str, list[int]] | None:
        """Return size and time by relative path; None if a file is not in the dataset."""
        described = {}
        for file in files:
            state = self._states.get(file)
            if state is None:
                return None
            described[str(file.relative_to(self._root))] = list(state)
        return described


class UnchangedFiles:
    """Recordings whose files have not changed since they were catalogued.

    Parameters
    ----------
    path : Path or None
        The file that `KeptRows` wrote, if any.
    root : Path
        Root of the dataset.
    """

    def __init__(self, path: Path | None, root: Path) -> None:
        self._root = root
        rows = read_kept(path).values() if path else ()
        self._kept = {(kept["row"]["path"], kept["row"]["item"]): kept for kept in rows}

    def check(self, row: Mapping[str, Any], modality: Modality) -> None:
        """Raise a ConsilienceError unless the recording of a row is the catalogued one; see `has`.

        To be called after reading, so that it was the catalogued one all the time: a result of
        another one would bear a wrong key.
        """
        if not self.has(row, modality):
            raise ConsilienceError(
                "the file changed after it was catalogued",
                row["path"],
                "when it is complete, run 'dvc repro -f catalog', then 'dvc repro'",
            )

    def has(self, row: Mapping[str, Any], modality: Modality) -> bool:
        """Return whether the recording of a row of `Recordings` is the catalogued one.

        Its content is compared only where size or time of a file differ.
        """
        if self._states_equal(row):
            return True
        try:
            identity = modality.identity(self._root / row["path"], row["item"])
        except (OSError, RecordingError):
            return False
        return identity == str(row["content_hash"])

    def _states_equal(self, row: Mapping[str, Any]) -> bool:
        kept = self._kept.get((row["path"], row["item"]))
        if kept is None or kept["row"].get("content_hash") != row["content_hash"]:
            return False
        try:
            return all(
                [state.st_size, state.st_mtime_ns] == expected
                for name, expected in kept["files"].items()
                for state in [(self._root / name).stat()]
            )
        except OSError:
            return False


def read_kept(path: Path, code: str | None = None) -> dict[str, Any]:
    """Read what `KeptRows.write` wrote; empty if it is missing, damaged or of other code."""
    try:
        seal, _, text = path.read_text().partition("\n")
        content = json.loads(text)
    except (OSError, ValueError):
        return {}
    if seal != text_hash(text) or code not in (None, content["code"]):
        return {}
    rows: dict[str, Any] = content["rows"]
    return rows


def _stem(path: Path) -> tuple[Path, str]:
    return path.parent, path.name.partition(".")[0]

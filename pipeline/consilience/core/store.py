"""Results by key, kept between runs: an outcome on a card, and arrays beside it.

A key is a hash of everything the result depends on, so that a result is never stale. An entry that
was cut or changed is not returned, and thus computed again. Arrays are hashed only if their size or
time of change is not the one on the card: a run in which nothing changed reads no array.
"""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from consilience.core.files import content_hash, json_ready, text_hash, write_arrays, write_json

if TYPE_CHECKING:
    from numpy.typing import NDArray


ENTRY = re.compile(r"^[0-9a-f]{64}\.(json|npz)$")  # a key is a hash; other files have names


class Stored(NamedTuple):
    """A kept result.

    Attributes
    ----------
    outcome : dict of str to Any
        As it was saved, in the types of JSON.
    arrays : Path or None
        The file of arrays, if the result has any.
    content_hash : str or None
        SHA-256 of that file.
    """

    outcome: dict[str, Any]
    arrays: Path | None
    content_hash: str | None


class Store:
    """A folder of results.

    Parameters
    ----------
    folder : Path
        Need not exist yet.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def load(self, key: str) -> Stored | None:
        """Return the result of a key, or None without an intact one."""
        card, arrays = self._card(key), self._arrays(key)
        try:
            content = json.loads(card.read_text())
            changed_ns = content.pop("changed_ns")
            seal = content.pop("sha256")
            if seal != text_hash(json.dumps(content)):
                return None
            os.utime(card)  # the time of its last use, see `trim`
            if content["arrays"] is None:
                return Stored(content["outcome"], None, None)
            size, digest = content["arrays"]
            state = arrays.stat()
            if state.st_size != size:
                return None
            if state.st_mtime_ns != changed_ns:
                if content_hash(arrays) != digest:
                    return None
                # Copied, or restored from a backup: the next run need not read it again.
                write_json(card, {**content, "sha256": seal, "changed_ns": state.st_mtime_ns})
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return None
        return Stored(content["outcome"], arrays, digest)

    def save(
        self, key: str, outcome: dict[str, Any], arrays: dict[str, NDArray[Any]] | None
    ) -> Stored:
        """Keep a result and return it."""
        path, described, changed_ns = self._arrays(key), None, None
        if arrays is not None:
            write_arrays(path, arrays)
            state = path.stat()
            described, changed_ns = [state.st_size, content_hash(path)], state.st_mtime_ns
        content: dict[str, Any] = json_ready({"outcome": outcome, "arrays": described})
        seal = text_hash(json.dumps(content))
        # Last: a card means that the arrays are complete.
        write_json(self._card(key), {**content, "sha256": seal, "changed_ns": changed_ns})
        if described is None:
            return Stored(content["outcome"], None, None)
        return Stored(content["outcome"], path, str(described[1]))

    def _card(self, key: str) -> Path:
        return self.folder / f"{key}.json"

    def _arrays(self, key: str) -> Path:
        return self.folder / f"{key}.npz"


def trim(folder: Path, max_bytes: int) -> tuple[int, int]:
    """Remove the results that were used least recently, until the rest fits into a quota.

    Files whose name is not a key, such as what a service has reported, are kept.

    Parameters
    ----------
    folder : Path
        A folder of stores.
    max_bytes : int
        Size of the results that remain.

    Returns
    -------
    n_removed, n_bytes : int
        Results that were removed, and the size of those that remain.
    """
    entries: dict[Path, list[tuple[Path, os.stat_result]]] = {}
    for path in folder.rglob("*"):
        if ENTRY.match(path.name):
            entries.setdefault(path.with_suffix(""), []).append((path, path.stat()))
    used = sorted(entries.values(), key=lambda files: max(state.st_mtime for _, state in files))
    total = sum(state.st_size for files in used for _, state in files)
    n_removed = 0
    for files in used:
        if total <= max_bytes:
            break
        # The card first: without it, the arrays are not taken for a result.
        for path, state in sorted(files, key=lambda file: file[0].suffix):
            path.unlink(missing_ok=True)
            total -= state.st_size
        n_removed += 1
    return n_removed, total

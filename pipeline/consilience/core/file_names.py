"""Names of files as tables write them, compared with those on the disk."""

from __future__ import annotations

import difflib
import unicodedata
from itertools import islice
from pathlib import Path, PurePosixPath

MAX_NAMES = 100_000  # of one folder
MAX_COMPARED = 500  # names that a missing one is compared with, at 10 µs each
SIMILARITY = 0.8  # from 0 to 1, from which a name is near


def is_side_file(path: Path) -> bool:
    """Return whether an operating system wrote the file beside another one (AppleDouble)."""
    return path.name.startswith("._")


class NamesOnDisk:
    r"""Spelling of file names on the disk.

    macOS writes letters with accents in decomposed form and most tables in composed form, which
    look alike; Windows separates folders by ``\``.

    Parameters
    ----------
    root : Path
        Folder that all paths are relative to.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        # Names of a folder by their composed form: a table may list thousands of missing files.
        self._folders: dict[PurePosixPath, dict[str, str]] = {}

    def spelling(self, path: str) -> str:
        """Return the path of an existing file as the disk spells it, or else the given path."""
        for candidate in dict.fromkeys((path, path.replace("\\", "/"))):
            match = self._match(candidate)
            if match is not None:
                return match
        return path

    def _match(self, path: str) -> str | None:
        """Return the existing path that is composed of the same characters, or None."""
        if _exists(self.root / path):
            return str(PurePosixPath(path))  # without a leading "./"
        parts = PurePosixPath(path).parts
        if ".." in parts or PurePosixPath(path).is_absolute():
            return None
        matched = PurePosixPath()
        for name in parts:
            if matched not in self._folders:
                names = _names(self.root / matched)
                self._folders[matched] = {_composed(other): other for other in names}
            same = self._folders[matched].get(_composed(name))
            if same is None:
                return None
            matched /= name if _exists(self.root / matched / name) else same
        return str(matched)


def near_name(root: Path, path: str) -> str | None:
    """Return the path of the file that is most similar to a missing one, folder by folder, or None.

    Parameters
    ----------
    root : Path
        Folder that the paths are relative to.
    path : str
        Of the missing file.
    """
    near = PurePosixPath()
    for name in PurePosixPath(path.replace("\\", "/")).parts:
        similar = name if _exists(root / near / name) else _similar(name, _names(root / near))
        if similar is None:
            return None
        near /= similar
    return str(near)


def _similar(name: str, others: list[str]) -> str | None:
    """Return the name that differs in case only, else in its extension, else in a few letters."""
    names = {_folded(other): other for other in others if not is_side_file(Path(other))}
    stems = {Path(folded).stem: other for folded, other in names.items()}
    same = names.get(_folded(name)) or stems.get(Path(_folded(name)).stem)
    near = difflib.get_close_matches(_folded(name), list(names)[:MAX_COMPARED], 1, SIMILARITY)
    return same or (names[near[0]] if near else None)


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except (OSError, ValueError):  # a name that is too long, or contains a null character
        return False


def _names(folder: Path) -> list[str]:
    try:
        return sorted(path.name for path in islice(folder.iterdir(), MAX_NAMES))
    except (OSError, ValueError):
        return []


def _composed(name: str) -> str:
    return unicodedata.normalize("NFC", name)


def _folded(name: str) -> str:
    return _composed(name).casefold()

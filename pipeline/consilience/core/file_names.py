"""Names of files as tables write them, compared with those on the disk."""

from __future__ import annotations

import difflib
import unicodedata
from itertools import islice
from pathlib import Path, PurePosixPath

MAX_NAMES = 10_000  # of one folder, among which a near name is searched
SIMILARITY = 0.8  # from 0 to 1, from which a name is near


def is_side_file(path: Path) -> bool:
    """Return whether an operating system wrote the file beside another one (AppleDouble)."""
    return path.name.startswith("._")


def name_on_disk(root: Path, path: str) -> str:
    r"""Return the path of a file as the disk spells it, or else the given path.

    macOS writes letters with accents in decomposed form and most tables in composed form, which
    look alike; Windows separates folders by ``\``.

    Parameters
    ----------
    root : Path
    path : str
        Relative to the root.
    """
    for spelling in dict.fromkeys((path, path.replace("\\", "/"))):
        match = _matching(root, spelling)
        if match is not None:
            return match
    return path


def near_name(root: Path, path: str) -> str | None:
    """Return the name of the most similar file in the folder of a missing file, or None."""
    missing = root / path.replace("\\", "/")
    names = {_folded(name): name for name in _names(missing.parent)}
    near = difflib.get_close_matches(_folded(missing.name), names, 1, SIMILARITY)
    return names[near[0]] if near else None


def _matching(root: Path, path: str) -> str | None:
    """Return the existing path that is composed of the same characters, or None."""
    if _exists(root / path):
        return str(PurePosixPath(path))  # without a leading "./"
    parts = PurePosixPath(path).parts
    if ".." in parts or PurePosixPath(path).is_absolute():
        return None
    matched = PurePosixPath()
    for name in parts:
        names = _names(root / matched)
        same = [other for other in names if _composed(other) == _composed(name)]
        if not same:
            return None
        matched /= name if name in names else same[0]
    return str(matched)


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

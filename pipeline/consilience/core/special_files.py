"""Entries of a folder that cannot be read as files, and files that change meanwhile.

DVC reads whatever lies in a folder that a stage depends on. A pipe or a link to a device would
make it wait for ever, and a link to nothing would end it.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from pathlib import Path

from consilience.core.errors import ConsilienceError

EXAMPLES = 3
KINDS = {
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


def check_folder(root: Path) -> None:
    """Raise if a folder, its subfolders included, holds what cannot be read as a file.

    Raises
    ------
    ConsilienceError
        With the number of such entries and the first of them.
    """
    entries = sorted(_special(root))
    if not entries:
        return
    listed = ", ".join(f"'{path.relative_to(root)}' is {kind}" for path, kind in entries[:EXAMPLES])
    others = f" and {len(entries) - EXAMPLES} more" if len(entries) > EXAMPLES else ""
    raise ConsilienceError(
        f"not readable as files: {listed}{others}",
        str(root),
        "remove them, or copy there what the links lead to ('git annex get' for DataLad)",
    )


def file_states(root: Path) -> dict[Path, tuple[int, int]]:
    """Return size in bytes and time of the last change in ns of every file of a folder."""
    return {
        path: (state.st_size, state.st_mtime_ns)
        for parent, _, names in os.walk(root)
        for name in names
        if (path := Path(parent, name)) and (state := _state(path))
    }


def _state(path: Path) -> os.stat_result | None:
    try:
        return path.stat()
    except OSError:
        return None


def _special(folder: Path) -> Iterator[tuple[Path, str]]:
    with os.scandir(folder) as entries:
        for entry in entries:
            # Links to folders are not followed, neither here nor by DVC.
            if entry.is_dir(follow_symlinks=False):
                yield from _special(Path(entry.path))
            elif not entry.is_file(follow_symlinks=False) and (kind := _kind(entry)):
                yield Path(entry.path), kind


def _kind(entry: os.DirEntry[str]) -> str | None:
    """Return what an entry that is neither a file nor a folder is; None for a usable link."""
    linked = "a link to " if entry.is_symlink() else ""
    try:
        kind = KINDS.get(stat.S_IFMT(entry.stat().st_mode))
    except OSError as error:
        return "a link that leads back to itself" if error.errno == errno.ELOOP else "a broken link"
    return kind and linked + kind

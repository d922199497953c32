"""Restores files of DVC that a killed process left half written.

DVC writes ``dvc.lock`` and ``.dvc`` files in place, and refuses a project with a damaged one. A run
keeps a copy of them as long as they are sound, and its successor restores what it cannot read: the
stages that the copy does not record run again, or come from DVC's run cache.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

from consilience.core.files import write_bytes

COPIES = ".dvc/tmp/consilience-copies"  # git and DVC ignore the folder
LOCK = "dvc.lock"
DVC_FILES = ("*.dvc", "data/*.dvc", "data/*/*.dvc")


def dvc_files(folder: Path) -> list[Path]:
    """Return the files that track folders without a stage; recordings are not searched for them."""
    paths = (path for pattern in DVC_FILES for path in folder.glob(pattern))
    return sorted(path for path in paths if path.is_file())


def _names(folder: Path) -> Iterator[str]:
    yield LOCK
    for path in dvc_files(folder):
        yield path.relative_to(folder).as_posix()


def keep(folder: Path) -> None:
    """Copy the files, which DVC has just read; a full disk keeps the former copies."""
    with suppress(OSError):
        for name in _names(folder):
            if (folder / name).is_file():
                write_bytes(folder / COPIES / name, (folder / name).read_bytes())


def restored(folder: Path, message: str, log: Callable[[str], None]) -> bool:
    """Restore the files that a message of DVC names; return whether there were any.

    Each becomes the copy of the last run, else the file of the last commit, else it is removed.

    Parameters
    ----------
    folder : Path
        The project's folder, which no DVC process uses.
    message : str
        Why DVC cannot read the project.
    log : callable
        Called with a line per file.
    """
    damaged = [name for name in _names(folder) if name in message and (folder / name).is_file()]
    for name in damaged:
        path, copy = folder / name, folder / COPIES / name
        content = path.read_bytes()
        sources = {"the last run": _content(copy), "the last commit": _committed(folder, name)}
        usable = {source: text for source, text in sources.items() if text not in (None, content)}
        shutil.move(path, _parent(folder / COPIES / f"{name}.damaged"))
        for source, text in usable.items():
            write_bytes(path, text or b"")
            log(f"{name} was damaged: restored as {source} left it")
            break
        else:
            log(f"{name} was damaged: removed; it is written anew")
        copy.unlink(missing_ok=True)  # if DVC refuses it too, the next attempt takes another
    return bool(damaged)


def _content(path: Path) -> bytes | None:
    return path.read_bytes() if path.is_file() else None


def _committed(folder: Path, name: str) -> bytes | None:
    """Return a file of the last commit of git; None without one."""
    command = ["git", "show", f"HEAD:./{name}"]
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, check=False)
    except FileNotFoundError:  # no git
        return None
    return done.stdout if done.returncode == 0 else None


def _parent(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    return path

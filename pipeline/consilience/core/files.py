"""Atomic writing of files and folders, reading with one clear error, and hashes of content.

Everything is written under a temporary name, flushed to the disk and then renamed, so that an
interrupted run or a power cut never leaves half a file. The temporaries of a project lie in its
folder ``data/.tmp``. Each is locked by the process that writes it: the system releases the lock
however the process ends, and the next stage removes what is not locked.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import json
import os
import shutil
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from functools import lru_cache, wraps
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, TypeVar, TypeVarTuple

from consilience.core.errors import ConsilienceError, unreadable
from consilience.core.study import MARK

if TYPE_CHECKING:
    from numpy.typing import NDArray

Content = TypeVar("Content")
Arguments = TypeVarTuple("Arguments")

TEMPORARY = "data/.tmp"  # of a project; git and DVC ignore it


class DamagedFileError(ConsilienceError):
    """A file that a stage wrote cannot be read; it can be removed and computed again."""

    @property
    def path(self) -> Path:
        """The file."""
        return Path(self.where)


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Yield a temporary path that replaces `path` when the block succeeds."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with temporary_folder(path) as folder:
        temporary = folder / path.name
        yield temporary
        temporary.chmod(0o644)
        _flush(temporary)
        temporary.replace(path)
        _flush(path.parent)


@contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """Yield a temporary folder that replaces `path` when the block succeeds."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with temporary_folder(path) as folder:
        temporary = folder / path.name
        temporary.mkdir()
        yield temporary
        for parent, _, names in os.walk(temporary):
            for file in (Path(parent, name) for name in names):
                if file.stat().st_nlink == 1:  # a linked file has been flushed as a result
                    _flush(file)
            _flush(Path(parent))
        # A rename cannot replace a folder that has content.
        if path.exists():
            path.replace(folder / "replaced")
        temporary.replace(path)
        _flush(path.parent)


def sweep(project: Path) -> None:
    """Remove the temporaries that ended processes left in a project."""
    base = project / TEMPORARY
    for entry in list(base.iterdir()) if base.is_dir() else ():
        with suppress(OSError):  # locked: a process still writes it
            lock = os.open(entry, os.O_RDONLY)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                _remove(entry)
            finally:
                os.close(lock)
    with suppress(OSError):  # absent, or in use
        base.rmdir()


@contextmanager
def temporary_folder(target: Path) -> Iterator[Path]:
    """Yield a locked temporary folder on the file system of a target."""
    folder, lock = _claim(_temporary_base(target))
    try:
        yield folder
    except OSError as error:
        error.filename = error.filename or str(target)  # a failed write does not name the file
        raise
    finally:
        _remove(folder)
        os.close(lock)
        if folder.parent.name == Path(TEMPORARY).name:
            with suppress(OSError):  # in use by others
                folder.parent.rmdir()


def _claim(base: Path) -> tuple[Path, int]:
    """Create a folder and lock it; return it with the file descriptor that holds the lock."""
    while True:
        # Another process may remove the empty base at any moment: before a folder is made in it, or
        # while `mkdir` checks whether what it found there is a folder.
        try:
            base.mkdir(parents=True, exist_ok=True)
            folder = Path(tempfile.mkdtemp(dir=base, prefix=".tmp-"))
            lock = os.open(folder, os.O_RDONLY)
        except FileNotFoundError:
            continue
        except FileExistsError:
            if base.exists() and not base.is_dir():
                raise
            continue
        with suppress(OSError):  # a file system without locks: nothing is swept either
            fcntl.flock(lock, fcntl.LOCK_EX)
        if folder.is_dir():  # not swept before it was locked
            return folder, lock
        os.close(lock)


def _temporary_base(target: Path) -> Path:
    """Return the folder of temporaries: the project's, or the target's own folder without one."""
    folder = target.absolute().parent
    project = project_of(target)
    if project is None or not (project / "data").is_dir():
        return folder
    # Results may lie on a disk of their own, and a rename works on one disk only.
    same_disk = (project / "data").stat().st_dev == folder.stat().st_dev
    return project / TEMPORARY if same_disk else folder


def project_of(path: Path) -> Path | None:
    """Return the innermost project that contains a path, or None outside of projects."""
    return next((f for f in path.absolute().parents if (f / MARK).is_file()), None)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _flush(path: Path) -> None:
    """Write a file or a folder's list of names to the disk, as far as the file system can."""
    handle = os.open(path, os.O_RDONLY)
    try:
        with suppress(OSError):  # some file systems cannot flush a folder
            os.fsync(handle)
    finally:
        os.close(handle)


def link_or_copy(source: Path, target: Path) -> None:
    """Create a hard link to a stored result, or a copy where the file system has no hard links.

    The source must have been written atomically: `atomic_folder` does not flush links again.
    """
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)


def write_bytes(path: Path, content: bytes) -> None:
    """Write `content` to `path` atomically."""
    with atomic_path(path) as temporary:
        temporary.write_bytes(content)


def write_json(path: Path, content: Any) -> None:
    """Write `content` to `path` as indented JSON, atomically; non-finite numbers become null."""
    text = json.dumps(json_ready(content), indent=2, sort_keys=False, allow_nan=False)
    write_bytes(path, (text + "\n").encode())


def json_ready(value: Any) -> Any:
    """Return nested content as JSON has it: plain numbers, lists, null for non-finite numbers."""
    import numpy as np  # slow to import

    if isinstance(value, dict):
        return {str(key): json_ready(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [json_ready(item) for item in value]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not np.isfinite(value):
        return None
    return value


def write_arrays(path: Path, arrays: dict[str, NDArray[Any]]) -> None:
    """Write arrays to an uncompressed ``.npz`` whose bytes depend on the arrays alone."""
    with (
        atomic_path(path) as temporary,
        zipfile.ZipFile(temporary, "w", zipfile.ZIP_STORED) as archive,
    ):
        for name, array in arrays.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                _write_array(member, array)


def _write_array(file: IO[bytes], array: NDArray[Any]) -> None:
    """Write an array as `numpy.save` does, in blocks whose pages leave memory."""
    import numpy as np  # slow to import

    from consilience.core.scratch import blocks  # imports numpy

    if not array.ndim or not array.flags.c_contiguous:
        np.lib.format.write_array(file, array)
        return
    np.lib.format.write_array_header_1_0(file, np.lib.format.header_data_from_array_1_0(array))
    for rows in blocks(array):
        file.write(array[rows].data)


def read_arrays(path: Path, *names: str) -> dict[str, NDArray[Any]]:
    """Read the named arrays of an ``.npz`` that a stage wrote; without names, all of them.

    Raises
    ------
    DamagedFileError
        If it is missing, damaged, or holds pickled content.
    """
    import numpy as np  # slow to import

    def load() -> dict[str, NDArray[Any]]:
        with np.load(path, allow_pickle=False) as archive:
            return {name: archive[name] for name in names or archive.files}

    return intact(path, load)


def read_array(path: Path, mmap_mode: Any = None) -> NDArray[Any]:
    """Read an ``.npy`` that a stage wrote; errors as `read_arrays`."""
    import numpy as np  # slow to import

    return intact(path, lambda: np.load(path, mmap_mode=mmap_mode, allow_pickle=False))


def read_json(path: Path) -> Any:
    """Read a JSON file that a stage wrote; errors as `read_arrays`."""
    return intact(path, lambda: json.loads(path.read_text()))


def intact(path: Path, read: Callable[[], Content]) -> Content:
    """Return what a function reads from a file, with any failure as a `DamagedFileError`."""
    try:
        return read()
    except MemoryError:
        raise
    except Exception as error:  # each format's library raises its own
        # A refusal of the system, such as too many open files, does not mean damage.
        if isinstance(error, OSError) and error.errno not in (None, errno.ENOENT):
            raise
        raise DamagedFileError(unreadable(error), str(path), "run 'dvc repro'") from None


def cached_per_file(
    n_results: int,
) -> Callable[[Callable[[Path, *Arguments], Content]], Callable[[Path, *Arguments], Content]]:
    """Return a decorator that keeps the last results of a function of a file until it changes.

    Parameters
    ----------
    n_results : int
        How many, over all files and further arguments.
    """

    def decorate(
        read: Callable[[Path, *Arguments], Content],
    ) -> Callable[[Path, *Arguments], Content]:
        @lru_cache(n_results)
        def kept(state: tuple[int, int], path: Path, *arguments: *Arguments) -> Content:
            return read(path, *arguments)

        @wraps(read)
        def current(path: Path, *arguments: *Arguments) -> Content:
            stat = path.stat()
            return kept((stat.st_mtime_ns, stat.st_size), path, *arguments)

        return current

    return decorate


_hashed: ContextVar[set[Path] | None] = ContextVar("hashed", default=None)


@contextmanager
def hashed_files() -> Iterator[set[Path]]:
    """Yield the set of files that `content_hash` reads in the block, while it grows."""
    files: set[Path] = set()
    token = _hashed.set(files)
    try:
        yield files
    finally:
        _hashed.reset(token)


def content_hash(path: Path) -> str:
    """Return the SHA-256 of a file's bytes as 64 hexadecimal digits."""
    hashed = _hashed.get()
    if hashed is not None:
        hashed.add(path)
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def text_hash(*texts: str) -> str:
    """Return the SHA-256 of a sequence of texts as 64 hexadecimal digits."""
    # The separator, absent from ordinary text, distinguishes ("ab", "c") from ("a", "bc").
    return hashlib.sha256("\x1f".join(texts).encode()).hexdigest()

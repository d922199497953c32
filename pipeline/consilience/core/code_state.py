"""State of the code that could run: the files there are, their sizes and times of change.

Two equal states mean equal code, except after an edit that keeps the size and, to the nanosecond,
both times of a file. Nothing is imported or read, so that a state takes milliseconds.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from hashlib import sha256
from importlib.util import find_spec
from pathlib import Path

from consilience.core import study

# Of an installed library: its name and version, its modules, and the plug-ins it offers.
METADATA = ("", "METADATA", "PKG-INFO", "RECORD", "top_level.txt", "entry_points.txt")
Entry = tuple[str, int, int, int]  # a path; its file's size in bytes, times of change in ns


def environment() -> str:
    """Return the state of the interpreter and of the libraries on its search path, in order.

    Folders without libraries do not count: the first one depends on how a program was started.
    """
    libraries = [(folder, _libraries(Path(folder))) for folder in sys.path]
    return _hash(sys.version, *((folder, states) for folder, states in libraries if states))


def package(name: str) -> str:
    """Return the state of all files of a top-level package, plug-ins of a study included."""
    places = [*locations(name), *(study.places().values() if name == study.PACKAGE else ())]
    return _hash(*((place, tree(Path(place))) for place in map(str, places)))


def tree(place: Path) -> list[Entry]:
    """Return the state of a file, or of all files and folders of a folder."""
    return list(_entries(place, ()))


def locations(name: str) -> list[str]:
    """Return the folders of a top-level package, or the file of a module; none if it is absent."""
    try:
        spec = find_spec(name)
    except ValueError:  # loaded without a specification, as ``__main__`` is
        spec = None
    if spec is None:
        return []
    if spec.submodule_search_locations is not None:
        return list(spec.submodule_search_locations)
    return [spec.origin] if spec.has_location and spec.origin else []


def _hash(*parts: object) -> str:
    return sha256(repr(parts).encode("utf-8", "surrogateescape")).hexdigest()


def _libraries(folder: Path) -> list[Entry]:
    """Return the state of the metadata of the libraries in a folder of the search path."""
    try:
        places = sorted(folder.iterdir())
    except NotADirectoryError:  # an archive
        return [_entry(folder)]
    except OSError:
        return []
    libraries = [place for place in places if place.suffix in (".dist-info", ".egg-info")]
    return [_entry(place / name) for place in libraries for name in METADATA]


def _entry(place: Path) -> Entry:
    try:
        state = place.stat()
    except OSError:  # absent, or a link to nothing
        return str(place), -1, -1, -1
    return str(place), state.st_size, state.st_mtime_ns, state.st_ctime_ns


def _entries(place: Path, above: tuple[Path, ...]) -> Iterator[Entry]:
    if not place.is_dir():
        yield _entry(place)
    elif (real := place.resolve()) not in above:  # else a link that leads back
        # The times of a folder also change when bytecode is written into it.
        yield str(place), -1, -1, -1
        for inner in sorted(place.iterdir()):
            if inner.name != "__pycache__":
                yield from _entries(inner, (*above, real))

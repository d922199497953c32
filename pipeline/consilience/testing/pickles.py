"""Ban on pickles: a file that is unpickled can run any program."""

from __future__ import annotations

import pickle
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np

from consilience.testing.rules import ContractError

REMEDY = "read the format with a parser, or numpy's files with allow_pickle=False"
TRUSTED = {"numba"}  # keeps its own compiled code in pickles

_watching: list[list[str]] = []  # pickles detected in each open block


class Trap:
    """Makes a pickle that writes a file when it is loaded."""

    def __init__(self, sprung: Path) -> None:
        self.sprung = sprung

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.sprung,)


def traps(sprung: Path) -> dict[str, bytes]:
    """Return files that create the file `sprung` when they are unpickled, by their kind."""
    array = np.array([Trap(sprung)], object)
    header = b"\x93NUMPY\x01\x00" + (118).to_bytes(2, "little")
    described = b"{'descr': '|O', 'fortran_order': False, 'shape': (1,), }"
    return {
        "a pickle": pickle.dumps(Trap(sprung)),
        "an array of objects": header + described.ljust(117) + b"\n" + pickle.dumps(array),
    }


@contextmanager
def no_pickles(reader: str) -> Iterator[None]:
    """Fail if the code in the block loads a pickle, directly or through a library.

    The load is stopped, and reported again at the end of the block if the code caught the error.
    """
    _hook()
    load = np.load

    def checked_load(*args: Any, **kwargs: Any) -> Any:
        if kwargs.get("allow_pickle") or (len(args) > 2 and args[2]):
            _stop("calls numpy.load(allow_pickle=True)")
        return load(*args, **kwargs)

    seen: list[str] = []
    _watching.append(seen)
    try:
        with patch("numpy.load", checked_load), _checked_torch():
            yield
    finally:
        _watching.pop()
        if seen:
            raise ContractError(f"{reader} {seen[0]}; {REMEDY}")


@contextmanager
def _checked_torch() -> Iterator[None]:
    """Watch `torch.load` if torch is imported; otherwise the audit hook detects its pickles."""
    if "torch" not in sys.modules:
        yield
        return
    load = sys.modules["torch"].load

    def checked_load(*args: Any, **kwargs: Any) -> Any:
        if not kwargs.get("weights_only", True):
            _stop("calls torch.load(weights_only=False)")
        return load(*args, **kwargs)

    with patch("torch.load", checked_load):
        yield


def _stop(what: str) -> None:
    _watching[-1].append(what)
    raise ContractError(what)


@lru_cache(maxsize=1)
def _hook() -> None:
    """Watch every unpickler of the process, also those written in C; hooks cannot be removed."""

    def watch(event: str, args: tuple[Any, ...]) -> None:
        if event == "pickle.find_class" and _watching and not _from(TRUSTED):
            _stop(f"loads a pickle, which names {args[0]}.{args[1]}")

    sys.addaudithook(watch)


def _from(packages: set[str]) -> bool:
    """Return whether a function of one of the packages is being executed."""
    frame = sys._getframe(1)
    while frame is not None:
        if frame.f_globals.get("__name__", "").split(".")[0] in packages:
            return True
        frame = frame.f_back  # type: ignore[assignment]
    return False


Reader = Callable[[Path], object]


def spring(reader: Reader, name: str, path: Path, sprung: Path) -> None:
    """Write each trap to `path`; fail if reading it executes its code."""
    for kind, content in traps(sprung).items():
        path.write_bytes(content)
        with no_pickles(name):
            reader(path)
        if sprung.exists():
            raise ContractError(f"{name} ran the code in {kind} called {path.name}; {REMEDY}")

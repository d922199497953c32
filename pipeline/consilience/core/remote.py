"""Part of a cluster's worker: items are computed in a process beside it, with the local limits.

That process is new for every request, so that it has the code on the disk and not what the worker
imported days ago, and so that a malformed file cannot end the worker. It computes nothing unless it
has the code, the libraries and the files of the machine that asks; results would differ otherwise.
"""

from __future__ import annotations

import hashlib
import os
import pickle
import socket
import subprocess
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from consilience.core import study
from consilience.core.errors import ConsilienceError
from consilience.core.files import project_of
from consilience.core.fingerprint import fingerprint
from consilience.core.isolation import guarded
from consilience.core.processes import end_with_parent

DOCS = "see docs/cluster.md"

_helpers: set[tuple[str, subprocess.Popen[bytes]]] = set()  # of this worker, by session


@dataclass(frozen=True)
class Loss:
    """Outcome of an item whose process ended, and why."""

    reason: str


@dataclass(frozen=True)
class Request:
    """Items to compute, and what the computation depends on.

    Attributes
    ----------
    title : str
    limit_s : float
        For each item.
    entry : str
        Module of the function.
    code : dict of str to dict
        Modules and libraries of that module's fingerprint.
    states : dict of Path to (int, str or bool)
        See `state`.
    study : Path or None
        Folder of the study whose plug-ins are used.
    work : bytes
        The pickled function and items.
    """

    title: str
    limit_s: float
    entry: str
    code: Mapping[str, Mapping[str, str | None]]
    states: Mapping[Path, int | str | bool]
    study: Path | None
    work: bytes


def code_of(entry: str) -> dict[str, Mapping[str, str | None]]:
    """Return the hashes of the modules, and the versions of the libraries, of a module's code."""
    code = fingerprint([entry])
    return {"module": code.modules, "library": code.libraries}


def state(path: Path) -> int | str | bool:
    """Describe a path such that another machine can recognise it; false if it has no content.

    Returns
    -------
    int, str or bool
        The size of a file; a hash of the names in a folder. Folders of a project change while
        items are computed: of these, whether there is content.
    """
    if not path.is_dir():
        return path.stat().st_size if path.exists() else False
    names = sorted(os.fsencode(entry.name) for entry in path.iterdir())
    return bool(names) if project_of(path) else hashlib.sha256(b"/".join(names)).hexdigest()


def run(session: str, request: bytes) -> bytes | None:
    """Compute a request in a process of its own; return None if that process was ended."""
    code = f"from {__name__} import serve; serve({os.getpid()})"
    command = [sys.executable, "-P", "-c", code]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as helper:
        _helpers.add((session, helper))
        try:
            reply, _ = helper.communicate(request)
        finally:
            helper.kill()
            _helpers.discard((session, helper))
    return reply if helper.returncode == 0 else None


def stop(session: str) -> None:
    """End the processes that compute requests of a session."""
    for of_session, helper in list(_helpers):
        if of_session == session:
            helper.kill()


def serve(worker: int) -> None:
    """Answer the request on standard input by its outcomes, or an error, on standard output.

    Parameters
    ----------
    worker : int
        Process id of the worker, with which this process ends.
    """
    with os.fdopen(os.dup(1), "wb") as reply:
        os.dup2(2, 1)  # what a library prints goes to the worker's log
        end_with_parent(worker, by_system=False)  # the thread that started it may end
        try:
            answer: Any = _outcomes(pickle.load(sys.stdin.buffer))
        except Exception as error:
            traceback.print_exc()
            answer = error
        pickle.dump(answer, reply)


def _outcomes(request: Request) -> list[Any]:
    """Return the result or the `Loss` of each item."""
    if request.study is not None:
        study.use(request.study)
    _check_code(request)
    _check_paths(request.states)
    function, items = _loaded(request.work)
    pairs = guarded(
        function, items, request.title, request.limit_s, lambda _, reason: Loss(reason), 1
    )
    by_index = dict(pairs)
    return [by_index[index] for index in range(len(items))]


def _check_code(request: Request) -> None:
    for kind, here in code_of(request.entry).items():
        there = request.code[kind]
        for name in sorted({*here, *there}):
            if here.get(name) != there.get(name):
                raise ConsilienceError(
                    f"not the {kind} '{name}' of the machine that runs the pipeline",
                    _here(),
                    f"install the same environment there, {DOCS}",
                )


def _check_paths(states: Mapping[Path, int | str | bool]) -> None:
    for path, expected in states.items():
        if state(path) != expected:
            raise ConsilienceError(
                f"does not see {path} as the machine that runs the pipeline does",
                _here(),
                f"mount the project and the recordings there under the same paths, {DOCS}",
            )


def _loaded(work: bytes) -> tuple[Callable[[Any], Any], Sequence[Any]]:
    try:
        function, items = pickle.loads(work)
    except (ImportError, AttributeError) as error:
        raise ConsilienceError(
            f"lacks code of the machine that runs the pipeline: {error}",
            _here(),
            f"install the same environment there, {DOCS}",
        ) from None
    return function, items


def _here() -> str:
    return f"cluster worker on {socket.gethostname()}"

"""DVC as seen from a flow: the graph of its stages, and one stage run as a child process.

Only the ``dvc`` program is used, because it locks by process: two stages run inside this one
would not be kept apart.
"""

from __future__ import annotations

import asyncio
import os
import re
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Any

from consilience.core.errors import ConsilienceError

ENVIRONMENT = Path(sys.executable).parent
GRACE_S = 5.0

Graph = dict[str, list[str]]

_EDGE = re.compile(r'^"(?P<upstream>[^"]+)"(?: -> "(?P<stage>[^"]+)")?;$')
_EXIT = re.compile(r"exited with -?\d+$")
_LINE_END = re.compile(rb"[\r\n]+")
_HINT = re.compile(
    r"(Generating|Updating) lock file|To (track|enable) |\s+(git add|dvc config) |Use `dvc push`"
)


@dataclass(frozen=True)
class Outcome:
    """How a stage ended.

    Attributes
    ----------
    state : str
        ``"ran"``, ``"cached"`` (DVC had its outputs already) or ``"failed"``.
    reason : str
        Why it failed: the last line it printed, or the time it took.
    """

    state: str
    reason: str = ""


async def stage_graph() -> Graph:
    """Ask DVC for the stages of the project in the working directory.

    Returns
    -------
    dict of str to list of str
        The direct upstream stages of every stage, which come before it.

    Raises
    ------
    ConsilienceError
        If DVC cannot read the project.
    """
    async with _dvc("dag", "--dot", "dvc.yaml", stderr=asyncio.subprocess.PIPE) as process:
        output, errors = await process.communicate()
    if process.returncode:
        what = errors.decode().strip().partition("\n")[0].removeprefix("ERROR: ")
        raise ConsilienceError(what, "dvc dag", "start the flow in the project's folder")
    return parse_graph(output.decode())


def parse_graph(dot: str) -> Graph:
    """Read the graph that ``dvc dag --dot`` prints."""
    graph: Graph = {}
    for edge in filter(None, map(_EDGE.match, dot.splitlines())):
        graph.setdefault(edge["upstream"], [])
        if edge["stage"]:
            graph.setdefault(edge["stage"], []).append(edge["upstream"])
    return {stage: graph[stage] for stage in TopologicalSorter(graph).static_order()}


async def reproduce(
    stage: str, workers: int, timeout_s: float | None, report: Callable[[str], None]
) -> Outcome:
    """Bring one stage up to date, its upstream stages being so already.

    Every process the stage has started is ended if it takes too long or is cancelled.

    Parameters
    ----------
    stage : str
        Its name in ``dvc.yaml``, with the item of a matrix: ``"ingest@eeg"``.
    workers : int
        How many processes the stage may use.
    timeout_s : float or None
        Longest time it may take.
    report : callable
        Called with every line of output as it comes.
    """
    command = ("--wait-for-lock", "repro", "--single-item", stage)
    lines: list[str] = []
    try:
        async with (
            asyncio.timeout(timeout_s),
            _dvc(*command, workers=workers, stderr=asyncio.subprocess.STDOUT) as process,
        ):
            async for line in _lines(process):
                if line.strip() and not _HINT.match(line):
                    lines.append(line)
                    report(line)
            await process.wait()
    except TimeoutError:
        return Outcome("failed", f"took longer than {timeout_s:g} s")
    if process.returncode:
        return Outcome("failed", _reason(lines))
    ran = any(line.startswith("Running stage ") for line in lines)
    return Outcome("ran" if ran else "cached")


def _reason(lines: list[str]) -> str:
    """Return the stage's own last line and how it exited, or DVC's line if it never began."""
    if not lines:
        return "dvc failed without a word"
    own = [line for line in lines if not line.startswith(("Running stage ", "> ", "ERROR: failed"))]
    exited = _EXIT.search(lines[-1])
    return f"{own[-1].strip()} ({exited[0]})" if own and exited else lines[-1]


@asynccontextmanager
async def _dvc(
    *arguments: str, workers: int = 1, **streams: Any
) -> AsyncIterator[asyncio.subprocess.Process]:
    environment = os.environ | {
        "PATH": f"{ENVIRONMENT}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
        "PYTHONUNBUFFERED": "1",
        "CONSILIENCE_WORKERS": str(workers),
    }
    process = await asyncio.create_subprocess_exec(
        str(ENVIRONMENT / "dvc"),
        *arguments,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        env=environment,
        start_new_session=True,
        **streams,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            await _end_group(process)


async def _end_group(process: asyncio.subprocess.Process) -> None:
    """End a process and all it has started, which are one process group."""
    os.killpg(process.pid, signal.SIGTERM)
    try:
        with suppress(TimeoutError):
            await asyncio.wait_for(process.wait(), GRACE_S)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


async def _lines(process: asyncio.subprocess.Process) -> AsyncIterator[str]:
    """Split output at line ends and at the carriage returns of progress bars, of any length."""
    assert process.stdout is not None
    rest = b""
    while chunk := await process.stdout.read(65536):
        *complete, rest = _LINE_END.split(rest + chunk)
        for line in complete:
            yield line.decode(errors="replace")
    yield rest.decode(errors="replace")

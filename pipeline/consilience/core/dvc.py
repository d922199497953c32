"""Run DVC as child processes: the graph of the stages, the stale ones, one stage, and ``add``.

Only the ``dvc`` program is used, because DVC locks by process: two stages in the same process would
not exclude one another.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Any

import psutil

from consilience.core.errors import ConsilienceError
from consilience.core.programs import ENVIRONMENT, output_lines, running

__all__ = ["ENVIRONMENT"]

BUSY_S = 5.0  # interval at which a stage that another DVC process uses is tried again
ALWAYS = "always changed"  # the status of a stage that always runs

Graph = dict[str, list[str]]

_EDGE = re.compile(r'^"(?P<upstream>[^"]+)"(?: -> "(?P<stage>[^"]+)")?;$')
_EXIT = re.compile(r"exited with -?\d+$")
_ERROR = re.compile(r"^(error|ERROR): ")  # begins a line about an error
_BUSY = re.compile(r"is busy, it is being blocked by")
_HINT = re.compile(
    r"(Generating|Updating) lock file|To (track|enable) |\s+(git add|dvc config) |Use `dvc push`"
    r"|WARNING: Process .* in RWLock-file .* had been killed"  # of a run that was interrupted
)


@dataclass(frozen=True)
class Outcome:
    """Result of one stage.

    Attributes
    ----------
    state : str
        ``"ran"``, ``"cached"`` (its outputs were up to date or in the cache), ``"busy"`` (another
        DVC process uses its files) or ``"failed"``.
    reason : str
        Reason of a failure: the last line it printed, or the time limit it exceeded.
    """

    state: str
    reason: str = ""


async def stage_graph(folder: Path) -> Graph:
    """Return the graph of a project's DVC stages.

    Parameters
    ----------
    folder : Path
        The project's folder.

    Returns
    -------
    dict of str to list of str
        The direct upstream stages of every stage, in topological order.

    Raises
    ------
    ConsilienceError
        If DVC cannot read the project.
    """
    remedy = "change to the folder of a study; 'consilience init' creates one"
    return parse_graph(await _output(folder, remedy, "dag", "--dot", "dvc.yaml"))


async def stage_changes(folder: Path) -> dict[str, list[Any]]:
    """Return what has changed since each stage ran; a stage without changes is left out.

    DVC reads all dependencies for it: a pipe among them would make it wait for ever.

    Parameters
    ----------
    folder : Path
        The project's folder.

    Returns
    -------
    dict of str to list
        Changes as ``dvc status`` describes them: `ALWAYS` for a stage that always runs.

    Raises
    ------
    ConsilienceError
        If DVC cannot read the project.
    """
    changes: dict[str, list[Any]] = json.loads(
        await _output(folder, "'dvc repro' shows more", "--wait-for-lock", "status", "--json")
    )
    return changes


async def add(folder: Path, path: Path) -> None:
    """Store a file or folder in DVC's cache and write its ``.dvc`` file, as ``dvc add`` does.

    Parameters
    ----------
    folder : Path
        The project's folder.
    path : Path
        Inside of it, and not an output of a stage.

    Raises
    ------
    ConsilienceError
        If DVC cannot read the project, or store it.
    """
    name = path.relative_to(folder).as_posix()
    await _output(folder, f"correct it, then run 'dvc add {name}'", "--wait-for-lock", "add", name)


async def _output(folder: Path, remedy: str, *arguments: str) -> str:
    async with running(folder, "dvc", *arguments, stderr=asyncio.subprocess.PIPE) as process:
        output, errors = await process.communicate()
    if process.returncode:
        what = errors.decode().strip().partition("\n")[0].removeprefix("ERROR: ")
        raise ConsilienceError(what, " ".join(("dvc", *arguments)), remedy)
    return output.decode()


def parse_graph(dot: str) -> Graph:
    """Parse the output of ``dvc dag --dot``; see `stage_graph`."""
    graph: Graph = {}
    for edge in filter(None, map(_EDGE.match, dot.splitlines())):
        graph.setdefault(edge["upstream"], [])
        if edge["stage"]:
            graph.setdefault(edge["stage"], []).append(edge["upstream"])
    return {stage: graph[stage] for stage in TopologicalSorter(graph).static_order()}


async def reproduce(
    folder: Path,
    stage: str,
    workers: int,
    timeout_s: float | None,
    report: Callable[[str], None],
    force: bool = False,
) -> Outcome:
    """Bring one stage up to date; its upstream stages must be up to date already.

    If the stage exceeds the time limit or is cancelled, every process it started is ended. While
    another DVC process uses its files, such as ``dvc repro`` by hand, it waits.

    Parameters
    ----------
    folder : Path
        The project's folder.
    stage : str
        Its name in ``dvc.yaml``, with the item of a matrix: ``"ingest@eeg"``.
    workers : int
        Number of processes the stage may use.
    timeout_s : float or None
        Time limit in s; None for no limit.
    report : callable
        Called with every line of output when it is printed.
    force : bool
        Whether it runs although it is up to date.
    """
    options = ("--single-item", "--force") if force else ("--single-item",)
    arguments = ("--wait-for-lock", "repro", *options, stage)
    try:
        async with asyncio.timeout(timeout_s):
            while (outcome := await _repro(folder, arguments, workers, report)).state == "busy":
                report(f"{stage} waits for another DVC process")
                await asyncio.sleep(BUSY_S)
            return outcome
    except TimeoutError:
        return Outcome("failed", f"took longer than {timeout_s:g} s")


async def reproduce_all(
    folder: Path, targets: Sequence[str], workers: int, report: Callable[[str], None]
) -> Outcome:
    """Bring stages and all that they depend on up to date, one after the other.

    Parameters
    ----------
    folder, workers, report
        As in `reproduce`.
    targets : sequence of str
        Names of stages; none for all.
    """
    return await _repro(folder, ("repro", *targets), workers, report)


async def _repro(
    folder: Path, arguments: Sequence[str], workers: int, report: Callable[[str], None]
) -> Outcome:
    """Run ``dvc repro`` and report what it prints, without DVC's hints."""

    def report_all_but_hints(line: str) -> None:
        if not _HINT.match(line):
            report(line)

    variables = {"CONSILIENCE_WORKERS": str(workers)}
    status, lines = await output_lines(
        folder, "dvc", *arguments, report=report_all_but_hints, variables=variables
    )
    if status and any(map(_BUSY.search, lines)):
        return Outcome("busy", "another DVC process uses the files of the stage")
    if status:
        return Outcome("failed", _reason([line for line in lines if not _HINT.match(line)]))
    ran = any(line.startswith("Running stage ") for line in lines)
    return Outcome("ran" if ran else "cached")


def _reason(lines: list[str]) -> str:
    """Return the stage's last line, or DVC's if it did not start.

    The exit status is added unless the stage has named its error. Without the word that begins an
    error: whoever reports the reason writes it.
    """
    if not lines:
        return "dvc failed without a message"
    # Helpers of a stage that was killed may print after DVC has reported the end of the stage.
    ends = [number for number, line in enumerate(lines) if _EXIT.search(line)]
    if not ends:
        return _ERROR.sub("", lines[-1])
    printed = [
        line
        for line in lines[: ends[-1]]
        if not line.startswith(("Running stage ", "> ", "ERROR: failed"))
    ]
    exited = lines[ends[-1]]
    if not printed:
        return _ERROR.sub("", exited)
    last = printed[-1].strip()
    if last.startswith("error: "):
        return _ERROR.sub("", last)
    return f"{_ERROR.sub('', last)} ({_EXIT.findall(exited)[0]})"


def lock_holders(folder: Path) -> list[str]:
    """Return the running DVC processes that use files of a project, as process id and command."""
    try:
        locks = json.loads((folder / ".dvc/tmp/rwlock").read_text())
    except (OSError, ValueError):  # absent, or being written
        return []
    holders = {int(entry["pid"]): str(entry["cmd"]) for entry in _lock_entries(locks)}
    return [f"{pid} ({cmd})" for pid, cmd in sorted(holders.items()) if psutil.pid_exists(pid)]


def _lock_entries(locks: dict[str, dict[str, Any]]) -> Iterator[dict[str, Any]]:
    yield from (locks.get("write") or {}).values()
    for readers in (locks.get("read") or {}).values():
        yield from readers


async def call(folder: Path, *arguments: str, report: Callable[[str], None]) -> list[str]:
    """Run a command of DVC, report what it prints, and return its lines.

    Raises
    ------
    ConsilienceError
        If it failed, with DVC's last line of error after the first, which has the reason where the
        last one counts files.
    """
    command = ("dvc", "--wait-for-lock", *arguments)
    status, lines = await output_lines(folder, *command, report=report)
    if status:
        errors = [line for line in lines if line.startswith("ERROR: ")] or lines[-1:]
        texts = [
            line.removeprefix("ERROR: ").removeprefix("unexpected error - ") for line in errors
        ]
        what = "; ".join(dict.fromkeys([*texts[:1], *texts[-1:]])) or "it failed without a message"
        raise ConsilienceError(what, " ".join(("dvc", *arguments)))
    return lines

"""Checks before a run: parameters, free disk, inputs, and no other run in the project.

They take seconds and end the run with one line, before a stage runs for an hour in vain.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from consilience.core.dvc import lock_holders
from consilience.core.errors import ConsilienceError
from consilience.core.special_files import check_folder
from consilience.flows.stopping import STOPPED, is_stopping, unless_stopped
from consilience.project import Project

POLL_S = 2.0
REPORT_S = 60.0  # interval at which a waiting run logs what it waits for
RUN_LOCK = ".dvc/tmp/consilience-run.lock"  # git and DVC ignore the folder


def check_disk(folder: Path, min_free_gib: float) -> None:
    """Raise if a disk that a run writes to has less free space than required.

    Raises
    ------
    ConsilienceError
        With the free and the required space in GiB.
    """
    for path in (folder / "data", folder / ".dvc/cache", folder):
        if path.is_dir():
            free_gib = shutil.disk_usage(path).free / 2**30
            if free_gib < min_free_gib:
                raise ConsilienceError(
                    f"{free_gib:.1f} GiB are free, {min_free_gib:g} GiB are required",
                    str(path),
                    "remove files ('dvc gc --workspace': old results), or lower min_free_gib",
                )


def check_inputs(project: Project) -> None:
    """Raise if the recordings are missing, or DVC would wait for a pipe among the inputs.

    Raises
    ------
    ConsilienceError
        With the folder and the entry concerned.
    """
    if not project.params_file.is_file():
        return  # a graph without parameters of this package
    root = project.dataset_root
    synthetic = project.content.get("dataset", {}).get("synthetic")
    if not root.is_dir() and not synthetic:
        raise ConsilienceError(
            "the folder of the recordings does not exist",
            str(root),
            "mount it, or correct dataset.root in params.yaml",
        )
    for folder in (root, project.annotations):
        if folder.is_dir():
            check_folder(folder)


@asynccontextmanager
async def alone(folder: Path, limit_s: float, log: Callable[[str], None]) -> AsyncIterator[None]:
    """Wait until no other run and no DVC process uses the project; exclude other runs meanwhile.

    The system releases the lock however this process ends.

    Parameters
    ----------
    folder : Path
        The project's folder.
    limit_s : float
        Longest wait in s.
    log : callable
        Called with a line about what the run waits for.

    Raises
    ------
    ConsilienceError
        If the project is in use for longer.
    """
    path = folder / RUN_LOCK
    if not path.parent.parent.is_dir():
        yield  # not a DVC project, which another check reports
        return
    path.parent.mkdir(exist_ok=True)
    lock = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        await _until_free(lambda: _users(lock, path, folder), folder, limit_s, log)
        yield
    finally:
        with suppress(OSError):
            os.ftruncate(lock, 0)
        os.close(lock)


async def _until_free(
    users: Callable[[], list[str]], folder: Path, limit_s: float, log: Callable[[str], None]
) -> None:
    waited_s, reported_s = 0.0, -REPORT_S
    while busy := users():
        if waited_s >= limit_s:
            raise ConsilienceError(
                f"in use for more than {limit_s:g} s by process {', '.join(busy)}",
                str(folder),
                "wait for it, or end it; the next run continues",
            )
        if waited_s - reported_s >= REPORT_S:
            log(f"waiting: {folder} is in use by process {', '.join(busy)}")
            reported_s = waited_s
        await unless_stopped(asyncio.sleep(POLL_S))
        if is_stopping():
            raise ConsilienceError(STOPPED, str(folder))
        waited_s += POLL_S


def _users(lock: int, path: Path, folder: Path) -> list[str]:
    """Return the processes that use the project; take the lock of runs unless another has it."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return [path.read_text().strip() or "of another run"]
    os.ftruncate(lock, 0)
    os.pwrite(lock, f"{os.getpid()} (run of the flow)".encode(), 0)
    return lock_holders(folder)

"""Child processes whose output is read line by line and that leave no process behind."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

from consilience.core.processes import killed_with_parent

ENVIRONMENT = Path(sys.executable).parent
GRACE_S = 5.0

_LINE_END = re.compile(rb"[\r\n]+")


@asynccontextmanager
async def running(
    folder: Path, *command: str, variables: Mapping[str, str] | None = None, **streams: Any
) -> AsyncIterator[asyncio.subprocess.Process]:
    """Start a program in a process group of its own, which ends with the block.

    Parameters
    ----------
    folder : Path
        Its working directory.
    *command : str
        The program, searched in the environment of this interpreter first, and its arguments.
    variables : mapping of str to str, optional
        Further environment variables.
    **streams
        Standard error, as for `asyncio.create_subprocess_exec`.
    """
    name, *arguments = command
    program = ENVIRONMENT / name
    environment = os.environ | {
        "PATH": f"{ENVIRONMENT}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
        "PYTHONUNBUFFERED": "1",
        **(variables or {}),
    }
    process = await asyncio.create_subprocess_exec(
        str(program) if program.exists() else name,
        *arguments,
        cwd=folder,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        env=environment,
        start_new_session=True,
        preexec_fn=killed_with_parent,
        **streams,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            await _end_group(process)


async def output_lines(
    folder: Path,
    *command: str,
    report: Callable[[str], None],
    variables: Mapping[str, str] | None = None,
) -> tuple[int, list[str]]:
    """Run a program to its end; return its exit status and the lines of both outputs.

    Parameters
    ----------
    folder, *command, variables
        As in `running`.
    report : callable
        Called with every line that is not empty, when it is printed.
    """
    lines: list[str] = []
    async with running(
        folder, *command, variables=variables, stderr=asyncio.subprocess.STDOUT
    ) as process:
        async for line in _lines(process):
            if line.strip():
                lines.append(line)
                report(line)
        await process.wait()
    assert process.returncode is not None
    return process.returncode, lines


async def _end_group(process: asyncio.subprocess.Process) -> None:
    """End a process and all processes that it started, which form one process group."""
    os.killpg(process.pid, signal.SIGTERM)
    try:
        with suppress(TimeoutError):
            await asyncio.wait_for(process.wait(), GRACE_S)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


async def _lines(process: asyncio.subprocess.Process) -> AsyncIterator[str]:
    """Yield lines of any length, split at line ends and at carriage returns of progress bars."""
    assert process.stdout is not None
    rest = b""
    while chunk := await process.stdout.read(65536):
        *complete, rest = _LINE_END.split(rest + chunk)
        for line in complete:
            yield line.decode(errors="replace")
    yield rest.decode(errors="replace")

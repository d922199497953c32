"""Run a command and return what it printed and the resources that it used."""

from __future__ import annotations

import os
import resource
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from consilience.core.dvc import ENVIRONMENT

ROOT = Path(__file__).parents[2]


def project_environment() -> dict[str, str]:
    """Return this environment with the commands and the package of this checkout in front."""
    return {
        **os.environ,
        "PATH": f"{ENVIRONMENT}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": f"{ROOT / 'pipeline'}{os.pathsep}{ROOT}",
    }


class Ended(NamedTuple):
    """A command that has ended.

    Attributes
    ----------
    status : int
        Exit status.
    printed : str
        On standard output and standard error.
    usage : struct_rusage
        Of the command and the processes that it waited for.
    """

    status: int
    printed: str
    usage: resource.struct_rusage

    @property
    def processor_s(self) -> float:
        """User and system time."""
        return self.usage.ru_utime + self.usage.ru_stime

    @property
    def memory_mb(self) -> float:
        """The largest resident set in megabytes."""
        return self.usage.ru_maxrss / 1024


def run(
    command: Sequence[str], folder: Path, environment: Mapping[str, str] | None = None
) -> Ended:
    """Run a command to its end in a folder."""
    with subprocess.Popen(
        command,
        cwd=folder,
        env=environment,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    ) as process:
        assert process.stdout is not None
        printed = process.stdout.read()
        # wait4 reports the resources of this child alone.
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    return Ended(process.returncode, printed, usage)

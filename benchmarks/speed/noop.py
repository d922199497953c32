"""Runs with nothing to do: ``python -m benchmarks.speed.noop [REPEATS [PROJECT]]``.

By default a demonstration project of four short sessions is reproduced first, which takes minutes.
The commands are measured in turns, so that other work on the machine slows all of them alike.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np

from benchmarks.new_project import create_project
from benchmarks.speed.child import project_environment, run
from consilience import params
from consilience.core.dvc import ENVIRONMENT

PYTHON = str(ENVIRONMENT / "python")
REPRO = (str(ENVIRONMENT / "dvc"), "repro")
COMMANDS = {
    "`dvc repro`": REPRO,
    "– of which stage `code`": (PYTHON, str(ENVIRONMENT / "consilience"), "stage", "code"),
    "Prefect flow, no server configured": (PYTHON, "-m", "consilience.flows"),
    "`consilience --help`": (str(ENVIRONMENT / "consilience"), "--help"),
}


SMALL = {
    "synthesis": {"subjects": 4, "sessions": 1, "trials": 4, "trial_s": 4.0},
    "splits": {"folds": 2, "validation_subjects": 1},
    "training": {"epochs": 1, "seeds": [0]},
    "robustness": {"bootstrap": 100},
}


class Cost(NamedTuple):
    """Cost of one run of a command, with the processes that it waited for."""

    wall_s: float
    processor_s: float


def create(project: Path) -> None:
    """Write a demonstration project, with all stages but little data."""
    create_project(project)
    content = params.defaults("demo")
    for section, values in SMALL.items():
        content[section] |= values
    (project / "params.yaml").write_text(params.document(content))


def measure(project: Path, repeats: int = 5) -> dict[str, list[Cost]]:
    """Reproduce a project, and run every command several times in it.

    Raises
    ------
    RuntimeError
        If a command fails, or a stage other than ``code`` is stale.
    """
    environment = project_environment()
    environment.pop("PREFECT_API_URL", None)
    silent = subprocess.DEVNULL
    subprocess.run(REPRO, cwd=project, env=environment, check=True, stdout=silent)
    costs: dict[str, list[Cost]] = {name: [] for name in COMMANDS}
    for _ in range(repeats):
        for name, command in COMMANDS.items():
            costs[name].append(cost(command, project, environment))
    return costs


def cost(command: tuple[str, ...], folder: Path, environment: Mapping[str, str]) -> Cost:
    """Run a command once; return its cost."""
    began = time.monotonic()
    ended = run(command, folder, environment)
    printed = ended.printed
    ran = printed.count("Running stage ") - printed.count("Running stage 'code'")
    if ended.status or ran:
        raise RuntimeError(f"{' '.join(command)}: not a run with nothing to do:\n{printed}")
    return Cost(time.monotonic() - began, ended.processor_s)


def main(repeats: int = 5, project: Path | None = None) -> None:
    """Print the median costs as rows of a Markdown table."""
    with tempfile.TemporaryDirectory() as folder:
        if project is None:
            create(project := Path(folder) / "project")
        measured = measure(project, repeats)
    print("| command | wall time | processor time |\n|---|---|---|")
    for name, costs in measured.items():
        wall_s, processor_s = np.median(costs, axis=0)
        print(f"| {name} | {wall_s:.2f} s | {processor_s:.2f} s |")


if __name__ == "__main__":
    words = sys.argv[1:]
    main(int(words[0]) if words else 5, Path(words[1]) if len(words) > 1 else None)

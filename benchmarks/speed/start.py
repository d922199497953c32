"""Start-up of the stages: ``python -m benchmarks.speed.start [REPEATS]``.

Each stage runs in a folder that holds ``params.yaml`` and no data. It imports its modules, reads
its parameters, and ends with an error at the first table it needs. What this takes is paid once
per stage and once per worker process.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

from benchmarks.speed.child import run
from consilience import params

STAGES = (
    *("code", "catalog", "ingest eeg", "align", "label", "window", "train concat", "evaluate"),
    *("score demo", "report"),
)
HEAVY = ("torch", "mne", "librosa", "cv2", "av", "onnxruntime", "scipy.signal")


class Start(NamedTuple):
    """Cost of starting one stage.

    Attributes
    ----------
    stage : str
        Name and argument.
    processor_s : float
        User and system time.
    memory_mb : float
        Largest resident set.
    heavy : list of str
        Imported libraries among `HEAVY`.
    """

    stage: str
    processor_s: float
    memory_mb: float
    heavy: list[str]


def measure(stage: str, repeats: int = 3) -> Start:
    """Start a stage several times; return the smallest costs, which other work disturbs least.

    Parameters
    ----------
    stage : str
        Name and argument, such as ``"ingest eeg"``.
    repeats : int
    """
    with tempfile.TemporaryDirectory() as folder:
        write_params(Path(folder))
        starts = [run(_command(stage), Path(folder)) for _ in range(repeats)]
        heavy = heavy_imports(stage, Path(folder))
    processor_s = min(start.processor_s for start in starts)
    return Start(stage, processor_s, min(start.memory_mb for start in starts), heavy)


def _command(stage: str, *options: str) -> list[str]:
    name, *arguments = stage.split()
    return [sys.executable, *options, "-m", "consilience", "stage", name, *arguments]


def write_params(folder: Path) -> None:
    """Write the parameters of the demonstration corpus."""
    text = params.document(params.defaults("demo"))
    (folder / "params.yaml").write_text(text)


def heavy_imports(stage: str, folder: Path) -> list[str]:
    """Return the libraries among `HEAVY` that a stage imports in a folder without data."""
    command = _command(stage, "-X", "importtime")
    log = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False).stderr
    imported = set(re.findall(r"^import time:.*\| +([\w.]+)$", log, re.MULTILINE))
    return [name for name in HEAVY if name in imported]


def main(repeats: int = 3) -> None:
    """Print the costs of all stages as rows of a Markdown table."""
    print("| stage | processor time | memory | heavy libraries |\n|---|---|---|---|")
    for stage in STAGES:
        start = measure(stage, repeats)
        print(
            f"| `{stage}` | {start.processor_s:.2f} s | {start.memory_mb:.0f} MB "
            f"| {', '.join(start.heavy) or '–'} |"
        )


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))

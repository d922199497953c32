"""Cost of one more recording: ``python -m benchmarks.speed.incremental [RECORDINGS [SECONDS]]``.

A study of one voice per session is processed up to its windows; then one session is added. Prints
processor seconds of the complete run, of a run without changes, and of the run with one more
recording, the bytes that the latter reads, and whether its results equal those of a run from
nothing. Everything is computed in this process, so that all of it is counted.
"""

from __future__ import annotations

import math
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import soundfile

from consilience.alignment.run import align
from consilience.annotation.label import label
from consilience.core.seeds import generator
from consilience.ingest import catalog, ingest
from consilience.ingest.catalog import write_catalog
from consilience.ingest.run import ingest_modality
from consilience.params import defaults, document
from consilience.project import Project
from consilience.windows.build import window

RATE_HZ = 16000
CLASSES = ("calm", "excited")


class Cost(NamedTuple):
    """Cost of a run.

    Attributes
    ----------
    processor_s : float
    read_bytes : int
        By any call of this process.
    stages_s : dict of str to float
        Processor seconds by stage.
    """

    processor_s: float
    read_bytes: int
    stages_s: dict[str, float]


def make_study(folder: Path, n_recordings: int, duration_s: float) -> Project:
    """Write a study with one recording per session, and its parameters."""
    root = folder / "recordings"
    root.mkdir(parents=True)
    (folder / "data").mkdir()
    for number in range(n_recordings):
        record(root, number, duration_s)
    content = defaults("folder", str(root), ["audio"])
    content["splits"] |= {"folds": 3, "validation_subjects": 1}
    project = Project(folder)
    project.params_file.write_text(document(content))
    return project


def record(root: Path, number: int, duration_s: float) -> None:
    """Add a session: 200 ms syllables of a hum at a pitch of its own, and its label."""
    rng = generator("benchmark", "incremental", number)
    times_s = np.arange(round(duration_s * RATE_HZ)) / RATE_HZ
    voiced = np.sin(2 * np.pi * 2.5 * times_s) > 0
    sound = 0.1 * voiced * np.sin(2 * np.pi * rng.uniform(90, 250) * times_s)
    sound += 0.001 * rng.standard_normal(len(times_s))
    soundfile.write(root / f"voice-{number:05d}.wav", sound.astype(np.float32), RATE_HZ)
    session = f"s{number:05d}"
    row = f"{session},p{number % 12:02d},audio,voice-{number:05d}.wav"
    _append(root / "recordings.csv", "session,subject,modality,path", row)
    label_row = f"{session},rater,emotion,0,{duration_s},{CLASSES[number % 2]},"
    header = "session,annotator,target,start_s,end_s,label,value"
    _append(root / "annotations.csv", header, label_row)


def _append(path: Path, header: str, row: str) -> None:
    new = not path.exists()
    with path.open("a") as file:
        file.write(f"{header}\n{row}\n" if new else f"{row}\n")


def run(project: Project) -> Cost:
    """Process a study up to its windows."""
    stages: dict[str, Callable[[], object]] = {
        "catalog": lambda: write_catalog(project, _silent),
        "ingest": lambda: ingest_modality(project, "audio", _silent),
        "align": lambda: align(project, _silent),
        "label": lambda: label(project, _silent),
        "window": lambda: window(project, _silent),
    }
    stages_s, before = {}, _read_bytes()
    for name, stage in stages.items():
        began = time.process_time()
        stage()
        stages_s[name] = time.process_time() - began
    return Cost(sum(stages_s.values()), _read_bytes() - before, stages_s)


def _silent(line: str) -> None:
    """Drop a line of a summary."""


def _read_bytes() -> int:
    lines = Path("/proc/self/io").read_text().splitlines()
    return int(dict(line.split(": ") for line in lines)["rchar"])


def _content(project: Project) -> dict[str, bytes]:
    folders = (project.catalog, project.signals("audio"), project.alignment, project.windows)
    return {
        str(path.relative_to(project.root)): path.read_bytes()
        for folder in folders
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def main(n_recordings: int = 1000, duration_s: float = 20.0) -> None:
    """Print the costs."""
    catalog.LIMIT_S = ingest.LIMIT_S = math.inf  # in this process
    with tempfile.TemporaryDirectory() as folder:
        project = make_study(Path(folder), n_recordings, duration_s)
        complete = run(project)
        unchanged = run(project)
        record(project.dataset_root, n_recordings, duration_s)
        size = (project.dataset_root / f"voice-{n_recordings:05d}.wav").stat().st_size
        one_more = run(project)
        incremental = _content(project)
        shutil.rmtree(project.data)
        project.data.mkdir()
        run(Project(project.root))
        equal = _content(project) == incremental
    print(f"{n_recordings} recordings of {duration_s:g} s: {complete.processor_s:.1f} s")
    print(
        f"without changes: {unchanged.processor_s:.2f} s, {unchanged.read_bytes / 1e6:.1f} MB read"
    )
    share = one_more.processor_s / complete.processor_s
    extra = (one_more.read_bytes - unchanged.read_bytes) / size
    stages = ", ".join(f"{name} {seconds:.2f}" for name, seconds in one_more.stages_s.items())
    read_mb = one_more.read_bytes / 1e6
    print(f"one more: {one_more.processor_s:.2f} s, {share:.1%} of the complete run ({stages})")
    print(f"{read_mb:.1f} MB read, beyond a run without changes {extra:.1f} x its size")
    print(f"equal to a run from nothing: {equal}")


if __name__ == "__main__":
    words = sys.argv[1:]
    main(int(words[0]) if words else 1000, float(words[1]) if len(words) > 1 else 20.0)

"""Many recordings: ``python -m benchmarks.speed.many [RECORDINGS]``, by default 10,000.

A study of one skin-conductance table of 20 s per session, a tenth of them empty, is reproduced
stage by stage, and then once more without changes; a model of it predicts all recordings. Prints
the time of each command and the memory of its largest process.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from benchmarks.new_project import create_project
from benchmarks.speed.child import project_environment, run
from benchmarks.speed.incremental import CLASSES
from consilience import params
from consilience.core.dvc import ENVIRONMENT
from consilience.core.seeds import generator

RATE_HZ, DURATION_S = 4, 20
FAULTY = 10  # every so many recordings, one is empty
METHOD = "coherence_transfer"
STAGES = (
    *("code", "catalog", "ingest@gsr", "align", "label", "window", "corrupt"),
    *(f"train@{METHOD}", "evaluate", "query", "report"),
)
PREDICT = ("consilience", "predict", f"data/models/{METHOD}", "recordings")
COMMANDS = {
    **{stage: ("dvc", "repro", "--single-item", stage) for stage in STAGES},
    "`consilience run` without changes": ("consilience", "run"),
    "`consilience status`": ("consilience", "status"),
    "`consilience predict` with a page": (*PREDICT, "--html", "predictions.html"),
}


def create(folder: Path, n_recordings: int) -> None:
    """Write a study with its recordings, labels and parameters."""
    create_project(folder)
    root = folder / "recordings"
    root.mkdir()
    times_s = np.arange(DURATION_S * RATE_HZ) / RATE_HZ
    recordings = ["session,subject,modality,path"]
    annotations = ["session,annotator,target,start_s,end_s,label,value"]
    for number in range(n_recordings):
        rng = generator("benchmark", "many", number)
        values = 5 + np.cumsum(0.05 * rng.standard_normal(len(times_s)))
        samples = zip(times_s, values, strict=True) if number % FAULTY else ()
        rows = (f"{time_s:.2f},{value:.4f}" for time_s, value in samples)
        name, session = f"gsr-{number:05d}.csv", f"s{number:05d}"
        (root / name).write_text("\n".join(["time_s,gsr_us", *rows]) + "\n")
        recordings.append(f"{session},p{number % 40:02d},gsr,{name}")
        annotations.append(f"{session},rater,emotion,0,{DURATION_S},{CLASSES[number % 2]},")
    (root / "recordings.csv").write_text("\n".join(recordings) + "\n")
    (root / "annotations.csv").write_text("\n".join(annotations) + "\n")
    content = params.defaults("folder", str(root), ["gsr"])
    content["splits"] |= {"folds": 3, "validation_subjects": 2}
    content["methods"] = {METHOD: content["methods"][METHOD]}
    (folder / "params.yaml").write_text(params.document(content))


def main(n_recordings: int = 10_000) -> None:
    """Print the costs as rows of a Markdown table."""
    environment = project_environment()
    print(f"| {n_recordings:,} recordings | wall time | processor time | largest process |")
    print("|---|---|---|---|")
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "study"
        folder.mkdir()
        create(folder, n_recordings)
        for title, command in COMMANDS.items():
            began = time.monotonic()
            ended = run((str(ENVIRONMENT / command[0]), *command[1:]), folder, environment)
            if ended.status:
                raise RuntimeError(ended.printed[-2000:])
            print(
                f"| {title} | {time.monotonic() - began:.1f} s | {ended.processor_s:.1f} s "
                f"| {ended.memory_mb:.0f} MB |",
                flush=True,
            )


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))

"""A small project that is reproduced once, copied for every fault and compared afterwards."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import psutil
from ruamel.yaml import YAML

from benchmarks.new_project import ROOT, create_project
from consilience import params

PROGRAMS = Path(sys.executable).parent
MARK = "CONSILIENCE_FAULT"  # environment variable by which every process of a run is found
# Not compared: kept between runs, or of the current attempt.
LOOSE = ("data/checkpoints", "data/.store")
METHOD = "concat"
# Outputs of every stage, in the order of the pipeline.
OUTPUTS = {
    "synthesize@demo": ("data/raw/demo", "data/truth/demo"),
    "catalog": ("data/catalog", "data/.store/catalog"),
    "ingest@eeg": ("data/signals/eeg.frames", "data/.store/eeg"),
    "ingest@audio": ("data/signals/audio.frames", "data/.store/audio"),
    "align": ("data/alignment",),
    "label": ("data/labels",),
    "window": ("data/windows", "data/.store/windows"),
    "corrupt": ("data/corrupted", "data/.store/corrupted"),
    f"train@{METHOD}": (f"data/models/{METHOD}",),
    "evaluate": ("data/evaluation",),
    "query": ("data/query",),
    "score@demo": ("data/score/demo",),
    "report": ("data/report",),
}
SMALL: dict[str, dict[str, object]] = {
    "synthesis": {
        "subjects": 3,
        "sessions": 1,
        "trials": 4,
        "trial_s": 4.0,
        "missing_fraction": 0.0,
        "faulty_fraction": 0.0,
    },
    "splits": {"folds": 3, "validation_subjects": 1},
    "training": {"epochs": 1, "seeds": [0]},
    "robustness": {"bootstrap": 100},
}


@dataclass
class Done:
    """Outcome of a command: exit status, or None if it was stopped, and all it printed."""

    status: int | None
    printed: str


@dataclass
class Sandbox:
    """A copy of the project with an environment of its own."""

    folder: Path
    name: str
    environment: dict[str, str] = field(default_factory=dict)
    limits: str = ""  # shell commands before the program, such as ulimit

    @property
    def log(self) -> Path:
        """File of what the commands print, outside of the project, which may be read-only."""
        return self.folder.parent / f"{self.folder.name}.log"

    def start(self, *command: str) -> subprocess.Popen[str]:
        """Start a program of this environment in the project's folder."""
        environment = {
            **os.environ,
            MARK: self.name,
            "PATH": f"{PROGRAMS}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": f"{ROOT / 'pipeline'}{os.pathsep}{ROOT}",
            "CONSILIENCE_WORKERS": "2",
            "PREFECT_HOME": str(self.folder / ".prefect"),
            "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "120",
            "OMP_NUM_THREADS": "1",
            **self.environment,
        }
        line = ["bash", "-c", f'{self.limits or "true"}; exec "$0" "$@"', *command]
        with self.log.open("a") as log:
            return subprocess.Popen(
                line,
                cwd=self.folder,
                env={key: value for key, value in environment.items() if value is not None},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                text=True,
            )

    def run(self, *command: str, timeout_s: float = 300) -> Done:
        """Run a program to its end; stop it after a time."""
        log = self.log
        log.write_text("")
        process = self.start(*command)
        try:
            process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            return Done(None, log.read_text(errors="replace"))
        return Done(process.returncode, log.read_text(errors="replace"))

    def processes(self) -> list[psutil.Process]:
        """Return all running processes that a command of this project started."""
        marked = []
        for process in psutil.process_iter():
            try:
                if process.environ().get(MARK) == self.name and process.status() != "zombie":
                    marked.append(process)
            except psutil.Error:
                continue
        return marked

    def make_stale(self, stage: str) -> None:
        """Remove what a stage wrote and all records of it, so that it runs again."""
        for name in OUTPUTS[stage]:
            shutil.rmtree(self.folder / name, ignore_errors=True)
        lock = self.folder / "dvc.lock"
        content = YAML(typ="safe").load(lock.read_text())
        del content["stages"][stage]
        with lock.open("w") as file:
            YAML().dump(content, file)
        module, _, item = stage.partition("@")
        command = re.compile(rf"stage {module}( --\w+ {item})?$")
        for record in list((self.folder / ".dvc/cache/runs").glob("*/*/*")):
            if command.search(YAML(typ="safe").load(record.read_text())["cmd"]):
                shutil.rmtree(record.parent)  # DVC fails at an empty folder of records

    def state(self) -> dict[str, str]:
        """Return the hash of every result and of ``dvc.lock``, by path."""
        hashes = {name: _hash(self.folder / name) for name in self.results()}
        # The order of its stages is that in which they ran.
        lock = YAML(typ="safe").load((self.folder / "dvc.lock").read_text())
        return {**hashes, "dvc.lock": json.dumps(lock, sort_keys=True)}

    def results(self) -> Iterator[str]:
        """Yield the paths of all results, relative to the project."""
        yield "dvc.lock"
        for parent, _, names in os.walk(self.folder / "data"):
            for name in names:
                path = Path(parent, name).relative_to(self.folder)
                if not any(path.is_relative_to(loose) for loose in LOOSE):
                    yield path.as_posix()


def _hash(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "absent"


def create(folder: Path) -> Sandbox:
    """Create the project with its parameters, without running a stage."""
    create_project(folder)
    content = params.defaults("demo", modalities=["eeg", "audio"])
    for section, values in SMALL.items():
        content[section] = {**content[section], **values}
    content["methods"] = {METHOD: content["methods"][METHOD]}
    (folder / "params.yaml").write_text(params.document(content))
    return Sandbox(folder, f"{folder.name}-{os.getpid()}")


def reproduce(sandbox: Sandbox) -> dict[str, float]:
    """Run every stage by itself and commit ``dvc.lock``; return the duration of each in seconds."""
    durations = {}
    for stage in ("code", *OUTPUTS):
        began = time.monotonic()
        done = sandbox.run("dvc", "repro", "--single-item", stage)
        assert done.status == 0, done.printed
        durations[stage] = time.monotonic() - began
    assert sandbox.run("dvc", "repro").status == 0
    author = ("-c", "user.name=faults", "-c", "user.email=faults@localhost")
    for command in (("add", "dvc.lock"), (*author, "commit", "-q", "-m", "Lock the outputs")):
        subprocess.run(["git", *command], cwd=sandbox.folder, check=True)
    return durations


def remove(sandbox: Sandbox) -> None:
    """Remove a copy, and what is mounted there."""
    command = ["umount", "--lazy", str(sandbox.folder)]
    while subprocess.run(command, capture_output=True, check=False).returncode == 0:
        pass  # one mount may lie over another
    shutil.rmtree(sandbox.folder, ignore_errors=True)


def copy(original: Sandbox, folder: Path, name: str) -> Sandbox:
    """Return an independent copy of a project, hard links between its files included."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    subprocess.run(["cp", "-a", str(original.folder), str(folder)], check=True)
    return Sandbox(folder, f"{name}-{os.getpid()}")

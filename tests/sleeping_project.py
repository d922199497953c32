"""A DVC project whose stages only sleep, for the tests of `core.dvc` and of the flow."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from consilience.core.dvc import ENVIRONMENT

WORK = """
import os, pathlib, subprocess, sys, time
name, seconds = sys.argv[1], sys.argv[2]
began = time.time()
print(f"{name} may use {os.environ['CONSILIENCE_WORKERS']} workers")
if pathlib.Path(f"{name}.fails").exists():
    sys.exit(f"{name}: the microphone is off (switch it on)")
child = subprocess.Popen(["sleep", seconds])
pathlib.Path(f"{name}.pid").write_text(str(child.pid))
child.wait()
out = pathlib.Path("out", name)
out.mkdir(parents=True)
out.joinpath("times.txt").write_text(f"{began} {time.time()}")
"""

DVC_YAML = """
stages:
  ingest:
    matrix:
      modality: [audio, face_au, eeg]
    cmd: python work.py ${item.modality} SECONDS
    outs:
      - out/${item.modality}
  align:
    cmd: python work.py align 0
    deps:
      - out/audio
      - out/face_au
      - out/eeg
    outs:
      - out/align
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[float], Path]:
    """Return a function that creates a DVC project: three ingests that sleep, and a stage after."""

    def make(seconds: float) -> Path:
        (tmp_path / "work.py").write_text(WORK)
        (tmp_path / "dvc.yaml").write_text(DVC_YAML.replace("SECONDS", str(seconds)))
        monkeypatch.setenv("DVC_NO_ANALYTICS", "1")
        init = [ENVIRONMENT / "dvc", "init", "--no-scm", "--quiet"]
        subprocess.run(init, cwd=tmp_path, check=True)
        return tmp_path

    return make


@pytest.fixture
def is_running() -> Callable[[int], bool]:
    """Return a function that checks whether a process runs; a zombie process does not."""

    def check(pid: int) -> bool:
        try:
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            return False
        return fields[0] != "Z"

    return check

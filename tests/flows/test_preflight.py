"""A run checks disk, inputs and other processes before a stage starts."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from consilience import params
from consilience.core.errors import ConsilienceError
from consilience.flows import preflight
from consilience.project import Project

HOLD = "import fcntl, sys, time; f = open(sys.argv[1], 'r+'); fcntl.flock(f, fcntl.LOCK_EX); "
HOLD += "f.write('77 (run of the flow)'); f.flush(); print('held', flush=True); "
HOLD += "time.sleep(float(sys.argv[2]))"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / ".dvc/tmp").mkdir(parents=True)
    monkeypatch.setattr(preflight, "POLL_S", 0.05)
    return tmp_path


def study_with(folder: Path, **dataset: object) -> Project:
    content = params.defaults("demo")
    content["dataset"] |= dataset
    (folder / "params.yaml").write_text(params.document(content))
    return Project(folder)


async def _wait(folder: Path, limit_s: float, lines: list[str]) -> None:
    async with preflight.alone(folder, limit_s, lines.append):
        lines.append("alone")


def wait(folder: Path, limit_s: float) -> list[str]:
    """Enter and leave the block that excludes other runs; return the logged lines."""
    lines: list[str] = []
    asyncio.run(_wait(folder, limit_s, lines))
    return lines


def test_a_disk_without_the_required_space_is_named(folder: Path) -> None:
    preflight.check_disk(folder, 0.0)
    with pytest.raises(ConsilienceError, match=r"GiB are free, 1e\+09 GiB are required"):
        preflight.check_disk(folder, 1e9)


def test_a_missing_folder_of_recordings_is_named(folder: Path) -> None:
    project = study_with(folder, synthetic=[], root="../absent")
    with pytest.raises(ConsilienceError, match="folder of the recordings does not exist"):
        preflight.check_inputs(project)
    preflight.check_inputs(study_with(folder))  # the demonstration simulates it


@pytest.mark.parametrize("place", ["data/raw/demo", "data/annotations"])
def test_a_pipe_in_a_folder_that_dvc_reads_is_named(folder: Path, place: str) -> None:
    project = study_with(folder)
    (folder / place).mkdir(parents=True)
    os.mkfifo(folder / place / "pipe")
    with pytest.raises(ConsilienceError, match="'pipe' is a pipe"):
        preflight.check_inputs(project)


@contextmanager
def held(folder: Path, seconds: int) -> Iterator[subprocess.Popen[bytes]]:
    """Let another process hold the lock of a folder's run for some seconds."""
    lock = folder / preflight.RUN_LOCK
    lock.touch()
    command = [sys.executable, "-c", HOLD, str(lock), str(seconds)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        other.stdout.readline()
        yield other


def test_a_run_waits_for_another_one_and_follows_it(folder: Path) -> None:
    with held(folder, seconds=1):
        lines = wait(folder, 60.0)
    assert lines == [f"waiting: {folder} is in use by process 77 (run of the flow)", "alone"]


def test_the_lock_of_a_killed_run_is_free_at_once(folder: Path) -> None:
    with held(folder, seconds=60) as other:
        other.kill()
    assert wait(folder, 0.0) == ["alone"]


def test_a_run_that_waits_too_long_names_the_other(folder: Path) -> None:
    holder = {"pid": os.getpid(), "cmd": "dvc repro train"}
    (folder / ".dvc/tmp/rwlock").write_text(json.dumps({"write": {"/data": holder}}))
    with pytest.raises(ConsilienceError, match=r"in use for more than 0\.1 s .*dvc repro train"):
        wait(folder, 0.1)


def test_locks_of_dvc_processes_that_have_ended_do_not_count(folder: Path) -> None:
    with subprocess.Popen(["true"]) as ended:
        pass
    holder = {"pid": ended.pid, "cmd": "dvc repro"}
    (folder / ".dvc/tmp/rwlock").write_text(json.dumps({"read": {"/data": [holder]}}))
    assert wait(folder, 0.0) == ["alone"]


def test_a_run_leaves_its_lock_empty(folder: Path) -> None:
    wait(folder, 0.0)
    assert (folder / preflight.RUN_LOCK).read_text() == ""

"""The campaign's faults do what their names state, on a project without DVC."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from benchmarks.faults import faults
from benchmarks.faults.__main__ import Outcome, table
from benchmarks.faults.project import OUTPUTS, ROOT, Sandbox


@pytest.fixture
def sandbox(tmp_path: Path) -> Sandbox:
    return Sandbox(tmp_path, f"test-{tmp_path.name}")


def test_there_are_at_least_sixty_and_each_has_its_own_name() -> None:
    every = [(fault.kind, fault.name) for fault in faults.all_faults()]
    assert len(every) == len(set(every)) >= 60


def test_the_outputs_of_every_stage_are_known() -> None:
    stages = YAML(typ="safe").load((ROOT / "dvc.yaml").read_text())["stages"]
    assert [name.partition("@")[0] for name in OUTPUTS if name != "ingest@audio"] == [
        stage for stage in stages if stage != "code"
    ]


@pytest.mark.parametrize(
    ("how", "left"), [("cut", b"abc"), ("flipped", b"abcDef"), ("deleted", None)]
)
def test_a_file_is_damaged(tmp_path: Path, how: str, left: bytes | None) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"abcdef")
    path.chmod(0o444)
    faults.DAMAGES[how](path)
    assert (path.read_bytes() if path.exists() else None) == left


def test_a_lock_file_is_damaged_in_several_places_and_checked_out_again(sandbox: Sandbox) -> None:
    path = sandbox.folder / "dvc.lock"
    path.write_text("a" * 100)
    author = ("-c", "user.name=a", "-c", "user.email=a@localhost")
    for command in (("init", "-q"), ("add", "dvc.lock"), (*author, "commit", "-qm", "Lock")):
        subprocess.run(["git", *command], cwd=sandbox.folder, check=True)
    damaged = set()
    for fault in faults.all_faults():
        if fault.kind.endswith(" dvc.lock"):
            fault.before(sandbox)
            damaged.add(path.read_text() if path.exists() else None)
            fault.after(sandbox)
            assert path.read_text() == "a" * 100
    assert len(damaged) == 2 * len(faults.LOCK_SHARES) + 1


def test_a_process_of_the_project_is_found_and_stopped(sandbox: Sandbox) -> None:
    code = "import time; time.sleep(60)"
    process = sandbox.start(sys.executable, "-c", code, "stage", "label")
    faults._stop("label", "stage", signal.SIGKILL)(sandbox, random.Random(1))
    assert process.wait(10) == -signal.SIGKILL
    assert sandbox.processes() == []


def test_a_stale_stage_has_no_output_and_no_record_of_its_run(sandbox: Sandbox) -> None:
    runs = sandbox.folder / ".dvc/cache/runs/ab"
    for item in ("eeg", "audio"):
        (sandbox.folder / f"data/signals/{item}.frames").mkdir(parents=True)
        record = runs / item / "record"
        record.parent.mkdir(parents=True)
        # DVC breaks long lines.
        record.write_text(f"cmd: consilience stage ingest --modality\n  {item}\n")
    (sandbox.folder / "dvc.lock").write_text("stages: {ingest@eeg: {}, ingest@audio: {}}\n")
    sandbox.make_stale("ingest@eeg")
    assert [path.name for path in runs.iterdir()] == ["audio"]
    assert [path.name for path in (sandbox.folder / "data/signals").iterdir()] == ["audio.frames"]
    assert (sandbox.folder / "dvc.lock").read_text() == "stages:\n  ingest@audio: {}\n"


def test_the_table_has_a_row_per_kind_and_a_sum() -> None:
    good = Outcome("kill", "a", -9, 1, True, 0, [], False, "")
    bad = Outcome("kill", "b", 1, 1, False, 2, ["data/x"], True, "error")
    lines = table([good, bad, Outcome("cut", "c", 0, 0, True, 0, [], False, "")]).splitlines()
    assert lines[2:] == [
        "| kill | 2 | 2 | 1 | 2 | 2 | 1 | 1 |",
        "| cut | 1 | 0 | 1 | 0 | 0 | 0 | 0 |",
        "| **all** | 3 | 2 | 2 | 2 | 2 | 1 | 1 |",
    ]

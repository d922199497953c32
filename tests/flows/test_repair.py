"""A damaged file of DVC is restored from the last run, the last commit, or removed."""

from __future__ import annotations

import subprocess
from pathlib import Path

from consilience.flows import repair

MESSAGE = "dvc dag --dot dvc.yaml: './dvc.lock' validation failed."


def restored(folder: Path, message: str = MESSAGE) -> list[str]:
    lines: list[str] = []
    assert repair.restored(folder, message, lines.append) == bool(lines)
    return lines


def test_the_copy_of_the_last_run_is_taken_then_the_commit_then_none(tmp_path: Path) -> None:
    lock = tmp_path / "dvc.lock"
    lock.write_text("committed")
    author = ("-c", "user.name=a", "-c", "user.email=a@localhost")
    for command in (("init", "-q"), ("add", "dvc.lock"), (*author, "commit", "-qm", "Lock")):
        subprocess.run(["git", *command], cwd=tmp_path, check=True)
    lock.write_text("of the last run")
    repair.keep(tmp_path)
    lock.write_text("cut")
    assert restored(tmp_path) == ["dvc.lock was damaged: restored as the last run left it"]
    assert lock.read_text() == "of the last run"
    # DVC refuses this one too.
    assert restored(tmp_path) == ["dvc.lock was damaged: restored as the last commit left it"]
    assert lock.read_text() == "committed"
    assert restored(tmp_path) == ["dvc.lock was damaged: removed; it is written anew"]
    assert not lock.exists()
    assert restored(tmp_path) == []


def test_a_file_that_tracks_a_folder_is_restored_without_git(tmp_path: Path) -> None:
    tracked = tmp_path / "data/registry.dvc"
    tracked.parent.mkdir()
    tracked.write_text("outs: []")
    (tmp_path / "dvc.lock").write_text("sound")
    repair.keep(tmp_path)
    tracked.write_text("ou")
    lines = restored(tmp_path, "'data/registry.dvc' validation failed.")
    assert lines == ["data/registry.dvc was damaged: restored as the last run left it"]
    assert tracked.read_text() == "outs: []"


def test_another_mistake_changes_nothing(tmp_path: Path) -> None:
    (tmp_path / "dvc.lock").write_text("sound")
    assert restored(tmp_path, "'dvc.yaml' is invalid.") == []
    assert (tmp_path / "dvc.lock").read_text() == "sound"

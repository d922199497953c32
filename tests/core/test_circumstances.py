import subprocess
from pathlib import Path

import pytest

from consilience.core import circumstances


def git(folder: Path, *words: str) -> None:
    options = ("-c", "user.name=a", "-c", "user.email=a@example.org")
    subprocess.run(("git", *options, *words), cwd=folder, check=True, capture_output=True)


def test_commit_is_marked_if_files_have_changed(tmp_path: Path) -> None:
    git(tmp_path, "init", "--quiet")
    assert circumstances.commit(tmp_path) == ""
    (tmp_path / "params.yaml").write_text("a: 1")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "--quiet", "--message", "first")
    clean = circumstances.commit(tmp_path)
    assert len(clean) == 12
    (tmp_path / "params.yaml").write_text("a: 2")
    assert circumstances.commit(tmp_path) == clean + "+"


def test_without_git_there_is_no_commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert circumstances.commit(tmp_path) == ""


def test_a_stage_that_fails_leaves_no_record(tmp_path: Path) -> None:
    with (
        pytest.raises(ValueError, match="no"),
        circumstances.recorded(tmp_path, tmp_path / "runs", "align"),
    ):
        raise ValueError("no")
    assert not (tmp_path / "runs").exists()


def test_record_has_duration_memory_and_machine(tmp_path: Path) -> None:
    with circumstances.recorded(tmp_path, tmp_path / "runs", "train@concat"):
        pass
    (record,) = circumstances.load(tmp_path / "runs")
    assert record["stage"] == "train@concat"
    assert 0 <= record["seconds"] < 60
    assert record["peak_mb"] > 1
    assert set(record["machine"]) == {"system", "processor", "cores", "memory", "python"}
    assert all(record["machine"].values())

"""Missing results are noticed, and dvc.lock is committed without touching the working tree."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
from pathlib import Path

import pytest

from consilience.core.dvc import call
from consilience.core.errors import ConsilienceError
from consilience.flows.remote import commit_lock, default_remote, is_passing, missing_outputs
from tests.flows.test_pipeline import initialise

LOCK = "schema: '2.0'\nstages:\n  first:\n    cmd: 'true'\n    outs:\n    - path: out/first\n"


def git(folder: Path, *arguments: str) -> str:
    done = subprocess.run(
        ["git", *arguments], cwd=folder, capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    git(tmp_path, "init", "--quiet", "--initial-branch=main")
    study = tmp_path / "study"
    study.mkdir()
    (study / "code.py").write_text("committed")
    git(tmp_path, "add", ".")
    author = ("-c", "user.name=a", "-c", "user.email=a@localhost")
    git(tmp_path, *author, "commit", "--quiet", "--message=begin")
    (study / "code.py").write_text("being edited")
    (study / "dvc.lock").write_text(LOCK)
    (study / "params.yaml").write_text("a: 1\n")
    return study


def test_outputs_that_the_lock_names_and_the_folder_lacks_are_missing(repository: Path) -> None:
    stages = ["first"]
    assert missing_outputs(repository, stages) == ["out/first"]
    assert missing_outputs(repository, ["second"]) == []  # 'first' is one of a former project
    (repository / "out").mkdir()
    (repository / "out/first").touch()
    assert missing_outputs(repository, stages) == []
    (repository / "data/raw").mkdir(parents=True)
    (repository / "data/raw/eeg.dvc").write_text("outs:\n- path: eeg\n")
    assert missing_outputs(repository, stages) == [str(repository / "data/raw/eeg")]
    (repository / "dvc.lock").write_text("stages: [")  # DVC reports it
    (repository / "data/raw/eeg").mkdir()
    assert missing_outputs(repository, stages) == []


def test_the_lock_is_committed_on_a_branch_beside_the_work_of_a_person(repository: Path) -> None:
    status = git(repository, "status", "--porcelain")
    commit = commit_lock(repository, "results", "Results of run a")
    assert commit is not None
    assert git(repository, "rev-parse", "--short=12", "results") == commit
    assert git(repository, "status", "--porcelain") == status
    assert git(repository, "branch", "--show-current") == "main"
    assert git(repository, "show", "results:study/dvc.lock") == LOCK.strip()
    assert git(repository, "show", "results:study/code.py") == "committed"

    assert commit_lock(repository, "results", "the same") is None
    (repository / "dvc.lock").write_text(LOCK + "# changed\n")
    commit_lock(repository, "results", "Results of run b")
    assert git(repository, "log", "--format=%s", "results").splitlines() == [
        "Results of run b",
        "Results of run a",
        "begin",
    ]


@pytest.mark.parametrize("branch", ["two words", "-x", ""])
def test_an_invalid_branch_is_one_line(repository: Path, branch: str) -> None:
    with pytest.raises(ConsilienceError, match="git check-ref-format"):
        commit_lock(repository, branch, "message")


def test_without_a_repository_the_commit_is_refused(tmp_path: Path) -> None:
    (tmp_path / "dvc.lock").write_text(LOCK)
    with pytest.raises(ConsilienceError, match="not a git repository"):
        commit_lock(tmp_path, "results", "message")


@pytest.mark.parametrize(
    ("message", "passing"),
    [
        ("Unable to locate credentials", False),
        ("dvc push: failed to push data to the cloud - 3 files failed to upload", True),
        ("dvc pull: Connection refused", True),
        ("dvc push: config file error: no remote specified", False),
        ("dvc pull: s3 is supported, but requires 'dvc-s3' to be installed: is required", False),
        ("Forbidden: An error occurred (403) when calling the HeadObject operation", False),
        ('Could not connect to the endpoint URL: "http://127.0.0.1:5055/study"', True),
    ],
)
def test_only_failures_of_the_remote_are_repeated(message: str, passing: bool) -> None:
    assert is_passing(message) == passing


async def _call(folder: Path, *arguments: str) -> list[str]:
    return await call(folder, *arguments, report=lambda line: None)


@pytest.mark.slow
def test_missing_results_come_from_the_remote(tmp_path: Path) -> None:
    folder = tmp_path / "study"
    folder.mkdir()
    initialise(folder, "stages:\n  a:\n    cmd: echo 1 > a.txt\n    outs: [a.txt]\n")
    assert asyncio.run(default_remote(folder)) is None
    asyncio.run(_call(folder, "remote", "add", "--default", "store", str(tmp_path / "store")))
    assert asyncio.run(default_remote(folder)) == "store"
    asyncio.run(_call(folder, "repro"))
    asyncio.run(_call(folder, "push"))
    shutil.rmtree(folder / ".dvc/cache")
    (folder / "a.txt").unlink()
    assert missing_outputs(folder, ["a"]) == ["a.txt"]
    asyncio.run(_call(folder, "pull", "--allow-missing"))
    assert (folder / "a.txt").read_text() == "1\n"


@pytest.mark.slow
def test_a_dead_remote_is_one_line_and_may_pass(tmp_path: Path) -> None:
    initialise(tmp_path, "stages:\n  a:\n    cmd: echo 1 > a.txt\n    outs: [a.txt]\n")
    asyncio.run(_call(tmp_path, "remote", "add", "--default", "store", "http://127.0.0.1:9/store"))
    asyncio.run(_call(tmp_path, "repro"))
    with pytest.raises(ConsilienceError, match="dvc push: ") as caught:
        asyncio.run(_call(tmp_path, "push"))
    assert "\n" not in str(caught.value)
    assert is_passing(str(caught.value))

"""Stage ``train`` in the processes that torchrun starts."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from safetensors.torch import load_file
from torch.testing import assert_close

from consilience import params
from consilience.project import Project

STAGE = ("-m", "consilience", "stage", "train", "concat")
TORCHRUN = ("-m", "torch.distributed.run", "--standalone", "--local-addr", "127.0.0.1")


@pytest.fixture
def project(windows_folder: Path) -> Project:
    """Give a project with windows: three folds with one seed."""
    project = Project(windows_folder.parent.parent)
    content = params.defaults("ravdess", "recordings", ["audio", "face_au"])
    changes = {"seeds": [0], "epochs": 4, "batch_size": 16, "width": 8}
    content["training"] = {**content["training"], **changes}
    project.params_file.write_text(params.document(content))
    return project


def run(project: Project, *command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *command], cwd=project.root, capture_output=True, text=True, timeout=300
    )


@pytest.mark.slow
def test_two_processes_of_torchrun_write_the_model_of_one(project: Project) -> None:
    done = run(project, *STAGE)
    assert done.returncode == 0, done.stderr
    folder = project.model("concat")
    one = load_file(folder / "model.safetensors")
    card = json.loads((folder / "card.json").read_text())
    folder.rename(folder.with_name("one"))
    done = run(project, *TORCHRUN, "--nproc-per-node", "2", *STAGE)
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    two = load_file(folder / "model.safetensors")
    assert two.keys() == one.keys()
    for name, weight in one.items():
        assert_close(two[name], weight, rtol=1e-4, atol=1e-5)
    assert json.loads((folder / "card.json").read_text())["best_epochs"] == card["best_epochs"]


@pytest.mark.slow
def test_more_processes_than_runs_are_an_error(project: Project) -> None:
    done = run(project, *TORCHRUN, "--nproc-per-node", "4", *STAGE)
    assert done.returncode != 0
    assert "error: torchrun: 4 processes for 3 runs" in done.stderr
    assert not project.model("concat").exists()

"""Stage ``code`` as a command, in a folder that is not a clone of the project."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from ruamel.yaml import YAML

import consilience
from consilience import params, stage_code
from consilience.core.dvc import ENVIRONMENT
from consilience.core.fingerprint import CodeBase
from consilience.reporting.settings import settings_document

ROOT = Path(__file__).parents[2]
COMMAND = (sys.executable, "-X", "importtime", "-m", "consilience", "stage", "code")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "params.yaml").write_text(params.document(params.defaults("demo")))
    return tmp_path


def run(folder: Path, *command: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {
        "PYTHONPATH": str(Path(consilience.__file__).parents[1]),
        "PATH": f"{ENVIRONMENT}{os.pathsep}{os.environ['PATH']}",
        "DVC_NO_ANALYTICS": "1",
    }
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False
    )


def test_it_writes_one_file_per_stage(folder):
    done = run(folder, *COMMAND)
    assert done.returncode == 0, done.stderr
    files = {path.name: path.read_text() for path in (folder / "data/code").iterdir()}
    assert files.pop(stage_code.CHECKED)
    settings = params.load(folder / "params.yaml")
    assert json.loads(files.pop("settings.json")) == settings_document(settings)
    assert files == stage_code.fingerprint_files(settings, CodeBase())
    assert "numpy" in done.stderr
    done = run(folder, *COMMAND)
    assert done.returncode == 0
    assert not {"numpy", "pydantic", "polars"} & set(re.findall(r"\w+$", done.stderr, re.M))


@pytest.mark.parametrize("change", ["file", "more", "fewer", "params", "root", "store"])
def test_a_change_since_the_last_run_is_noticed(folder, change):
    run(folder, *COMMAND)
    file, more = folder / "data/code/align.json", folder / "data/code/train-gone.json"
    text, state = file.read_text(), file.stat()
    params_file = folder / "params.yaml"
    if change == "file":
        file.write_text(text.replace("consilience", "cnosilience"))
        os.utime(file, ns=(state.st_atime_ns, state.st_mtime_ns))
    elif change == "more":
        more.touch()
    elif change == "fewer":
        file.unlink()
    elif change == "params":
        params_file.write_text(params_file.read_text().replace("eeg:", "eag:", 1))
    elif change == "root":
        (folder / "data/raw").mkdir()
        (folder / "data/raw/demo").symlink_to("..")
    else:
        (folder / "data/.store/code/code.json").write_text("{")
    done = run(folder, *COMMAND)
    if change in ("params", "root"):
        assert done.returncode == 1
    else:
        assert done.returncode == 0
        assert file.read_text() == text
        assert not more.exists()


def test_an_invalid_parameter_of_any_section_ends_it_in_one_line(folder):
    path = folder / "params.yaml"
    path.write_text(path.read_text().replace("calibration_bins: 15", "calibration_bins: many"))
    done = run(folder, "consilience", "stage", "code")
    assert done.returncode == 1
    assert done.stderr.startswith("error: ")
    assert "robustness.calibration_bins" in done.stderr
    assert done.stderr.count("\n") == 1
    assert not (folder / "data/code").exists()


@pytest.mark.slow
def test_dvc_runs_it_outside_a_git_clone(folder):
    shutil.copyfile(ROOT / "dvc.yaml", folder / "dvc.yaml")
    assert run(folder, "dvc", "init", "--no-scm", "--quiet").returncode == 0
    done = run(folder, "dvc", "repro", "code")
    assert done.returncode == 0, done.stderr
    assert (folder / "data/code/train-hybrid.json").is_file()
    assert "Running stage 'code'" in run(folder, "dvc", "repro", "--single-item", "code").stdout


@pytest.mark.slow
@pytest.mark.parametrize("name", ["x; touch owned; true", "../../kept"])
def test_a_name_in_the_parameters_neither_runs_nor_removes_anything(folder, name):
    path = folder / "params.yaml"
    path.write_text(path.read_text().replace("modalities:\n", f"modalities:\n  '{name}': {{}}\n"))
    shutil.copyfile(ROOT / "dvc.yaml", folder / "dvc.yaml")
    (folder / "data/signals").mkdir(parents=True)
    (folder / "kept").mkdir()
    (folder / "kept/file").touch()
    assert run(folder, "dvc", "init", "--no-scm", "--quiet").returncode == 0
    done = run(folder, "dvc", "repro")
    assert done.returncode != 0
    assert "invalid name" in done.stderr
    assert (folder / "kept/file").is_file()
    assert not list(folder.rglob("owned*"))
    assert run(folder, "dvc", "repro", "--single-item", f"ingest@{name}").returncode != 0
    assert not list(folder.rglob("owned*"))


@pytest.mark.slow
def test_a_single_stage_with_a_path_for_a_name_removes_nothing(tmp_path):
    folder = tmp_path / "outer/project"
    names = [".", "..", "../..", "../../..", "../../../kept", "../../x", "a/b", f"{tmp_path}/kept"]
    content = params.defaults("demo")
    content["dataset"]["synthetic"] = names
    for kind in ("modalities", "methods"):
        content[kind] = dict.fromkeys(names, next(iter(content[kind].values())))
    kept = {
        folder.parent / path / name
        for path in (
            ".",
            "kept",
            "x",
            *(f"project/{path}" for path in (".", "x", "data", "data/x")),
        )
        for name in ("a", "card.json", "model.safetensors", "history.csv", "metrics.json")
    }
    kept |= {
        folder / f"data/{path}"
        for path in ("raw/mine/a", "raw/a", "truth/a", "signals/a/b/c", "models/m/card.json")
    }
    for path in kept:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    with (folder / "params.yaml").open("w") as file:
        YAML(typ="safe").dump(content, file)
    shutil.copyfile(ROOT / "dvc.yaml", folder / "dvc.yaml")
    assert run(folder, "dvc", "init", "--no-scm", "--quiet").returncode == 0
    stages = ["synthesize", "ingest", "train", "score"]
    done = run(folder, "dvc", "repro", "--single-item", "--keep-going", *stages)
    failed = done.stderr.partition("failed to reproduce stages: ")[2]
    assert {f"'{stage}@{name}'" for stage in stages for name in names} <= set(
        re.split(", | and |\n", failed)
    )
    assert {path for path in kept if not path.is_file()} == set()


def test_a_pipe_among_the_recordings_is_reported_before_dvc_reads_it(folder):
    run(folder, *COMMAND)
    (folder / "data/raw/demo").mkdir(parents=True)
    os.mkfifo(folder / "data/raw/demo/pipe")
    done = run(folder, "consilience", "stage", "code")
    assert done.returncode == 1
    assert "'pipe' is a pipe" in done.stderr

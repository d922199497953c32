"""The evidence project's graph, and that the root's DVC project does not contain it."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from benchmarks.evidence import plan
from benchmarks.evidence.study import Study, stage_instances, write_fingerprints

ROOT = Path(__file__).parents[3]
EVIDENCE = ROOT / "benchmarks/evidence"
CORPORA = YAML(typ="safe").load((EVIDENCE / "experiments.yaml").read_text())["corpora"]
STAGES = YAML(typ="safe").load((EVIDENCE / "dvc.yaml").read_text())["stages"]


def templates(key: str) -> list[tuple[str, str]]:
    """Return the name of every stage with each of its paths under a key of ``dvc.yaml``."""
    listed = []
    for name, stage in STAGES.items():
        for path in stage.get("do", stage).get(key, []):
            listed.append((name, path if isinstance(path, str) else next(iter(path))))
    return listed


def test_every_stage_has_a_module_and_depends_on_its_code() -> None:
    code = dict(path for path in templates("deps") if path[1].startswith("data/code/"))
    for name, stage in STAGES.items():
        module = re.search(r"^\$\{run\}\.(\w+)", stage.get("do", stage)["cmd"])
        assert module is not None
        assert module[1] == name
        assert (EVIDENCE / "stages" / f"{name}.py").is_file()
        if name != "code":
            assert code[name].startswith(f"data/code/{name}")


def test_every_fingerprint_a_stage_depends_on_is_computed() -> None:
    study = Study(EVIDENCE)
    planned = plan.load(study.plan_file)
    computed = {name for name, _, _ in stage_instances(study, planned)}
    wanted = {
        *("synthesize-demo", "unpack-stress_predict", "cost", "pages"),
        *(f"windows-{name}" for name in planned.corpora),
        *(f"tune-{name}" for name in planned.tuned),
        *(f"experiment-{name}" for name in planned.experiments),
    }
    assert computed == wanted


def test_an_experiment_depends_on_its_methods_and_sensors_alone() -> None:
    study = Study(EVIDENCE)
    instances = stage_instances(study, plan.load(study.plan_file))
    assert {name: plugins for name, _, plugins in instances}["experiment-ravdess3_labelled_2"] == {
        "datasets": [],
        "modalities": ["voice_embedding", "upper_face_au", "lower_face_au"],
        "methods": ["coherence_transfer", "hybrid", "kd", "self_training", "shuffled_teacher"],
    }


def test_fingerprints_name_the_code_of_each_stage_and_leave_no_old_files(tmp_path: Path) -> None:
    for name in ("experiments.yaml", *CORPORA):
        source = EVIDENCE / name
        copy: Any = shutil.copytree if source.is_dir() else shutil.copyfile
        copy(source, tmp_path / name)
    study = Study(tmp_path)
    study.code.mkdir(parents=True)
    (study.code / "experiment-gone.json").write_text("{}")
    write_fingerprints(study)
    assert not (study.code / "experiment-gone.json").exists()
    text = (study.code / "experiment-ravdess3_labelled_2.json").read_text()
    for module in (
        "benchmarks.evidence.runner",
        "consilience.methods.kd",
        "consilience.evaluation",
    ):
        assert f'"{module}"' in text
    for module in ("consilience.methods.rcml", "benchmarks.evidence.claims"):
        assert f'"{module}"' not in text
    assert '"benchmarks.evidence.claims"' in (study.code / "pages.json").read_text()
    before = {path.name: path.stat().st_mtime_ns for path in study.code.iterdir()}
    write_fingerprints(study)
    assert {path.name: path.stat().st_mtime_ns for path in study.code.iterdir()} == before


def dvc(folder: Path, *command: str) -> str:
    program = Path(sys.executable).parent / "dvc"
    environment = {**os.environ, "PATH": f"{program.parent}:{os.environ['PATH']}"}
    done = subprocess.run(
        [str(program), *command], cwd=folder, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.slow
def test_the_root_project_does_not_contain_the_evidence(tmp_path: Path) -> None:
    listed = subprocess.run(
        ["git", "ls-files", "-z", "*dvc*", "*.yaml", "benchmarks", "pipeline"],
        cwd=ROOT,
        capture_output=True,
        check=True,
        text=True,
    )
    for name in filter(None, listed.stdout.split("\0")):
        if (ROOT / name).is_file():
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, tmp_path / name)
    subprocess.run(["git", "init", "-q"], cwd=tmp_path, check=True)
    root = dvc(tmp_path, "stage", "list", "--all", "--name-only").split()
    assert "evaluate" in root
    assert not [name for name in root if "experiment" in name or "evidence" in name]
    study = dvc(tmp_path / "benchmarks/evidence", "stage", "list", "--name-only").split()
    assert {"code", "windows@demo", "tune@ravdess_clean", "experiment@ravdess_votes", "pages"} <= {
        *study
    }
    graph = dvc(tmp_path / "benchmarks/evidence", "dag", "--dot")
    assert '"experiment@ravdess_votes" -> "pages"' in graph
    assert '"synthesize" -> "windows@demo"' in graph
    assert '"unpack" -> "windows@stress_predict"' in graph

"""What a user gets: the wheel's content, and a study in an environment without the clone."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import soundfile
from ruamel.yaml import YAML

from tests.conftest import SMALL

ROOT = Path(__file__).parent.parent
DVC = """#!{python}
import sys
from dvc.cli import main
sys.exit(main())
"""


@dataclass
class Environment:
    """A virtual environment with the wheel, which borrows only the libraries of this one."""

    folder: Path

    @property
    def package(self) -> Path:
        (package,) = self.folder.glob("lib/*/site-packages/consilience")
        return package

    def run(self, cwd: Path, *command: str) -> subprocess.CompletedProcess[str]:
        removed = ("PYTHONPATH", "CONSILIENCE_STUDY")
        inherited = {name: text for name, text in os.environ.items() if name not in removed}
        path = f"{self.folder / 'bin'}{os.pathsep}{os.environ['PATH']}"
        program = self.folder / "bin" / command[0]
        return subprocess.run(
            [program, *command[1:]],
            cwd=cwd,
            env={**inherited, "PATH": path, "DVC_NO_ANALYTICS": "1"},
            capture_output=True,
            text=True,
        )

    def succeed(self, cwd: Path, *command: str) -> str:
        done = self.run(cwd, *command)
        assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
        return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    source.mkdir()
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copyfile(ROOT / name, source / name)
    for name in ("pipeline", "benchmarks", "flows"):
        ignored = shutil.ignore_patterns("__pycache__", "*.egg-info", "data", ".dvc")
        shutil.copytree(ROOT / name, source / name, ignore=ignored)
    command = ["pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "-w", folder, source]
    subprocess.run([sys.executable, "-m", *command], check=True, capture_output=True)
    (path,) = folder.glob("consilience-*.whl")
    return path


@pytest.fixture(scope="module")
def environment(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Environment:
    folder = tmp_path_factory.mktemp("environment") / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    python = folder / "bin/python"
    install = ["install", "--quiet", "--no-deps", "--no-index", str(wheel)]
    pip = [sys.executable, "-m", "pip", "--python", str(python), *install]
    subprocess.run(pip, check=True, capture_output=True)
    environment = Environment(folder)
    # The clone's package, editable there, is not found: it is in a .pth file that is not read.
    libraries = sysconfig.get_path("purelib")
    (environment.package.parent / "libraries.pth").write_text(f"{libraries}\n")
    program = folder / "bin/dvc"
    program.write_text(DVC.format(python=python))
    program.chmod(0o755)
    return environment


@pytest.fixture
def study(environment: Environment, tmp_path: Path) -> Path:
    assert "created study" in environment.succeed(tmp_path, "consilience", "init", "study")
    return tmp_path / "study"


def test_the_wheel_holds_the_package_and_no_study_of_the_project(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    top = {name.split("/")[0] for name in names if ".dist-info" not in name}
    assert top == {"consilience"}
    assert not [name for name in names if "benchmark" in name or "evidence/" in name]
    modules = {path.relative_to(ROOT / "pipeline") for path in (ROOT / "pipeline").rglob("*.py")}
    assert {path.as_posix() for path in modules} <= set(names)
    data = [path for path in (ROOT / "pipeline/consilience").rglob("*") if path.is_file()]
    templates = {
        path.relative_to(ROOT / "pipeline").as_posix()
        for path in data
        if "templates" in path.parts and "__pycache__" not in path.parts
    }
    assert templates
    assert templates <= set(names)


@pytest.mark.parametrize("words", [["names"], ["use", "demo"]])
def test_the_command_runs_beside_folders_named_pipeline_and_flows(
    wheel: Path, words: list[str], tmp_path: Path
) -> None:
    site = tmp_path / "site"
    zipfile.ZipFile(wheel).extractall(site)
    user = tmp_path / "user"
    for name in ("pipeline", "flows", "benchmarks"):
        (user / name).mkdir(parents=True)
        (user / name / "__init__.py").write_text("raise SystemExit('the user\\'s own package')\n")
    done = subprocess.run(
        [sys.executable, "-c", "from consilience.cli import main; main()", *words],
        cwd=user,
        env={**os.environ, "PYTHONPATH": str(site)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    if words == ["names"]:
        assert "coherence_transfer" in done.stdout
    else:
        assert (user / "params.yaml").is_file()


def digests(environment: Environment, study: Path) -> Mapping[str, str]:
    """Run stage ``code``; return the digest of every stage."""
    environment.succeed(study, "consilience", "stage", "code")
    files = sorted((study / "data/code").glob("*.json"))
    return {path.stem: json.loads(path.read_text()).get("digest", "") for path in files}


def changed(before: Mapping[str, str], after: Mapping[str, str]) -> set[str]:
    assert before.keys() == after.keys()
    return {name for name in before if before[name] != after[name]}


def test_the_command_is_that_of_the_wheel(environment: Environment, tmp_path: Path) -> None:
    code = "import consilience; print(consilience.__file__)"
    place = environment.succeed(tmp_path, "python", "-c", code)
    assert Path(place.strip()).is_relative_to(environment.folder)


def test_an_upgrade_makes_exactly_the_stages_stale_that_use_what_changed(
    environment: Environment, study: Path
) -> None:
    before = digests(environment, study)
    assert before == digests(environment, study)
    path = environment.package / "methods/concat.py"
    text = path.read_text()
    try:
        path.write_text(text + "\n# Only a comment.\n")
        assert digests(environment, study) == before
        path.write_text(text + "\nNEW = 1\n")
        assert changed(before, digests(environment, study)) == {"train-concat", "evaluate", "query"}
    finally:
        path.write_text(text)
    assert digests(environment, study) == before


def test_a_changed_plug_in_makes_exactly_the_stages_stale_that_use_it(
    environment: Environment, study: Path
) -> None:
    environment.succeed(study, "consilience", "new", "method", "own")
    path, file = study / "methods/own.py", study / "params.yaml"
    assert path.is_file()
    assert (study / "tests/test_own.py").is_file()
    file.write_text(file.read_text().replace("methods:\n", "methods:\n  own: {floor: 1.0e-6}\n"))
    before = digests(environment, study)
    assert "train-own" in before
    path.write_text(path.read_text() + "\nNEW = 1\n")
    assert changed(before, digests(environment, study)) == {"train-own", "evaluate", "query"}


def write_recordings(root: Path) -> None:
    """Write two clips of four people, whose pitch is that of a mood."""
    root.mkdir()
    rng, times_s = np.random.default_rng(0), np.arange(32000) / 16000
    tables: dict[str, list[str]] = {
        "recordings.csv": ["session,subject,modality,path,clock"],
        "annotations.csv": ["session,annotator,target,start_s,end_s,label,value"],
        "trials.csv": ["session,trial,start_s,end_s"],
    }
    for subject in range(4):
        for label, pitch_hz in (("calm", 110), ("happy", 170)):
            session = f"sub-{subject}_{label}"
            sound = 0.1 * ((times_s * (pitch_hz + 5 * subject)) % 1 - 0.5)
            sound += 1e-3 * rng.standard_normal(len(sound))
            soundfile.write(root / f"{session}.wav", sound, 16000)
            recording = f"{session},sub-{subject},audio,{session}.wav,shared"
            tables["recordings.csv"].append(recording)
            tables["annotations.csv"].append(f"{session},rater,emotion,0.0,2.0,{label},")
            tables["trials.csv"].append(f"{session},1,0.0,2.0")
    for name, rows in tables.items():
        (root / name).write_text("\n".join(rows))


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_two_studies_run_side_by_side(
    environment: Environment, study: Path, tmp_path: Path
) -> None:
    write_recordings(tmp_path / "voices")
    init = ("init", "other", "--dataset", "folder", "--root", "voices")
    assert "audio: 16000 Hz in 8 opened recordings" in environment.succeed(
        tmp_path, "consilience", *init
    )
    other = tmp_path / "other"
    content = YAML(typ="safe").load((other / "params.yaml").read_text())
    for section, values in SMALL.items():
        content[section] |= values
    content["windows"] |= {"length_s": None, "max_length_s": 2.0}
    content["methods"] = {"concat": {}}
    (other / "params.yaml").write_text(json.dumps(content))
    printed = environment.succeed(other, "consilience", "run")
    assert "] report\n" in printed
    assert (other / "data/report/report.html").is_file()
    assert "Stage 'report' didn't change" in environment.succeed(other, "dvc", "repro")
    state = json.loads(environment.succeed(other, "consilience", "status", "--json", "-"))
    assert (state["stale"], state["unusable"]) == ({}, [])
    assert state["metrics"].keys() == {"concat"}
    environment.succeed(study, "dvc", "repro", "code")
    assert "synthesize-demo.json" in {path.name for path in (study / "data/code").iterdir()}

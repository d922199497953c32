"""A newcomer follows the docs, word for word."""

from __future__ import annotations

import ast
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from consilience import new_study, params, scaffold
from consilience.core.errors import ConsilienceError
from consilience.core.study import FOLDERS
from consilience.project import Project
from tests.conftest import ProjectCopy

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
MAX_LINES = 40


def instructions(page: str, name: str) -> dict[str, str]:
    """Return the code that a page gives for a plug-in, by the file in which it is filled in."""
    blocks = re.findall(r"[Ii]n `([\w/]+\.py)`:\n\n```python\n(.*?)```", page, re.DOTALL)
    of_plugin = {path: code for path, code in blocks if name in path}
    assert len(of_plugin) == 2
    return of_plugin


def named(node: ast.stmt) -> str | None:
    """Return what a statement defines."""
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        return node.name
    if isinstance(node, ast.Assign):
        return ast.unparse(node.targets[0])
    if isinstance(node, ast.AnnAssign):
        return ast.unparse(node.target)
    return None


def pieces(code: str) -> Iterator[tuple[str | None, int, int]]:
    """Yield name, first and last line of every statement at the top level."""
    for number, node in enumerate(ast.parse(code).body):
        docstring = number == 0 and isinstance(node, ast.Expr)
        imported = isinstance(node, ast.Import | ast.ImportFrom)
        yield (
            "docstring" if docstring else "import" if imported else named(node),
            node.lineno - 1,
            node.end_lineno,
        )


def fill_in(path: Path, code: str) -> None:
    """Replace what has the same name, and add the imports."""
    lines = code.splitlines()
    for name, first, last in pieces(code):
        new, present = lines[first:last], path.read_text().splitlines()
        places = [(a, b) for other, a, b in pieces("\n".join(present)) if other == name]
        assert places, f"the template has no {name}"
        if name == "import":
            present[places[-1][1] : places[-1][1]] = new
        else:
            present[slice(*places[0])] = new
        path.write_text("\n".join(present) + "\n")


@pytest.fixture
def newcomer(tmp_project, monkeypatch):
    """Give a clone of the project whose commands run its code."""
    unwanted = shutil.ignore_patterns("*.egg-info")
    shutil.copytree(ROOT / "pipeline", tmp_project.folder / "pipeline", ignore=unwanted)
    monkeypatch.setenv("PYTHONPATH", str(tmp_project.folder / "pipeline"))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.delenv("PYTEST_ADDOPTS", raising=False)
    for folder in ("modalities", "datasets", "methods"):
        (tmp_project.folder / "tests" / folder).mkdir(parents=True)
    (tmp_project.folder / "params.yaml").write_text(params.document(params.defaults("demo")))
    (tmp_project.folder / ".gitignore").write_bytes((ROOT / ".gitignore").read_bytes())
    commit(tmp_project)
    return tmp_project


def commit(project) -> None:
    for command in (["add", "."], ["commit", "-qm", "Begin"]):
        git = ["git", "-c", "user.name=test", "-c", "user.email=test@localhost", *command]
        subprocess.run(git, cwd=project.folder, check=True)


def changed(project) -> set[str]:
    """Return the files that git finds new or changed."""
    command = ["git", "status", "--porcelain", "--untracked-files=all"]
    status = subprocess.run(command, cwd=project.folder, capture_output=True, text=True, check=True)
    return {line[3:] for line in status.stdout.splitlines()}


def follow(project, kind: str, name: str, *options: str) -> None:
    """Carry out the steps of the page: begin, fill in, check."""
    page = (DOCS / f"adding-a-{kind}.md").read_text()
    assert " ".join(["consilience new", kind, name, *options]) in page
    project.run("consilience", "new", kind, name, *options)
    for path, code in instructions(page, name).items():
        fill_in(project.folder / path, code)
        assert "FILL IN" not in (project.folder / path).read_text()
    test = f"tests/{scaffold.KINDS[kind]}/test_{name}.py"
    assert f"python -m pytest {test}" in page
    done = project.run("python", "-m", "pytest", "-q", "-p", "no:cacheprovider", test)
    assert " passed" in done.stdout


@pytest.mark.parametrize(("kind", "name"), [("modality", "gaze"), ("dataset", "callcentre")])
def test_the_documented_example_is_short(kind: str, name: str) -> None:
    code = "\n".join(instructions((DOCS / f"adding-a-{kind}.md").read_text(), name).values())
    n_lines = len([line for line in code.splitlines() if line.strip()])
    assert n_lines <= MAX_LINES
    assert re.search(
        rf"adding-a-{kind}\.md\)\s.*?with {n_lines}\b", (ROOT / "README.md").read_text(), re.S
    )


@pytest.mark.slow
def test_a_newcomer_adds_a_modality_and_trains_with_it(newcomer) -> None:
    root = "data/raw/study"
    newcomer.run("python", "-c", STUDY, root)
    follow(newcomer, "modality", "gaze")
    newcomer.run("consilience", "use", "folder", "--root", root)
    shrink(newcomer)
    newcomer.repro("train@concat")
    assert (newcomer.folder / "data/models/concat/model.safetensors").is_file()
    meta = json.loads((newcomer.folder / "data/windows/meta.json").read_text())
    assert meta["modalities"] == ["audio", "gaze"]
    created = {
        "pipeline/consilience/modalities/gaze.py",
        "tests/modalities/test_gaze.py",
        "params.yaml",
    }
    assert changed(newcomer) - {"dvc.lock"} == created


@pytest.mark.slow
def test_a_newcomer_adds_a_sensor_of_one_channel(newcomer) -> None:
    follow(newcomer, "modality", "respiration", "--base", "single-channel")
    assert changed(newcomer) == {
        "pipeline/consilience/modalities/respiration.py",
        "tests/modalities/test_respiration.py",
    }


@pytest.mark.slow
def test_a_newcomer_adds_a_method_that_keeps_the_contract(newcomer) -> None:
    follow(newcomer, "method", "max_pool")
    assert changed(newcomer) == {
        "pipeline/consilience/methods/max_pool.py",
        "tests/methods/test_max_pool.py",
    }


@pytest.mark.slow
def test_a_newcomer_adds_a_dataset_and_catalogs_it(newcomer) -> None:
    follow(newcomer, "dataset", "callcentre")
    assert changed(newcomer) == {
        "pipeline/consilience/datasets/callcentre.py",
        "tests/datasets/test_callcentre.py",
    }
    root = "data/raw/calls"
    newcomer.run("python", "-c", CALLS, root)
    assert "audio" in newcomer.run("consilience", "check", root, "--dataset", "callcentre").stdout
    newcomer.run("consilience", "use", "callcentre", "--root", root)
    assert "8 usable" in newcomer.repro("catalog")


@pytest.fixture
def study(tmp_path: Path, monkeypatch) -> ProjectCopy:
    """Give a new study, without the package's code."""
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.delenv("PYTEST_ADDOPTS", raising=False)
    new_study.create(tmp_path / "study", None, None)
    return ProjectCopy(tmp_path / "study")


def follow_in_study(study: ProjectCopy, kind: str, name: str) -> Path:
    """Carry out the steps of the page in a study; return the file of the plug-in."""
    page = (DOCS / f"adding-a-{kind}.md").read_text()
    study.run("consilience", "new", kind, name)
    places = FOLDERS[scaffold.KINDS[kind]], "tests"
    for place, (path, code) in zip(places, instructions(page, name).items(), strict=True):
        fill_in(study.folder / place / Path(path).name, code)
    done = study.run("python", "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests")
    assert " passed" in done.stdout
    assert f"  {name} " in study.run("consilience", "names").stdout
    return study.folder / places[0] / f"{name}.py"


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "name"), [("dataset", "callcentre"), ("method", "max_pool")])
def test_a_plug_in_of_a_study_keeps_its_contract(study: ProjectCopy, kind: str, name: str) -> None:
    follow_in_study(study, kind, name)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_a_sensor_of_a_study_is_ingested_again_only_when_it_changes(
    study: ProjectCopy, monkeypatch
) -> None:
    monkeypatch.setenv("CONSILIENCE_WORKERS", "2")
    path = follow_in_study(study, "modality", "gaze")
    study.run("python", "-c", STUDY, "data/raw/study")
    study.run("consilience", "use", "folder", "--root", "data/raw/study")
    stages = ("ingest@gaze", "ingest@audio")
    assert study.repro(*stages).count("Running stage 'ingest@") == 2
    path.write_text(path.read_text() + "\nNEW = 1\n")
    assert (
        "ingest@gaze: code changed: consilience.modalities.gaze"
        in study.run("consilience", "status").stdout
    )
    again = study.repro(*stages)
    assert "Running stage 'ingest@gaze'" in again
    assert "Stage 'ingest@audio' didn't change" in again


CALLS = """
import sys
from pathlib import Path
sys.path.insert(0, "tests/datasets")
from test_callcentre import write_root
Path(sys.argv[1]).mkdir(parents=True)
write_root(Path(sys.argv[1]))
"""
STUDY = """
import sys
from pathlib import Path

import numpy as np
import polars as pl
import soundfile

root = Path(sys.argv[1])
root.mkdir(parents=True)
rng = np.random.default_rng(0)
recordings, annotations = [], []
for subject in range(4):
    for label in ("calm", "happy"):
        session = f"sub-{subject}_{label}"
        happy = label == "happy"
        t = np.arange(32000) / 16000
        sound = 0.1 * ((t * (110 + 60 * happy + 5 * subject)) % 1 - 0.5)
        soundfile.write(root / f"{session}.wav", sound + 1e-3 * rng.standard_normal(32000), 16000)
        x, y = 960 + rng.normal(0, 5 + 5 * happy, (2, 120)).cumsum(axis=1)
        pupil = 3 + happy + rng.normal(0, 0.02, 120).cumsum()
        table = {"time_s": np.arange(120) / 60, "x": x, "y": y, "pupil_mm": pupil}
        pl.DataFrame(table).write_csv(root / f"{session}_gaze.csv")
        for modality, path in (("audio", f"{session}.wav"), ("gaze", f"{session}_gaze.csv")):
            recordings.append((session, f"sub-{subject}", modality, path, "shared"))
        annotations.append((session, "rater", "emotion", 0.0, 2.0, label, None))
names = ["session", "subject", "modality", "path", "clock"]
pl.DataFrame(recordings, schema=names, orient="row").write_csv(root / "recordings.csv")
names = ["session", "annotator", "target", "start_s", "end_s", "label", "value"]
pl.DataFrame(annotations, schema=names, orient="row").write_csv(root / "annotations.csv")
names = ["session", "trial", "start_s", "end_s"]
trials = [(session, "1", 0.0, 2.0) for session, *_ in annotations]
pl.DataFrame(trials, schema=names, orient="row").write_csv(root / "trials.csv")
"""


def shrink(project) -> None:
    """Make params.yaml a minute's work; what `use` wrote of the modalities stays."""
    path = project.folder / "params.yaml"
    content = YAML(typ="safe").load(path.read_text())
    content["windows"] |= {"length_s": None, "max_length_s": 2.0}
    content["splits"] |= {"folds": 2, "validation_subjects": 1}
    content["training"] |= {"epochs": 2, "seeds": [0]}
    content["methods"] = {"concat": {}}
    path.write_text(json.dumps(content))


@pytest.mark.parametrize("name", ["Gaze", "1st", "a-b", "../x", "", "class", "a/b", "x.py", "ü"])
def test_a_name_that_will_not_do_is_refused(name: str) -> None:
    for kind in scaffold.KINDS:
        with pytest.raises(ConsilienceError, match="cannot name"):
            scaffold.begin(Project(ROOT), kind, name)


@pytest.mark.parametrize(("kind", "name"), [("modality", "eeg"), ("dataset", "base")])
def test_a_name_that_is_taken_is_refused(kind: str, name: str) -> None:
    with pytest.raises(ConsilienceError, match="already"):
        scaffold.begin(Project(ROOT), kind, name)


@pytest.mark.parametrize("kind", scaffold.KINDS)
def test_an_unknown_base_is_refused(kind: str) -> None:
    with pytest.raises(ConsilienceError, match="unknown base 'two-channel'"):
        scaffold.begin(Project(ROOT), kind, "gaze", "two-channel")


def test_nothing_is_written_outside_the_project(tmp_path: Path) -> None:
    with pytest.raises(ConsilienceError, match="not the folder of a study"):
        scaffold.begin(Project(tmp_path), "modality", "gaze")
    assert not list(tmp_path.iterdir())


@pytest.fixture
def empty_project(tmp_path: Path, monkeypatch) -> Path:
    """Give a folder that passes for the project's."""
    package = tmp_path / "pipeline/consilience"
    package.mkdir(parents=True)
    monkeypatch.setattr(scaffold.consilience, "__file__", str(package / "__init__.py"))
    return tmp_path


def test_no_file_is_overwritten(empty_project: Path) -> None:
    there = empty_project / "tests/modalities/test_gaze.py"
    there.parent.mkdir(parents=True)
    there.write_text("mine")
    with pytest.raises(ConsilienceError, match="exists already"):
        scaffold.begin(Project(empty_project), "modality", "gaze")
    assert there.read_text() == "mine"
    assert not (empty_project / "pipeline/consilience/modalities/gaze.py").exists()


@pytest.mark.parametrize(
    ("kind", "base"),
    [
        *((kind, None) for kind in scaffold.KINDS),
        *((kind, base) for kind, bases in scaffold.BASES.items() for base in bases),
    ],
)
def test_templates_are_clean_and_mark_what_to_fill_in(
    kind: str, base: str | None, empty_project: Path
) -> None:
    for path in scaffold.begin(Project(empty_project), kind, "two_words", base):
        text = (empty_project / path).read_text()
        assert "FILL IN" in text
        assert "NAME" not in text
        assert "Title" not in text
    settings = ["--config", str(ROOT / "pyproject.toml")]
    ours = ["--config", 'lint.isort.known-first-party=["consilience"]']
    for command in (["check"], ["format", "--check"]):
        done = subprocess.run(
            [sys.executable, "-m", "ruff", *command, *settings, *ours, "."],
            cwd=empty_project,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stdout


def test_a_modality_is_entered_only_where_the_dataset_has_it(tmp_path: Path) -> None:
    project = Project(tmp_path)
    (tmp_path / "raw").mkdir()
    manifest = "session,subject,modality,path\na,a,audio,a.wav\nb,b,face_au,b.csv\n"
    (tmp_path / "raw/recordings.csv").write_text(manifest)
    assert not scaffold.add_to_params(project, "face_au")
    content = params.defaults("folder", "raw", ["audio"], tmp_path)
    project.params_file.write_text(params.document(content))
    before = project.params_file.read_text()
    assert not scaffold.add_to_params(project, "eeg")
    assert project.params_file.read_text() == before
    assert scaffold.add_to_params(project, "face_au")
    assert list(params.load(project.params_file).modalities) == ["audio", "face_au"]
    content["modalities"]["face_au"] = {}
    assert project.params_file.read_text() == params.document(content)

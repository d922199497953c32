"""A new study is complete or absent, and the clone's files are those of the demonstration."""

from __future__ import annotations

import shutil
from pathlib import Path

import edfio
import numpy as np
import pytest
from ruamel.yaml import YAML

from consilience import new_study, params
from consilience.core.errors import ConsilienceError
from consilience.core.study import FOLDERS

ROOT = Path(__file__).parent.parent
SHARED = (
    *("dvc.yaml", "params.yaml", "prefect.toml", ".dvcignore", "data/.gitignore"),
    *("data/annotations/README.md", "data/score/README.md"),
)


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("init") / "my study"
    assert new_study.create(folder, None, None) == []
    return folder


@pytest.fixture
def recordings(tmp_path: Path) -> Path:
    """Write two sessions of four EEG channels, and their manifest."""
    root, rows = tmp_path / "recordings", ["session,subject,modality,path"]
    root.mkdir()
    rng = np.random.default_rng(0)
    for session in ("one", "two"):
        signals = [
            edfio.EdfSignal(rng.normal(0, 20, 2560), 256, label=name, physical_dimension="uV")
            for name in ("AF7", "AF8", "TP9", "TP10")
        ]
        edfio.Edf(signals).write(root / f"{session}.edf")
        rows.append(f"{session},ada,eeg,{session}.edf")
    (root / "recordings.csv").write_text("\n".join(rows))
    return root


@pytest.mark.parametrize("name", SHARED)
def test_the_files_of_the_clone_are_those_of_the_demonstration(demo: Path, name: str) -> None:
    assert (ROOT / name).read_bytes() == (demo / name).read_bytes()


def test_deployments_bear_the_name_of_the_study(demo: Path) -> None:
    of_clone, of_study = (YAML().load(base / "prefect.yaml") for base in (ROOT, demo))
    for deployment in of_clone["deployments"]:
        deployment["name"] = f"my-study-{deployment['name']}"
    assert of_study == of_clone


@pytest.mark.parametrize(
    ("study", "prefix"),
    [("my-study", "my-study"), ("Faces/2026 & more: %", "faces-2026-more"), ("…", "study")],
)
def test_a_name_of_deployments_has_allowed_signs(study: str, prefix: str) -> None:
    assert new_study.deployment_prefix(study) == prefix


def test_a_study_is_a_repository_with_folders_for_plug_ins(demo: Path) -> None:
    assert (demo / ".git").is_dir()
    assert (demo / ".dvc/config").is_file()
    assert (demo / ".dvc/plots.html").read_bytes() == (ROOT / ".dvc/plots.html").read_bytes()
    assert all((demo / name).is_dir() for name in FOLDERS.values())
    assert (demo / "README.md").read_text().startswith("# my study\n")
    assert [path.name for path in demo.parent.iterdir()] == ["my study"]


def test_no_template_is_a_file_that_dvc_reads() -> None:
    names = {path.name for path in (new_study.TEMPLATES / "study").iterdir()}
    assert names == {*new_study.FILES.values(), "dvc_config.txt", "plots.html.txt"}
    assert all(name.endswith(".txt") for name in names)


def test_channels_and_the_absolute_root_of_recordings_are_written(
    recordings: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(recordings.parent)
    lines = new_study.create(Path("study"), "folder", Path("recordings"))
    assert lines == ["eeg: 256 Hz in 2 opened recordings; channels AF7, AF8, TP9, TP10"]
    settings = params.load(recordings.parent / "study/params.yaml")
    assert settings.dataset.root == str(recordings)
    assert settings.modalities["eeg"].channels == ("AF7", "AF8", "TP9", "TP10")


def test_the_working_directory_can_become_a_study(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "here"
    folder.mkdir()
    before = folder.stat().st_ino
    monkeypatch.chdir(folder)
    new_study.create(Path(), None, None)
    assert folder.stat().st_ino == before
    assert (folder / "dvc.yaml").is_file()


def test_without_git_a_study_is_created_and_a_line_reports_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "which", lambda _: None)
    (line,) = new_study.create(tmp_path / "study", None, None)
    assert "git" in line
    assert not (tmp_path / "study/.git").exists()
    assert "no_scm = true" in (tmp_path / "study/.dvc/config").read_text()


@pytest.mark.parametrize(
    ("dataset", "root", "what"),
    [
        (None, "recordings", "--root without --dataset"),
        ("folder", None, "consilience init: --root is missing"),
        ("foldr", "recordings", "--dataset: unknown dataset 'foldr' .did you mean 'folder'"),
        ("folder", "nowhere", "--root nowhere: not a directory"),
        ("folder", ".", "--root .: .* lies among the recordings"),
        ("ravdess", "recordings", "no RAVDESS|no recording"),
    ],
)
def test_a_wrong_argument_is_named_and_nothing_is_written(
    recordings: Path, monkeypatch: pytest.MonkeyPatch, dataset: str, root: str, what: str
) -> None:
    monkeypatch.chdir(recordings.parent)
    before = sorted(Path().iterdir())
    with pytest.raises(ConsilienceError, match=what):
        new_study.create(Path("study"), dataset, None if root is None else Path(root))
    assert sorted(Path().iterdir()) == before


def test_a_folder_with_content_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").touch()
    for folder in (tmp_path, tmp_path / "notes.txt"):
        with pytest.raises(ConsilienceError, match="not an empty folder"):
            new_study.create(folder, None, None)
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def test_a_study_can_be_created_around_its_environment(tmp_path: Path) -> None:
    folder = tmp_path / "study"
    (folder / ".venv/bin").mkdir(parents=True)
    changed_ns = tmp_path.stat().st_mtime_ns
    new_study.create(folder, None, None)
    # Nothing was written beside it: '/srv' is not writable for the user of a service.
    assert tmp_path.stat().st_mtime_ns == changed_ns
    assert {".venv", "dvc.yaml", "params.yaml"} < {path.name for path in folder.iterdir()}
    assert not list(folder.glob(".tmp-*"))
    assert (folder / ".venv/bin").is_dir()


def test_a_failure_of_dvc_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(new_study.sys, "executable", shutil.which("false"))
    with pytest.raises(ConsilienceError, match="dvc init"):
        new_study.create(tmp_path / "study", None, None)
    assert list(tmp_path.iterdir()) == []


def test_every_stage_is_a_command_of_the_package() -> None:
    content = YAML(typ="safe").load((ROOT / "dvc.yaml").read_text())
    assert content["vars"] == [{"run": 'PATH="$PWD/.venv/bin:$PATH" consilience stage'}]
    for name, stage in content["stages"].items():
        words = ["${run}", name, *(["${item}"] if "matrix" in stage else [])]
        assert stage["cmd"] == " ".join(words)


def test_a_study_can_begin_with_pseudonyms_and_faces(tmp_path: Path) -> None:
    folder = tmp_path / "study"
    new_study.create(folder, None, None, {"pseudonyms": True, "no_faces": False})
    section = params.read_yaml(folder / "params.yaml")["privacy"]
    assert section == {"pseudonyms": True, "no_faces": False}

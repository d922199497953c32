"""Accepted versions: added, never changed, current or not, and restored."""

from __future__ import annotations

import json
import multiprocessing
import shutil
import subprocess
import sys
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest

from consilience.core.errors import ConsilienceError
from consilience.core.files import content_hash
from consilience.evaluation.predict import load_bundle
from consilience.model_registry import registry
from consilience.model_registry.gate import compare, forced
from consilience.model_registry.index import INDEX, TRACKED, Version, read_index
from consilience.project import Project
from tests.model_registry.small import METHOD, retrain


def files(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def silent(line: str) -> None:
    """Discard a line."""


def accept(project: Project) -> Version:
    return registry.accept(project, forced(project, "test"), silent)


@pytest.fixture(scope="session")
def two(template: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a project with two accepted versions."""
    folder = tmp_path_factory.mktemp("two") / "study"
    shutil.copytree(template, folder)
    project = Project(folder)
    accept(project)
    retrain(project, 11)
    accept(project)
    return folder


@pytest.fixture
def versions_of_two(two: Path, tmp_path: Path) -> Project:
    shutil.copytree(two, tmp_path / "two")
    return Project(tmp_path / "two")


def test_versions_are_whole_and_former_ones_stay_as_they_are(project: Project) -> None:
    assert registry.versions(project) == []
    assert registry.current(project) is None
    first = accept(project)
    assert (first.name, first.method, first.n_people) == ("v0001", METHOD, 6)
    assert first.metrics == {"all": [0.8, 0.7, 0.9], "ece": [0.1, 0, 0.2]}
    assert set(first.files) == {"bundle/card.json", "bundle/model.safetensors", "predictions.npz"}
    folder = registry.folder_of(project, "v0001")
    assert sum(map(len, files(folder / "bundle").values())) < 2e6
    assert load_bundle(registry.bundle_of(project, "v0001")).card["method"] == METHOD
    before = files(folder)
    retrain(project, 11)
    assert accept(project).name == "v0002"
    assert files(folder) == before
    current = registry.current(project)
    assert current is not None
    assert current.name == "v0002"
    history = read_index(project).history
    assert [(e.action, e.version, e.replaced) for e in history] == [
        ("accept", "v0001", None),
        ("accept", "v0002", "v0001"),
    ]


def test_the_same_model_is_not_added_twice(versions_of_two: Project) -> None:
    before = files(versions_of_two.registry)
    assert accept(versions_of_two).name == "v0002"
    assert files(versions_of_two.registry) == before


def test_a_rollback_restores_the_former_bundle_byte_for_byte(versions_of_two: Project) -> None:
    project = versions_of_two
    first = files(registry.folder_of(project, "v0001"))
    assert registry.resolve(project, "accepted") == project.registry / "v0002/bundle"
    assert registry.rollback(project, reason="worse in the clinic").name == "v0001"
    assert registry.resolve(project, "accepted") == project.registry / "v0001/bundle"
    assert files(registry.folder_of(project, "v0001")) == first
    assert registry.is_rolled_back(project, "v0002")
    assert read_index(project).history[-1].reason == "worse in the clinic"
    with pytest.raises(ConsilienceError, match="v0001: no older version"):
        registry.rollback(project)
    assert registry.rollback(project, "v0002").name == "v0002"
    assert not registry.is_rolled_back(project, "v0002")
    assert registry.resolve(project, "accepted@v0001") == project.registry / "v0001/bundle"


def test_a_folder_is_named_by_its_path() -> None:
    project = Project("nowhere")
    assert registry.resolve(project, "./accepted") == Path("accepted")
    assert registry.resolve(project, "data/models/hybrid") == Path("data/models/hybrid")


def damaged_index(project: Project, **changes: object) -> None:
    path = project.registry / INDEX
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def cut(project: Project, name: str) -> None:
    path = project.registry / name
    path.write_bytes(path.read_bytes()[:-1])


Damage = Callable[[Project], object]


@pytest.mark.parametrize(
    ("damage", "name", "message"),
    [
        (lambda p: None, "v0009", r"v0009: unknown version; accepted are: v0001, v0002 \('consil"),
        (lambda p: cut(p, "v0001/bundle/model.safetensors"), "v0001", "another SHA-256.*checkout"),
        (lambda p: cut(p, "v0001/predictions.npz"), "v0001", "predictions.npz: not as it was"),
        (lambda p: (p.registry / "v0001/bundle/card.json").unlink(), "v0001", "card.json: missing"),
        (lambda p: (p.registry / "v0001/x.pkl").touch(), "v0001", "x.pkl: does not belong"),
        (lambda p: damaged_index(p, schema_version=2), "v0001", "version 2, newer than 1.*install"),
        (lambda p: damaged_index(p, current="v0009"), "v0001", "v0009: unknown version"),
        (lambda p: damaged_index(p, versions=3), "v0001", "versions: .*list.*'dvc checkout"),
        (lambda p: cut(p, "registry.json") or cut(p, "registry.json"), "v0001", "cannot be read"),
        (lambda p: (p.registry / "registry.json").unlink(), "v0001", "the file is missing.*pull"),
    ],
)
def test_damage_is_one_line_with_a_remedy_and_changes_nothing(
    versions_of_two: Project, damage: Damage, name: str, message: str
) -> None:
    damage(versions_of_two)
    before = files(versions_of_two.registry)
    for use in (
        lambda: registry.rollback(versions_of_two, name),
        lambda: registry.resolve(versions_of_two, f"accepted@{name}"),
    ):
        with pytest.raises(ConsilienceError, match=message) as caught:
            use()
        assert "\n" not in str(caught.value)
    assert files(versions_of_two.registry) == before


def test_a_bundle_of_a_newer_schema_is_refused(versions_of_two: Project) -> None:
    index = json.loads((versions_of_two.registry / INDEX).read_text())
    path = versions_of_two.registry / "v0001/bundle/card.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "schema_version": 9}))
    index["versions"][0]["files"]["bundle/card.json"] = content_hash(path)
    damaged_index(versions_of_two, versions=index["versions"])
    with pytest.raises(ConsilienceError, match=r"schema version 9, newer than 1 \(install a newer"):
        load_bundle(registry.resolve(versions_of_two, "accepted@v0001"))


def test_a_registry_that_is_not_pulled_is_not_begun_anew(project: Project) -> None:
    (project.data / TRACKED).write_text("outs: []\n")
    for use in (lambda: compare(project), lambda: registry.rollback(project)):
        with pytest.raises(ConsilienceError, match=r"missing.*'dvc pull data/registry\.dvc'"):
            use()


def test_what_cannot_be_used_is_one_line(project: Project) -> None:
    with pytest.raises(ConsilienceError, match=r"no model is accepted yet \(run 'consilience pro"):
        registry.resolve(project, "accepted")
    with pytest.raises(ConsilienceError, match="no model is accepted yet"):
        registry.rollback(project)
    with pytest.raises(ConsilienceError, match=r"'concat' is not trained \(run 'consilience run'"):
        compare(project, method="concat")
    decision = forced(project, "test")
    retrain(project, 11)
    with pytest.raises(ConsilienceError, match=r"trained again since it was compared \(run 'cons"):
        registry.accept(project, decision, silent)
    (project.evaluation / "metrics.json").unlink()
    with pytest.raises(ConsilienceError, match="not evaluated"):
        accept(project)
    assert not (project.registry / "v0001").exists()
    assert registry.versions(project) == []


def test_a_decision_against_a_former_version_is_refused(versions_of_two: Project) -> None:
    retrain(versions_of_two, 21)
    decision = forced(versions_of_two, "test")
    registry.rollback(versions_of_two)
    with pytest.raises(ConsilienceError, match="compared with v0002, but v0001 is current now"):
        registry.accept(versions_of_two, decision, silent)


def test_an_interrupted_acceptance_leaves_no_version(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The folder was written and the index was not: the next version takes its place."""
    with monkeypatch.context() as patch:
        patch.setattr(registry, "_with_event", lambda *_: (_ for _ in ()).throw(OSError("cut")))
        with pytest.raises(OSError, match="cut"):
            accept(project)
    (project.registry / "v0001/rest").touch()
    assert registry.versions(project) == []
    assert accept(project).name == "v0001"
    registry.bundle_of(project, "v0001")


def test_two_writers_wait_for_each_other(versions_of_two: Project) -> None:
    context = multiprocessing.get_context("fork")
    names = ["v0001", "v0002"] * 6
    workers = [
        context.Process(target=registry.rollback, args=(versions_of_two, name)) for name in names
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    assert [worker.exitcode for worker in workers] == [0] * len(names)
    history = read_index(versions_of_two).history
    # Every event begins where the one before it ended: none was lost.
    for before, after in pairwise(history):
        assert after.replaced == before.version
        assert after.version != before.version


def dvc(folder: Path, *arguments: str) -> None:
    command = [sys.executable, "-m", "dvc", *arguments]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_a_clone_pulls_all_versions_and_damage_is_repaired(
    versions_of_two: Project, tmp_path: Path
) -> None:
    project, clone = versions_of_two, tmp_path / "clone"
    dvc(project.root, "init", "--no-scm", "--quiet")
    dvc(project.root, "remote", "add", "-d", "store", str(tmp_path / "remote"))
    accept(project)  # current already: only tracked
    dvc(project.root, "push", "--quiet", "data/registry.dvc")
    (clone / "data").mkdir(parents=True)
    for name in (".dvc/config", "data/registry.dvc", "params.yaml"):
        (clone / name).parent.mkdir(exist_ok=True)
        shutil.copy(project.root / name, clone / name)
    config = (clone / ".dvc/config").read_text()
    (clone / ".dvc/config").write_text(config.replace("../remote", str(tmp_path / "remote")))
    with pytest.raises(ConsilienceError, match="the file is missing"):
        registry.resolve(Project(clone), "accepted")
    dvc(clone, "pull", "--quiet", "data/registry.dvc")
    assert files(clone / "data/registry") == files(project.registry)
    bundle = registry.rollback(Project(clone)) and registry.resolve(Project(clone), "accepted")
    assert files(bundle) == files(project.registry / "v0001/bundle")
    weights = clone / "data/registry/v0001/bundle/model.safetensors"
    weights.unlink()
    with pytest.raises(ConsilienceError, match="missing"):
        registry.resolve(Project(clone), "accepted")
    dvc(clone, "checkout", "--quiet", "data/registry.dvc")  # also the rollback was tracked
    assert registry.resolve(Project(clone), "accepted") == bundle


def test_a_first_version_that_was_interrupted_leaves_an_empty_folder(tmp_path: Path) -> None:
    project = Project(tmp_path)
    project.registry.mkdir(parents=True)
    assert registry.versions(project) == []
    (project.registry / "v0001").mkdir()
    with pytest.raises(ConsilienceError, match="the file is missing"):
        registry.versions(project)

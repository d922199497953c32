"""A model taken to recordings it never saw, through the command line."""

from __future__ import annotations

import json
import shutil
import subprocess
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl
import pytest
from click.testing import Result
from typer.testing import CliRunner

from consilience.cli.commands import app
from consilience.core.errors import ConsilienceError
from consilience.evaluation import external, new_recordings
from consilience.evaluation.predict import load_bundle, predict
from consilience.preparation import recordings_to_windows
from consilience.project import Project
from consilience.training.bundle import read_bundle_card
from consilience.training.conditioned import load_windows
from consilience.training.people import recordings_by_subject
from consilience.training.run import train
from consilience.windows.conditions import conditions
from consilience.windows.store import load_corpus
from tests.evaluation import by_hand
from tests.evaluation.conftest import build_corpus

if TYPE_CHECKING:
    from conftest import ProjectCopy

    Done = subprocess.CompletedProcess[str]

MODEL, FOUND = "data/models/coherence_transfer", "found.json"
CARD: dict[str, Any] = {
    "schema_version": 1,
    "weights_sha256": "0" * 64,
    "data_sha256": "0" * 64,
    "method": "hybrid",
    "dataset": "demo",
    "classes": ["happy", "angry", "sad", "calm"],
    "features": {"eeg": ["a"], "audio": ["b"]},
    "inputs": {"eeg": [1], "audio": [1]},
    "people": [],
    "recipe": {
        "modalities": {"eeg": {}, "audio": {}},
        "alignment": {},
        "annotation": {},
        "windows": {},
    },
    "params": {},
    "training": {},
    "runs": [{"fold": 0, "seed": 0}, {"fold": 1, "seed": 0}],
    "intended_use": "tests",
    "limits": [],
    "licence": "none",
    "libraries": {},
}


def bundle(folder: Path, card: dict[str, Any], *, weights: bool = True) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "card.json").write_text(json.dumps(card))
    if weights:
        (folder / "model.safetensors").write_bytes(b"")
    return folder


def test_a_training_subject_is_scored_only_by_runs_that_held_it_out() -> None:
    seen = {"p1": {"0": "train", "1": "test"}}
    splits = new_recordings.splits(CARD, seen, ["p1", "p9", "p1"], scored=True)
    roles = {(fold, name): role for fold, name, role in splits.iter_rows()}
    assert roles == {(0, "p1"): "train", (0, "p9"): "test", (1, "p1"): "test", (1, "p9"): "test"}
    again = new_recordings.splits(CARD, seen, ["p1", "p9"], scored=False)
    assert again.equals(splits)


def test_a_person_of_every_run_is_predicted_but_never_scored() -> None:
    seen = {"p1": {"0": "train", "1": "validation"}}
    scored = new_recordings.splits(CARD, seen, ["p1"], scored=True)
    assert scored["role"].to_list() == ["train", "validation"]
    predicted = new_recordings.splits(CARD, seen, ["p1"], scored=False)
    assert predicted["role"].to_list() == ["test", "test"]
    corpus = replace(build_corpus(), splits=scored)
    with pytest.raises(ConsilienceError, match="trained on recordings of every subject"):
        external._check_new_people(corpus)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"classes": ["happy", "sad"]}, "the model was not trained on its classes angry, calm"),
        ({"recipe": {"modalities": {"face_au": {}}}}, "it does not offer face_au"),
        ({"recipe": {"modalities": {"eeg": {"chanels": []}}}}, "chanels"),
    ],
)
def test_what_does_not_fit_the_model_is_one_clear_line(
    change: dict[str, Any], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(external, "load_bundle", lambda folder: None)  # this one has no weights
    card = {**CARD, **change}
    card["recipe"] = {**CARD["recipe"], **change.get("recipe", {})}
    with pytest.raises(ConsilienceError, match=message) as caught:
        external.evaluate_bundle(
            Project(tmp_path), bundle(tmp_path / "model", card), tmp_path, "demo", grid=False
        )
    assert "\n" not in str(caught.value)


def test_an_incomplete_bundle_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConsilienceError, match=r"the file model\.safetensors is missing"):
        read_bundle_card(bundle(tmp_path, CARD, weights=False))
    old = {key: value for key, value in CARD.items() if key != "recipe"}
    with pytest.raises(ConsilienceError, match="recipe: Field required"):
        read_bundle_card(bundle(tmp_path, old))
    (tmp_path / "card.json").write_text("{")
    with pytest.raises(ConsilienceError, match="not JSON"):
        read_bundle_card(tmp_path)


@pytest.fixture(scope="module")
def trained(demo: ProjectCopy, tmp_path_factory: pytest.TempPathFactory) -> ProjectCopy:
    """Give a model, and recordings of three people, of whom its card has one."""
    project = replace(demo, folder=tmp_path_factory.mktemp("external"))
    shutil.copytree(demo.folder / MODEL, project.folder / MODEL)
    path = project.folder / MODEL / "card.json"
    recordings = recordings_by_subject(Project(demo.folder), ["eeg", "audio"])
    card = json.loads(path.read_text())
    card["people"] = [
        person for person in card["people"] if person["recordings"] == recordings["sub-04"]
    ]
    path.unlink()  # a link into the cache of the project
    path.write_text(json.dumps(card))
    others = project.folder / "others"
    shutil.copytree(demo.folder / "data/raw/demo", others)
    shutil.rmtree(others / "sub-01")
    for old, new in (("sub-02", "sub-05"), ("sub-03", "sub-06")):
        (others / old).rename(others / new)
        for table in others.glob("*.csv"):
            table.write_text(table.read_text().replace(old, new))
    manifest = pl.read_csv(others / "recordings.csv").filter(pl.col("subject") != "sub-01")
    manifest.write_csv(others / "recordings.csv")
    return project


def arguments(project: ProjectCopy, *options: str) -> list[str]:
    """Return the arguments of the command that evaluates the model."""
    model, recordings = MODEL, project.folder / "others"
    paths = [str(project.folder / model), str(recordings), "--json", str(project.folder / FOUND)]
    return ["--project", str(project.folder), "evaluate", *paths, "--dataset", "demo", *options]


def evaluate(project: ProjectCopy, *options: str) -> tuple[Result, dict[str, Any]]:
    """Run the command in this process."""
    done = CliRunner().invoke(app, arguments(project, *options), catch_exceptions=False)
    return done, json.loads((project.folder / FOUND).read_text())


@pytest.fixture(scope="module")
def first(trained: ProjectCopy) -> tuple[Done, dict[str, Any]]:
    """Run the command in a process of its own."""
    done = trained.run("consilience", *arguments(trained))
    return done, json.loads((trained.folder / FOUND).read_text())


@pytest.mark.slow
def test_other_people_are_scored_with_all_sensors_and_every_subset(
    first: tuple[Done, dict[str, Any]],
) -> None:
    done, result = first
    assert result["subjects"] == ["sub-04", "sub-05", "sub-06"]
    assert result["subjects_seen_in_training"] == ["sub-04"]
    assert "recordings of these subjects: sub-04" in done.stderr
    figures = result["figures"]
    assert {"all", "without_eeg", "only_audio", "ece", "aurc"} <= set(figures)
    assert "grid" not in figures
    for name in ("all", "nll"):
        assert figures[name]["low"] <= figures[name]["estimate"] <= figures[name]["high"]
    assert len(result["conditions"]) == 3
    assert "without eeg" in done.stdout


@pytest.mark.slow
def test_a_second_evaluation_reads_no_recording_and_gives_the_same(
    trained: ProjectCopy, first: tuple[Done, dict[str, Any]]
) -> None:
    again, result = evaluate(trained)
    assert "0 processed" in again.stderr
    assert "  processed" not in again.stderr
    assert result == first[1]


@pytest.mark.slow
def test_the_grid_corrupts_every_sensor_of_the_recordings(
    trained: ProjectCopy, first: tuple[Done, dict[str, Any]]
) -> None:
    _, result = evaluate(trained, "--grid")
    kinds = {condition["kind"] for condition in result["conditions"]}
    assert {"subset", "noise", "mismatch", "missing", "everything", "desync"} <= kinds
    assert result["figures"]["all"] == first[1]["figures"]["all"]
    assert {(own["modality"], own["kind"]) for own in result["kinds"]} >= {("eeg", "noise")}


@pytest.mark.slow
def test_every_figure_equals_a_computation_by_hand(trained: ProjectCopy) -> None:
    """Of runs that are averaged, with a subject that some of them were trained on."""
    _, result = evaluate(trained, "--grid")
    card, root = read_bundle_card(trained.folder / MODEL), trained.folder / "others"
    modalities = list(card["recipe"]["modalities"])
    other = new_recordings.nested_project(
        Project(trained.folder), card, root, "demo", modalities, corruptions=True
    )
    corpus = external._relabelled(load_corpus(other.windows, other.corrupted), card)
    tested = conditions(corpus)
    prepared = load_windows(corpus, tested)
    model = load_bundle(trained.folder / MODEL, prepared)
    predictor = partial(predict, [model], corpus, prepared)
    expected = by_hand.figures(by_hand.Hand(corpus, model.runs, tested, predictor, 15))
    figures = {name: value["estimate"] for name, value in result["figures"].items()}
    assert {"mismatch_eeg", "mismatch_auroc", "valence_ccc", "severe_set_coverage"} <= set(figures)
    assert set(figures) == set(expected)
    for name, value in expected.items():
        assert figures[name] == pytest.approx(value, abs=1e-9), name


def test_features_that_differ_from_the_training_are_an_error() -> None:
    corpus = build_corpus(("eeg", "audio"))
    card = {**CARD, "features": {"eeg": ["number"], "audio": ["pitch_hz", "level_db"]}}
    with pytest.raises(ConsilienceError, match=r"modality audio: 1 features .* such as number"):
        new_recordings.check_features(corpus, card)


def test_labels_follow_the_models_order_of_the_classes() -> None:
    corpus = build_corpus(("eeg", "audio"))
    card = {"classes": ["sad", *reversed(corpus.classes)]}
    again = external._relabelled(corpus, card)
    named = [again.classes[place] for place in again.target.argmax(1)]
    assert named == [corpus.classes[place] for place in corpus.target.argmax(1)]
    assert (again.target[:, 0] == 0).all()


def actors(source: Path, target: Path, numbers: list[int]) -> None:
    """Copy a clip of each emotion by each actor, and their action units."""
    for number in numbers:
        own = target / f"Actor_{number:02}"
        own.mkdir(parents=True)
        for clip in sorted(source.glob(f"Actor_{number:02}/03-01-??-01-01-01-{number:02}.flac")):
            shutil.copyfile(clip, own / clip.name)
    name = "openface_au35_clipmean.csv"
    clips = [path.stem.removeprefix("03-") for path in target.rglob("*.flac")]
    pl.read_csv(source / name).filter(pl.col("clip").is_in(clips)).write_csv(target / name)


@pytest.mark.slow
@pytest.mark.real_data
def test_actors_held_out_are_scored_clip_by_clip(tmp_project: ProjectCopy, real_data: Path) -> None:
    actors(real_data / "ravdess", tmp_project.folder / "met", [1, 2, 3, 4])
    actors(real_data / "ravdess", tmp_project.folder / "unmet", [5, 6])
    tmp_project.configure("ravdess", "met", training={"epochs": 15, "seeds": [0]})
    project = Project(tmp_project.folder)
    recordings_to_windows(project)
    train(project, "hybrid")
    done = tmp_project.run(
        "consilience",
        *("evaluate", "data/models/hybrid", "unmet", "--dataset", "ravdess"),
        *("--json", "found.json"),
    )
    result = json.loads((tmp_project.folder / "found.json").read_text())
    assert result["subjects"] == ["Actor_05", "Actor_06"]
    assert result["windows"] == 16
    assert result["subjects_seen_in_training"] == []
    assert "warning" not in done.stderr
    assert result["figures"]["all"]["estimate"] > 1.5 / 8

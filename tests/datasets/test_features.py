from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from consilience import params
from consilience.core.errors import ConsilienceError
from consilience.datasets.base import source_modality
from consilience.datasets.features import dataset
from consilience.ingest.catalog import build_catalog
from consilience.preparation import recordings_to_windows
from consilience.project import Project
from consilience.testing import DATASET_CHECKS, DatasetCase, name_of
from consilience.windows.store import load_corpus

ROWS = "clip,subject,task,label\na,p1,read,calm\nb,p1,count,angry\nc,p2,read,calm\nd,p2,count,\n"
ECG = "clip,hr,rr\na,60,1\nb,70,\nc,80,3\nd,90,4\n"


def write_root(folder: Path) -> Path:
    (folder / "clips.csv").write_text(ROWS)
    (folder / "ecg.csv").write_text(ECG)
    (folder / "Eye tracker.csv").write_text("clip;pupil\na;3,5\nc;2,5\n")
    (folder / "readme.csv").write_text("note\nany\n")
    return folder


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return write_root(tmp_path)


@pytest.fixture(scope="module")
def case(tmp_path_factory):
    return DatasetCase(dataset, write_root(tmp_path_factory.mktemp("features")))


@pytest.mark.parametrize("check", DATASET_CHECKS, ids=name_of)
def test_it_keeps_the_contract_of_datasets(check, case, monkeypatch):
    monkeypatch.setenv("CONSILIENCE_WORKERS", "1")
    monkeypatch.setenv("CONSILIENCE_LIMIT_S", "inf")
    check(case)


def test_every_table_with_the_key_is_a_sensor_and_every_subject_a_recording(root):
    bound = dataset.at(root)
    assert bound.modalities == ("eye_tracker_features", "ecg_features")
    assert bound.classes == ("angry", "calm")
    listing = bound.list(root)
    assert {(e.session, e.modality, e.path, e.item) for e in listing.entries} == {
        (subject, name, path, f"clips.csv/{subject}")
        for subject in ("p1", "p2")
        for name, path in (
            ("ecg_features", "ecg.csv"),
            ("eye_tracker_features", "Eye tracker.csv"),
        )
    }
    assert ("readme.csv", "not used: no column 'clip'") in listing.notes
    assert not listing.problems


def test_every_row_is_a_trial_with_its_label(root):
    listing = dataset.at(root).list(root)
    assert listing.trials.rows() == [
        ("p1", "read", 0, 1),
        ("p1", "count", 1, 2),
        ("p2", "read", 0, 1),
        ("p2", "count", 1, 2),
    ]
    labels = listing.annotations.select("session", "start_s", "target", "label").rows()
    assert labels == [
        ("p1", 0, "emotion", "calm"),
        ("p1", 1, "emotion", "angry"),
        ("p2", 0, "emotion", "calm"),
    ]


def test_ratings_alone_have_the_classes_low_and_high(root):
    text = "clip,subject,valence,arousal\na,p1,0.5,-1\nb,p1,-0.2,\nc,p2,high,0.3\n"
    (root / "clips.csv").write_text(text)
    bound = dataset.at(root)
    assert bound.classes == ("LVLA", "LVHA", "HVLA", "HVHA")
    listing = bound.list(root)
    ratings = listing.annotations.select("session", "start_s", "target", "value").rows()
    assert ratings == [
        ("p1", 0, "valence", 0.5),
        ("p1", 0, "arousal", -1),
        ("p1", 1, "valence", -0.2),
        ("p2", 0, "arousal", 0.3),
    ]
    assert any("value is not a number" in what for _, what, _ in listing.problems)


def test_labels_that_differ_in_case_are_one_class(root):
    (root / "clips.csv").write_text(ROWS.replace("c,p2,read,calm", "c,p2,read,Calm"))
    assert dataset.at(root).classes == ("angry", "calm")


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("ecg.csv", b"\xff\xfe\x00,;\n" * 9, "ecg.csv: not a UTF-8 text table"),
        ("ecg.parquet", b"PAR1", "ecg.parquet: cannot be read"),
        ("ECG.csv", ECG.encode(), "a second table of 'ecg_features'"),
        ("hr.csv", b"clip,hr\na,x\n", "hr.csv: no column of different numbers"),
    ],
)
def test_a_table_that_cannot_be_used_is_a_problem_and_the_others_remain(
    root, name, content, problem
):
    (root / name).write_bytes(content)
    bound = dataset.at(root)
    assert "eye_tracker_features" in bound.modalities
    assert any(problem in ": ".join(p[:2]) for p in bound.list(root).problems)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda root: (root / "clips.csv").unlink(), "no table of rows"),
        (lambda root: (root / "more.csv").write_text(ROWS), "clips.csv and more.csv"),
        (
            lambda root: [(root / name).unlink() for name in ("ecg.csv", "Eye tracker.csv")],
            "no usable table of numbers beside it",
        ),
        (
            lambda root: (root / "clips.csv").write_text("clip,subject,label\na,,calm\n"),
            "no usable row.*line 2: the subject is empty",
        ),
    ],
)
def test_a_folder_that_cannot_be_used_is_one_line(root, change, message):
    change(root)
    with pytest.raises(ConsilienceError, match=message):
        dataset.at(root)


def test_a_sensor_of_several_tables_reads_the_recordings_of_the_others(root):
    bound = dataset.at(root)
    assert source_modality(bound, "physiology_features") == bound.modalities[0]
    assert source_modality(bound, "audio") is None
    content = params.defaults("features", str(root), ["physiology_features"])
    assert content["modalities"]["physiology_features"]["tables"] == []
    content["modalities"]["physiology_features"]["tables"] = ["ecg.csv", "Eye tracker.csv"]
    settings = params.parse(content).modalities
    table = build_catalog(dataset, root, list(settings), settings).recordings
    rows = table["physiology_features"]
    assert rows.select("status", "n_channels").rows() == [("ok", 3)] * 2


def test_a_sensor_takes_at_most_10_lines_of_parameters(root):
    content = params.defaults("features", str(root))
    lines = params.document(content).splitlines()
    first, second = (lines.index(f"  {name}:") for name in content["modalities"])
    assert second - first <= 10
    assert content["modalities"]["ecg_features"]["tables"] == ["ecg.csv"]
    assert list(content["modalities"]["ecg_features"]["corruptions"]) == [
        "noise",
        "dropout",
        "stuck",
    ]


def test_a_baseline_runs_only_over_rows_whose_order_is_stated(root):
    assert params.defaults("features", str(root))["training"]["baseline"] == "person"
    notes = dict(dataset.at(root).list(root).notes)
    assert "no order of the rows" in notes["clips.csv"]
    rows = [line.split(",") for line in ROWS.splitlines()]
    rows = [[*row, "order" if not number else str(number)] for number, row in enumerate(rows)]
    (root / "clips.csv").write_text("\n".join(map(",".join, rows)))
    assert params.defaults("features", str(root))["training"]["baseline"] == "running"
    assert "clips.csv" not in dict(dataset.at(root).list(root).notes)


def project_of(folder: Path, root: Path, **sensors: list[str]) -> Project:
    content = params.defaults("features", str(root), list(sensors))
    for name, tables in sensors.items():
        content["modalities"][name]["tables"] = tables
    (folder / "params.yaml").write_text(params.document(content))
    return Project(folder)


def test_windows_are_the_rows_and_a_missing_row_is_unavailable(root, tmp_path_factory):
    folder = tmp_path_factory.mktemp("project")
    sensors = {"ecg_features": ["ecg.csv"], "eye_tracker_features": ["Eye tracker.csv"]}
    (root / "clips.csv").write_text(ROWS.replace("count,\n", "count,angry\n"))
    for n in range(3, 6):  # subjects enough to divide
        with (root / "clips.csv").open("a") as file:
            file.write(f"e{n},p{n},read,calm\n")
        with (root / "ecg.csv").open("a") as file:
            file.write(f"e{n},{n},{n}\n")
    project = project_of(folder, root, **sensors)
    recordings_to_windows(project, emit=lambda line: None)
    corpus = load_corpus(project.windows)
    assert corpus.index["trial"].to_list() == ["read", "count", "read", "count"] + ["read"] * 3
    assert corpus.available.T.tolist() == [[True] * 7, [True, False, True] + [False] * 4]
    # rr of b is missing: the value before it in the recording.
    assert corpus.windows("ecg_features")[:4].tolist() == [[60, 1], [70, 1], [80, 3], [90, 4]]
    assert set(corpus.variants["ecg_features"]) == {
        f"{kind}_{level}" for kind in ("noise", "dropout", "stuck") for level in range(1, 6)
    }
    assert np.isfinite(corpus.windows("ecg_features", "dropout_5")).all()


@pytest.mark.real_data
@pytest.mark.slow
def test_stressid_up_to_windows(real_data, tmp_path):
    physiology = ["ecg.csv", "eda.csv", "resp.csv"]
    sensors = {"physiology_features": physiology, "voice_features": ["voice.csv"]}
    root = real_data / "stressid"
    project = project_of(tmp_path, root, **sensors)
    recordings_to_windows(project, emit=lambda line: None)
    corpus = load_corpus(project.windows)
    assert len(corpus.index) == 300
    assert corpus.index["subject"].n_unique() == 43
    assert len(corpus.classes) == 5
    assert corpus.available.all()
    keys = corpus.index.select(clip=pl.col("subject") + "_" + pl.col("trial"))
    table = pl.read_csv(root / "voice.csv", infer_schema_length=None)
    expected = keys.join(table, on="clip", how="left", maintain_order="left").drop("clip")
    np.testing.assert_allclose(corpus.windows("voice_features"), expected.to_numpy(), rtol=1e-6)


@pytest.mark.real_data
@pytest.mark.slow
def test_wesad_up_to_windows_in_the_order_of_time(real_data, tmp_path):
    root = real_data / "wesad"
    project = project_of(tmp_path, root, temp_features=["temp.csv"])
    recordings_to_windows(project, emit=lambda line: None)
    corpus = load_corpus(project.windows)
    assert (len(corpus.index), corpus.index["session"].n_unique()) == (2431, 12)
    rows = pl.read_csv(root / "windows.csv")
    joined = corpus.index.select("session", window="trial").join(
        rows, on="window", how="left", maintain_order="left"
    )
    steps = joined.select(pl.col("order").diff().over("session")).to_series()
    assert (steps.drop_nulls() > 0).all()
    classes = [corpus.classes[n] for n in corpus.target.argmax(axis=1)]
    assert classes == joined["label"].to_list()


def test_columns_about_the_subject_describe_people(tmp_path):
    (tmp_path / "clips.csv").write_text("clip,subject,label,sex\na,p1,calm,f\nb,p2,angry,m\n")
    (tmp_path / "ecg.csv").write_text("clip,hr\na,60\nb,70\n")
    people = dataset.list(tmp_path).people
    assert people.select("subject", "sex").rows() == [("p1", "female"), ("p2", "male")]

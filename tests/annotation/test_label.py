from __future__ import annotations

import json
from pathlib import Path

import polars as pl
import pytest

from consilience.annotation.label import label
from consilience.core.files import write_json
from consilience.project import Project
from consilience.schema.constants import AFFECT_CLASSES
from consilience.schema.params.annotation import AnnotationParams
from consilience.schema.params.windows import WindowParams
from consilience.schema.tables import (
    Alignment,
    Annotations,
    Annotators,
    Confusions,
    Labels,
    Recordings,
    Table,
    Trials,
    frame_of,
    read_table,
    write_table,
)

CLASSES = ("calm", "sad")


def recording(session: str, modality: str, end_s: float | None, status: str) -> dict[str, object]:
    return {
        "recording": f"{session}_{modality}",
        "session": session,
        "modality": modality,
        "method": "pulses",
        "n_anchors": 9,
        "n_pieces": 1,
        "end_s": end_s,
        "status": status,
    }


def statement(session: str, annotator: str, emotion: str) -> dict[str, object]:
    row = {"session": session, "annotator": annotator, "target": "emotion", "label": emotion}
    return {**row, "start_s": 0.0, "end_s": 8.0}


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """Return a project of four sessions, the last of which has no aligned recording."""
    project = Project(tmp_path)
    sections = [WindowParams(length_s=4.0, hop_s=4.0), AnnotationParams()]
    content = {section.KEY: section.model_dump(mode="json") for section in sections}
    project.params_file.write_text(json.dumps(content))  # JSON is YAML
    aligned = [
        recording("long", "eeg", 8.0, "aligned"),
        recording("long", "audio", 9.0, "aligned"),
        recording("table", "eeg", None, "aligned"),
        recording("short", "eeg", 8.0, "aligned"),
        recording("lost", "eeg", 8.0, "coarse"),
    ]
    trials = [
        {"session": name, "trial": "t", "start_s": 0.0, "end_s": end_s}
        for name, end_s in (("long", 8.0), ("short", 2.0), ("lost", 8.0))
    ]
    annotations = [
        statement("long", "a", "sad"),
        statement("long", "self", "calm"),
        statement("table", "a", "calm"),
        statement("lost", "a", "sad"),
    ]
    write(project.alignment / "alignment.parquet", aligned, Alignment)
    write(project.catalog / "trials.parquet", trials, Trials)
    write(project.catalog / "annotations.parquet", annotations, Annotations)
    for modality in ("eeg", "audio"):
        rows = [
            {**{k: row[k] for k in ("recording", "session", "modality")}, "subject": "ada"}
            | {"path": "none", "clock": "anchors", "status": "ok"}
            for row in aligned
            if row["modality"] == modality
        ]
        write(project.recordings_table(modality), rows, Recordings)
    write_json(project.catalog / "dataset.json", {"name": "demo", "classes": CLASSES})
    return project


def write(path: Path, rows: list[dict[str, object]], schema: type[Table]) -> None:
    write_table(path, frame_of(rows, schema), schema)


def test_windows_of_aligned_sessions_are_labelled(project: Project) -> None:
    label(project, emit=lambda line: None)
    labels = read_table(project.labels / "labels.parquet", Labels)
    spans = labels.select("session", "start_s", "end_s").rows()
    assert spans == [("long", 0.0, 4.0), ("long", 4.0, 8.0), ("table", 0.0, 4.0)]
    assert labels["class_probability"].to_list() == [[0, 1], [0, 1], [1, 0]]
    assert set(labels["subject"]) == {"ada"}
    assert labels["window"].n_unique() == 3


def test_the_summary_counts_windows_classes_and_annotators(project: Project) -> None:
    lines: list[str] = []
    label(project, emit=lines.append)
    summary = json.loads((project.labels / "summary.json").read_text())
    assert (summary["windows"], summary["labelled"]) == (3, 3)
    assert summary["classes"] == {"calm": 1, "sad": 2}
    assert (summary["annotators"], summary["self_reports"]) == (2, 1)
    assert "label: session short has no trial as long as a window" in lines
    assert lines[-1] == "label: 3 windows, 3 labelled"


def test_annotators_and_confusions_are_written(project: Project) -> None:
    label(project, emit=lambda line: None)
    annotators = read_table(project.labels / "annotators.parquet", Annotators)
    assert annotators.select("annotator", "n_windows").rows() == [("a", 3)]
    assert read_table(project.labels / "confusions.parquet", Confusions).is_empty()  # no quorum


def test_a_project_without_annotations_has_windows_without_labels(project: Project) -> None:
    write(project.catalog / "annotations.parquet", [], Annotations)
    label(project, emit=lambda line: None)
    labels = read_table(project.labels / "labels.parquet", Labels)
    assert labels.height == 3
    assert labels.select(pl.col("class_probability").is_null().all()).item()


def rating(session: str, annotator: str, value: float) -> dict[str, object]:
    row = {"session": session, "annotator": annotator, "target": "valence", "value": value}
    return {**row, "start_s": 0.0, "end_s": 8.0}


def test_ratings_alone_label_low_and_high(project: Project) -> None:
    classes = AFFECT_CLASSES[("valence",)]
    write_json(project.catalog / "dataset.json", {"name": "small", "classes": classes})
    values = {"long": -0.5, "table": 0.5}
    rows = [rating(session, "a", value) for session, value in values.items()]
    write(project.catalog / "annotations.parquet", rows, Annotations)
    label(project, emit=lambda line: None)
    labels = read_table(project.labels / "labels.parquet", Labels)
    assert labels["class_probability"].to_list() == [[1, 0], [1, 0], [0, 1]]
    assert labels["valence"].to_list() == [-0.5, -0.5, 0.5]


def test_opposed_annotators_are_reported(project: Project) -> None:
    write_json(project.catalog / "dataset.json", {"name": "small", "classes": []})
    values = {"long": -0.5, "table": 0.5}
    rows = [rating(name, "a", value) for name, value in values.items()]
    rows += [rating(name, "b", -value) for name, value in values.items()]
    write(project.catalog / "annotations.parquet", rows, Annotations)
    lines: list[str] = []
    label(project, emit=lines.append)
    assert [line.split("'")[1] for line in lines if "contradicts" in line] == ["a", "b"]
    summary = json.loads((project.labels / "summary.json").read_text())
    assert summary["contrary_annotators"] == ["a: valence", "b: valence"]
    assert (
        read_table(project.labels / "labels.parquet", Labels)["class_probability"].is_null().all()
    )


def test_collected_annotations_are_further_annotators(project: Project) -> None:
    project.annotations.mkdir()
    (project.annotations / "later.csv").write_text(
        "session,annotator,target,start_s,end_s,label,value\n"
        + "".join(f"long,{name},emotion,0,4,calm,\n" for name in ("b", "c"))
        + "table,b,valence,0,4,,0.5\n"
    )
    lines: list[str] = []
    label(project, emit=lines.append)
    assert "label: 3 annotations collected from 2 annotators" in lines
    labels = read_table(project.labels / "labels.parquet", Labels).sort("session", "start_s")
    assert labels["n_annotators"].to_list() == [3, 1, 2]
    # Two of three annotators contradict the first one, in the window that they saw.
    assert labels["class_probability"][0][0] > 0.5
    assert labels["class_probability"][1][1] > 0.5
    assert labels["valence"][2] == pytest.approx(0.5)

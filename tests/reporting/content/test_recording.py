from __future__ import annotations

from importlib import import_module
from pathlib import Path

import numpy as np
import polars as pl
import soundfile

from consilience import params
from consilience.project import Project
from consilience.reporting.content.excerpts import Excerpt
from consilience.reporting.content.recording import _blocks, recording, typical_session
from consilience.schema.tables import Recordings, read_table, write_table


def recordings(*rows: tuple[str, str, str, float | None]) -> pl.DataFrame:
    return pl.DataFrame(
        [
            {"session": session, "modality": modality, "status": status, "quality": quality}
            | {"duration_s": 20.0}
            for session, modality, status, quality in rows
        ],
        schema_overrides={"quality": pl.Float64},
    )


def test_the_session_with_most_sensors_and_of_median_quality_is_shown():
    table = recordings(
        ("a", "eeg", "usable", 0.2),
        ("a", "audio", "usable", 0.2),
        ("b", "eeg", "usable", 0.9),
        ("b", "audio", "usable", 0.9),
        ("c", "eeg", "usable", 0.5),
        ("c", "audio", "usable", 0.5),
        ("d", "eeg", "usable", 0.6),
        ("d", "audio", "quarantined", None),
    )
    assert typical_session(table) == "c"
    assert typical_session(table.filter(pl.col("status") == "missing")) is None


def test_a_recording_with_one_row_of_features_is_a_table_of_values():
    """A curve of one point would be an empty drawing with an invented range."""
    sample = Excerpt("features", ("AU01", "AU02"), np.zeros(1), np.array([[0.328, np.nan]]))
    (block,) = _blocks("face_au", sample, "#123456", "")
    assert block.kind == "table"
    assert [(row.title, row.cells[0].text) for row in block.table.rows] == [
        ("AU01", "0.328"),
        ("AU02", "–"),
    ]


def test_a_clip_is_as_long_as_it_is():
    times = np.arange(0, 3.4, 0.1)
    sample = Excerpt("sound", ("root mean square",), times, np.ones((len(times), 1)))
    (block,) = _blocks("audio", sample, "#123456", "")
    assert ", 3.4 s. Each curve" in block.caption


def test_sensors_whose_files_cannot_be_read_show_their_feature_frames(project, results):
    section = recording(project, results)
    assert section is not None
    figures = [block for block in section.blocks if block.kind == "figure"]
    assert len(figures) == 3
    assert all("feature frames" in figure.caption for figure in figures)
    assert "No picture of a face is shown" in section.blocks[-1].text


def test_a_sound_is_read_from_the_dataset(project, results):
    table = read_table(project.recordings_table("audio"), Recordings)
    root = project.root / "raw"
    root.mkdir()
    sound = 0.1 * np.random.default_rng(0).standard_normal(16000 * 45)
    for path in table["path"]:
        soundfile.write(root / path.replace(".bin", ".wav"), sound, 16000)
    renamed = table.with_columns(pl.col("path").str.replace(".bin", ".wav", literal=True))
    write_table(project.recordings_table("audio"), renamed, Recordings)
    section = recording(project, results)
    assert section is not None
    captions = [block.caption for block in section.blocks if block.kind == "figure"]
    assert any("envelope" in caption for caption in captions)


def with_faces(project: Project) -> None:
    content = params.read_yaml(project.params_file)
    content["privacy"]["no_faces"] = False
    project.params_file.write_text(params.document(content))


def test_faces_are_asked_for_only_if_the_parameters_permit_them(project, results, monkeypatch):
    asked: list[bool] = []

    def read(*arguments: object, with_pictures: bool, **fields: object) -> None:
        asked.append(with_pictures)

    # The package's attribute of this name is the function.
    module = import_module("consilience.reporting.content.recording")
    monkeypatch.setattr(module, "_excerpt", read)
    recording(project, results)
    with_faces(project)
    recording(Project(Path(project.root)), results)
    assert set(asked[: len(asked) // 2]) == {False}
    assert set(asked[len(asked) // 2 :]) == {True}

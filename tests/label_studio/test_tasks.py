"""Ranked windows become tasks whose clips lie on the session clock."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile

from consilience import params
from consilience.core.errors import ConsilienceError
from consilience.core.files import write_json
from consilience.label_studio.answers import import_answers
from consilience.label_studio.tasks import export_tasks, summary
from consilience.preparation import recordings_to_labels
from consilience.project import Project
from consilience.schema.tables import Labels, Ranking, frame_of, read_table, write_table

RATE_HZ = 16_000


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Return a labelled study of voice, whose first window of each session is ranked."""
    folder = tmp_path_factory.mktemp("study")
    root = folder / "recordings"
    root.mkdir()
    rng = np.random.default_rng(0)
    recordings = "session,subject,modality,path\n"
    rated = "session,annotator,target,start_s,end_s,label,value\n"
    for number in range(2):
        times_s = np.arange(8 * RATE_HZ) / RATE_HZ
        sound = 0.2 * np.sin(2 * np.pi * 150 * times_s) * (np.sin(5 * times_s) > -0.5)
        soundfile.write(root / f"s{number}.wav", sound + rng.normal(0, 1e-3, sound.size), RATE_HZ)
        recordings += f"s{number},p{number},audio,s{number}.wav\n"
        rated += f"s{number},ann,emotion,0,8,{'calm' if number else 'sad'},\n"
        rated += f"s{number},ann,valence,0,8,,{number - 0.5}\n"
    (root / "recordings.csv").write_text(recordings)
    (root / "annotations.csv").write_text(rated)
    content = params.defaults("folder", str(root))
    (folder / "params.yaml").write_text(json.dumps(content))
    project = Project(folder)
    recordings_to_labels(project, lambda line: None)
    labels = read_table(project.labels / "labels.parquet", Labels)
    first = labels.filter(labels["start_s"] == 2.0)
    shared = ("window", "session", "subject", "trial", "start_s", "end_s")
    rows = [
        {**{name: row[name] for name in shared}, "rank": number}
        | {"files": "", "reason": "drawn", "predicted": "sad", "file": None}
        for number, row in enumerate(first.iter_rows(named=True), 1)
    ]
    names = list(Ranking.to_schema().columns)
    ranking = frame_of([{n: row.get(n) for n in names} for row in rows], Ranking)
    write_table(project.query / "ranking.parquet", ranking, Ranking)
    return project


def test_every_ranked_window_is_a_task_with_its_clip(project: Project, tmp_path: Path) -> None:
    exported = export_tasks(project, tmp_path / "tasks.json", lambda line: None)
    tasks = json.loads(exported.tasks.read_text())
    assert (exported.n_tasks, len(tasks), exported.problems) == (2, 2, [])
    data = tasks[0]["data"]
    assert (data["start_s"], data["end_s"]) == (2.0, 6.0)
    assert data["question"] == "What is felt from 1.0 s to 5.0 s of this clip?"
    assert data["audio"] == "/data/local-files/?d=tasks_media/00001.wav"
    clip, rate_hz = soundfile.read(tmp_path / "tasks_media/00001.wav")
    recorded, _ = soundfile.read(project.dataset_root / "s0.wav")
    assert rate_hz == RATE_HZ
    np.testing.assert_allclose(clip, recorded[RATE_HZ : 7 * RATE_HZ], atol=1e-3)
    assert "label" not in json.dumps(tasks)  # the annotator sees neither label nor prediction
    config = exported.config.read_text()
    assert '<Choice value="sad" />' in config
    assert 'name="valence"' in config
    assert 'name="arousal"' not in config  # is not rated in this study
    assert any("LOCAL_FILES_DOCUMENT_ROOT" in line for line in summary(exported))


def test_an_answered_export_returns_to_the_labels(project: Project, tmp_path: Path) -> None:
    exported = export_tasks(project, tmp_path / "tasks.json", lambda line: None, url="http://x/")
    tasks = json.loads(exported.tasks.read_text())
    assert tasks[0]["data"]["audio"] == "http://x/00001.wav"
    choice = {"from_name": "emotion", "to_name": "question", "type": "choices"}
    answers = [
        {**task, "id": number}
        | {
            "annotations": [
                {
                    "id": number,
                    "completed_by": 3,
                    "was_cancelled": False,
                    "result": [{**choice, "id": "r", "value": {"choices": ["calm"]}}],
                }
            ]
        }
        for number, task in enumerate(tasks, 1)
    ]
    write_json(tmp_path / "export.json", answers)
    done = import_answers(project, tmp_path / "export.json")
    assert (done.n_answers, done.n_rows) == (2, 2)
    recordings_to_labels(project, lambda line: None)
    labels = read_table(project.labels / "labels.parquet", Labels)
    assert labels.filter(labels["session"] == "s0")["n_annotators"].to_list() == [2, 2, 2]
    done.path.unlink()


def test_an_export_needs_a_ranking_and_a_json_file(project: Project, tmp_path: Path) -> None:
    with pytest.raises(ConsilienceError, match=r"not a \.json file"):
        export_tasks(project, tmp_path / "tasks.csv", lambda line: None)
    write_table(tmp_path / "data/query/ranking.parquet", frame_of([], Ranking), Ranking)
    with pytest.raises(ConsilienceError, match="no window is ranked"):
        export_tasks(Project(tmp_path), tmp_path / "tasks.json", lambda line: None)

"""All stages on recordings with ratings of valence alone, from the folder to the evaluation."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile
import yaml

from consilience import params
from consilience.core.seeds import generator
from consilience.evaluation.run import evaluate
from consilience.preparation import recordings_to_windows
from consilience.project import Project
from consilience.schema.tables import Annotators, Labels, read_table
from consilience.training.run import train

RATE_HZ, DURATION_S = 16000, 6.0
VALENCE = np.array([-0.8, -0.7, -0.3, -0.1, 0.2, 0.4, 0.6, 0.9])
# A second annotator's ratings, the correlation of the two, and the classes of the sessions.
LOW_AND_HIGH = [0, 0, 0, 0, 1, 1, 1, 1]
SECOND = {
    "alike": (VALENCE, 1.0, LOW_AND_HIGH),
    "shifted": (VALENCE / 2 + 0.05, 1.0, LOW_AND_HIGH),
    "opposed": (-VALENCE, -1.0, None),
}


def write_folder(root: Path, second: np.ndarray) -> Path:
    """Write eight sessions of four people, each rated by two annotators as a whole."""
    root.mkdir()
    times_s = np.arange(DURATION_S * RATE_HZ) / RATE_HZ
    recordings = ["session,subject,modality,path"]
    annotations = ["session,annotator,target,start_s,end_s,label,value"]
    for number, ratings in enumerate(zip(VALENCE, second, strict=True)):
        voice = 0.2 * np.sign(np.sin(2 * np.pi * (110 + 12 * number) * times_s))
        noise = 2e-3 * generator("ratings", number).standard_normal(times_s.size)
        sound = voice * (np.sin(4 * times_s + number) > -0.5) + noise
        soundfile.write(root / f"s{number}.wav", sound, RATE_HZ)
        recordings.append(f"s{number},p{number % 4},audio,s{number}.wav")
        annotations += [
            f"s{number},{who},valence,0,{DURATION_S},,{value}"
            for who, value in zip(("ann", "bob"), ratings, strict=True)
        ]
    (root / "recordings.csv").write_text("\n".join(recordings) + "\n")
    (root / "annotations.csv").write_text("\n".join(annotations) + "\n")
    return root


def project_of(dataset: Path, root: Path) -> Project:
    """Return a project that trains one method for a few epochs."""
    content = params.defaults("folder", str(dataset))
    content["methods"] = {"concat": content["methods"]["concat"]}
    content["training"]["epochs"] = 3
    root.mkdir()
    (root / "params.yaml").write_text(yaml.safe_dump(json.loads(json.dumps(content))))
    return Project(root)


@pytest.mark.slow
@pytest.mark.parametrize("name", SECOND)
def test_ratings_alone_are_enough_for_a_whole_run(name: str, tmp_path: Path) -> None:
    second, correlation, classes = SECOND[name]
    dataset = write_folder(tmp_path / "dataset", second)
    project = project_of(dataset, tmp_path / "project")
    lines: list[str] = []
    recordings_to_windows(project, lines.append)
    annotators = read_table(project.labels / "annotators.parquet", Annotators)
    assert annotators["reliability"].to_list() == pytest.approx([correlation] * 2, abs=1e-9)
    assert any("contradicts the others" in line for line in lines) == (correlation < 0)
    probability = read_table(project.labels / "labels.parquet", Labels).sort("session", "start_s")
    low = np.array([row[0] for row in probability["class_probability"]]).reshape(8, -1)
    expected = 1 - np.array(classes) if classes else np.full(8, 0.5)
    np.testing.assert_allclose(low, np.tile(expected[:, None], low.shape[1]))
    train(project, "concat")
    evaluate(project)
    metrics = json.loads((project.root / "data/evaluation/metrics.json").read_text())["concat"]
    assert 0 <= metrics["all"] <= 1

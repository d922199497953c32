"""A trained method as one bundle of one network, without names."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
from safetensors import safe_open
from typer.testing import CliRunner

from consilience import params
from consilience.cli.commands import app
from consilience.core.errors import ConsilienceError
from consilience.evaluation.predict import load_bundle, predict
from consilience.project import Project
from consilience.schema.tables import Recordings, read_table
from consilience.training import export as exporting
from consilience.training.calibration import COVERAGE, PREFIX
from consilience.training.export import export
from consilience.training.run import train
from consilience.windows.conditions import conditions
from consilience.windows.store import Corpus, load_corpus

METRICS = {"all": 0.8, "all_low": 0.7, "all_high": 0.9, "all_over_hybrid": 0.1, "n": 3.0}


@pytest.fixture
def project(windows_folder: Path) -> Project:
    """Give a project with a trained and evaluated method."""
    project = Project(windows_folder.parent.parent)
    content = params.defaults("ravdess", "recordings", ["audio", "face_au"])
    changes = {"seeds": [3, 4], "epochs": 8, "batch_size": 16, "width": 8, "learning_rate": 1e-2}
    content["training"] = {**content["training"], **changes, "baseline": "person"}
    project.params_file.write_text(params.document(content))
    train(project, "hybrid")
    project.evaluation.mkdir()
    (project.evaluation / "metrics.json").write_text(json.dumps({"hybrid": METRICS}))
    return project


def test_a_bundle_has_one_network_of_all_people(project: Project, tmp_path: Path) -> None:
    folder = tmp_path / "bundle"
    command = ["--project", str(project.root), "export", "hybrid", "-o", str(folder)]
    done = CliRunner().invoke(app, [*command, "--licence", "CC0-1.0"], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    assert "hybrid for audio, face_au, trained on 6 people, 0." in done.output
    assert "warning" not in done.output
    model, own = load_bundle(folder), load_bundle(project.model("hybrid"))
    assert [tuple(run) for run in model.runs] == [(0, 3)]
    assert model.card["metrics"] == {"all": [0.8, 0.7, 0.9]}
    assert model.card["licence"] == "CC0-1.0"
    assert [person["roles"] for person in model.card["people"]] == [{"0": "train"}] * 6
    assert all(len(person["recordings"]) == 2 for person in model.card["people"])
    assert model.card.keys() == own.card.keys()
    text = (folder / "card.json").read_text()
    assert not any(f'"p{number}"' in text for number in range(6))
    for name, value in model.stack.weights.items():
        if name.startswith((PREFIX, COVERAGE)):
            torch.testing.assert_close(value, own.stack.weights[name].mean(0, keepdim=True))
    corpus = load_corpus(project.windows)
    prepared = {m: {"clean": torch.from_numpy(corpus.windows(m))} for m in corpus.modalities}
    everyone = _tested(corpus)
    logits = predict([model], everyone, prepared, conditions(corpus)[0]).logits[0]
    covered = np.isfinite(logits).all(1)
    assert covered.all()
    right = logits.argmax(1) == corpus.target.argmax(1)
    assert right.mean() > 0.5


def _strings(content: object) -> list[str]:
    """Return every key and text in nested content."""
    if isinstance(content, dict):
        return [*content, *(text for value in content.values() for text in _strings(value))]
    if isinstance(content, list):
        return [text for value in content for text in _strings(value)]
    return [content] if isinstance(content, str) else []


def test_no_bundle_names_a_person_a_session_or_a_file(project: Project, tmp_path: Path) -> None:
    export(project, "hybrid", tmp_path / "bundle")
    tables = [read_table(project.recordings_table(n), Recordings) for n in ("audio", "face_au")]
    listed = pl.concat(tables)
    names = {name for column in ("subject", "session", "path") for name in listed[column]}
    assert len(names) > 10
    for folder in (tmp_path / "bundle", project.model("hybrid")):
        with safe_open(folder / "model.safetensors", "numpy") as weights:
            strings = [*weights.keys(), *(weights.metadata() or {}).values()]
        strings += _strings(json.loads((folder / "card.json").read_text()))
        assert not names & set(strings)
        # A short name may be part of any word.
        long = {name for name in names if len(name) > 4}
        assert not [text for text in strings if any(name in text for name in long)]


def _tested(corpus: Corpus) -> Corpus:
    """Return a corpus whose subjects are all tested."""
    return replace(corpus, splits=exporting.everyone(corpus).with_columns(role=pl.lit("test")))


def test_a_second_export_gives_the_same_bytes(project: Project, tmp_path: Path) -> None:
    for name in ("one", "two"):
        export(project, "hybrid", tmp_path / name)
    for file in ("card.json", "model.safetensors"):
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes()


def test_a_large_bundle_is_noted(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exporting, "MOST_BYTES", 1000)
    assert "warning: the bundle is larger than 0.001 MB" in export(
        project, "hybrid", tmp_path / "bundle"
    )


def test_what_does_not_fit_is_one_line_and_writes_nothing(project: Project, tmp_path: Path) -> None:
    def refused(message: str, method: str = "hybrid", folder: Path = tmp_path / "new") -> None:
        with pytest.raises(ConsilienceError, match=message):
            export(project, method, folder)
        assert not (tmp_path / "new").exists()

    refused("already exists", folder=project.root)
    refused("no model in this folder", method="concat")
    (project.evaluation / "metrics.json").write_text("{}")
    refused("method 'hybrid' is not evaluated")
    meta = project.windows / "meta.json"
    meta.write_text(meta.read_text() + " ")
    refused("trained on other windows")

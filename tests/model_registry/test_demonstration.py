"""From simulated recordings to an accepted, a blocked and a restored model, with real trainings."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from consilience import params
from consilience.core.seeds import generator
from consilience.model_registry import registry
from consilience.model_registry.gate import compare, forced
from consilience.prediction.run import predict_recordings
from consilience.preparation import recordings_to_windows
from consilience.project import Project
from consilience.synthesis.run import synthesize
from consilience.training import fit, run
from consilience.training.augmentation import Run
from tests.model_registry.small import METRICS

METHOD = "hybrid"
BUDGET = {"epochs": 12, "refit": False}


def silent(line: str) -> None:
    """Discard a line."""


def write(project: Project, **training: Any) -> None:
    """Write the parameters of a small demonstration."""
    content = params.defaults("demo", modalities=["eeg", "audio"])
    content["modalities"] = {
        name: {**fields, "corruptions": {}} for name, fields in content["modalities"].items()
    }
    content["synthesis"] |= {
        "subjects": 6,
        "sessions": 1,
        "trial_s": 5.0,
        "missing_fraction": 0.0,
        "faulty_fraction": 0.0,
    }
    content["splits"] |= {"folds": 6, "validation_subjects": 1}
    content["training"] |= BUDGET | training
    content["methods"] = {METHOD: content["methods"][METHOD]}
    project.__dict__.pop("content", None)  # read once otherwise
    project.root.mkdir(parents=True, exist_ok=True)
    project.params_file.write_text(params.document(content))


def train_on_shuffled_labels(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """Train for one epoch on labels of other windows; the study's labels stay as they are."""
    trained = fit.fit

    def shuffled(method: str, settings: Any, training: Any, corpus: Any, *further: Any) -> Any:
        order = generator("shuffled labels").permutation(len(corpus.index))

        def labels(of: Run) -> tuple[np.ndarray, np.ndarray]:
            classes, affect = corpus.labels(of)
            usable = np.flatnonzero(np.isfinite(classes).all(1))
            classes = classes.copy()
            classes[usable] = classes[usable[np.argsort(order[usable])]]
            return classes, affect

        return trained(method, settings, training, corpus, *further, labels=labels)

    with monkeypatch.context() as patch:
        patch.setattr(run.fit, "fit", shuffled)
        write(project, epochs=1)
        run.train(project, METHOD)


@pytest.mark.slow
def test_a_worsened_model_is_blocked_and_a_rollback_restores_the_predictions(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = Project(tmp_path / "study")
    write(project, seeds=[0, 1])
    synthesize(project, "demo")
    project.annotations.mkdir(parents=True, exist_ok=True)
    recordings_to_windows(project, silent)
    run.train(project, METHOD)
    project.evaluation.mkdir()
    (project.evaluation / "metrics.json").write_text(json.dumps({METHOD: METRICS}))

    def predicted() -> pl.DataFrame:
        bundle = registry.resolve(project, "accepted")
        root = project.raw("demo")
        return predict_recordings(project, bundle, root, "demo", silent).windows

    registry.accept(project, compare(project), silent)
    folder = registry.folder_of(project, "v0001")
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    first = predicted()

    write(project, seeds=[5, 6])
    run.train(project, METHOD)
    equal = compare(project)
    assert equal.accepted, equal.reasons
    assert equal.n_people == 6

    train_on_shuffled_labels(project, monkeypatch)
    worsened = compare(project)
    assert not worsened.accepted
    assert any("accuracy with all sensors: worse" in line for line in worsened.reasons)

    registry.accept(project, forced(project, "test"), silent)
    assert not predicted().equals(first)
    registry.rollback(project)
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before
    assert predicted().equals(first)

"""Synthetic predictions of two models for the same people, and a small trained project."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
from scipy.special import softmax

from consilience import params
from consilience.core.seeds import generator
from consilience.model_registry.decision import Decision
from consilience.model_registry.predictions import OutOfFold
from consilience.project import Project
from consilience.training.run import train
from consilience.windows.conditions import SUBSET, conditions
from consilience.windows.store import Corpus
from tests.evaluation.conftest import CLASSES, build_corpus
from tests.training.conftest import write_windows

METHOD = "hybrid"
CANDIDATE = Decision(True, METHOD, "0" * 64, "v0001", ())
METRICS = {"all": 0.8, "all_low": 0.7, "all_high": 0.9, "ece": 0.1, "ece_low": 0, "ece_high": 0.2}
PER_PERSON, SEEDS = 24, 2


def corpus_of(n_people: int = 16) -> Corpus:
    roles = ["test"] * 2 + ["validation"] * 2 + ["train"] * (n_people - 4)
    return build_corpus(per_subject=PER_PERSON, roles=roles)


def predictions(corpus: Corpus, number: int, signal: float = 2.0) -> OutOfFold:
    """Return predictions of a model whose sensors show the class with this strength.

    Models of other numbers have other errors, as after trainings with other seeds. People differ
    in how well they are predicted, in the same way by all models.
    """
    tested = [condition for condition in conditions(corpus) if condition.kind == SUBSET]
    n, k = corpus.target.shape
    shared, own = generator("people and windows"), generator("model", number)
    person = np.arange(n) // PER_PERSON
    skill = shared.uniform(0.7, 1.3, person.max() + 1)[person]
    difficulty = shared.normal(0, 1.2, (len(corpus.modalities), n, k))
    logits = (
        signal * (skill[:, None] * corpus.target)
        + difficulty[:, None]
        + own.normal(0, 0.6, (len(corpus.modalities), SEEDS, n, k))
    )
    probability = []
    for condition in tested:
        chosen = np.isin(corpus.modalities, condition.modalities)
        available = chosen & corpus.available
        summed = np.einsum("mznk,nm->znk", logits, available)
        probability.append(np.where(available.any(1)[:, None], softmax(summed, -1), np.nan))
    return OutOfFold(
        classes=CLASSES,
        modalities=corpus.modalities,
        subsets=tuple(condition.modalities for condition in tested),
        probability=np.stack(probability).astype(np.float32),
        sessions=tuple({"eeg": f"{code:016x}"} for code in range(person.max() + 1)),
        session=person,
        start_s=corpus.index["start_s"].to_numpy().astype(float),
        end_s=corpus.index["end_s"].to_numpy().astype(float),
    )


def without_windows(of: OutOfFold, rows: np.ndarray) -> OutOfFold:
    """Return predictions of fewer windows."""
    return replace(
        of,
        probability=of.probability[:, :, rows],
        session=of.session[rows],
        start_s=of.start_s[rows],
        end_s=of.end_s[rows],
    )


def trained_project(root: Path) -> Project:
    """Return a project of six people with a trained model and the metrics of an evaluation."""
    write_windows(root)
    project = Project(root)
    retrain(project, 3)
    project.evaluation.mkdir()
    (project.evaluation / "metrics.json").write_text(json.dumps({METHOD: METRICS}))
    return project


def retrain(project: Project, seed: int, **training: object) -> None:
    """Train the method of a project again, with other random numbers."""
    content = params.defaults("ravdess", "recordings", ["audio", "face_au"])
    changes = {"epochs": 8, "batch_size": 16, "width": 8, "learning_rate": 1e-2}
    content["training"] = {
        **content["training"],
        **changes,
        "seeds": [seed, seed + 1],
        "baseline": "person",
        **training,
    }
    content["methods"] = {METHOD: content["methods"][METHOD]}
    content["gate"] = {**content["gate"], "resamples": 400}
    project.__dict__.pop("content", None)  # read once otherwise
    project.params_file.write_text(params.document(content))
    train(project, METHOD)

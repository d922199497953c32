"""A small model of two sensors, skin conductance and a face, for streams in tests."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.live.senders import Replayed
from consilience.core import registry
from consilience.evaluation.predict import LoadedModel, load_bundle
from consilience.schema.params.training import TrainingParams
from consilience.schema.tables import Labels, Splits, frame_of, write_table
from consilience.training.bundle import save_model
from consilience.training.fit import fit
from consilience.windows.store import load_corpus
from tests.training.cards import card_of
from tests.window_store import prepared, write_store

CLASSES = ["calm", "angry", "happy"]
LENGTH_S, HOP_S = 2.0, 1.0
GSR_HZ, FACE_HZ = 32.0, 25.0
BUDGET = TrainingParams(
    seeds=[0], epochs=1, batch_size=16, width=8, refit=False, baseline="running"
)
SUBJECTS, PER_SUBJECT = 6, 6


def params_of(sensor: str) -> Any:
    fields = {"window_s": 1.0, "hop_s": 0.25} if sensor == "gsr" else {}
    return registry.params("modalities", sensor)(**fields)


def feature_names(sensor: str) -> list[str]:
    modality = registry.get("modalities", sensor)
    names = modality.feature_names
    return list(names() if callable(names) else names)


@pytest.fixture(scope="session")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give the folder of a model that was trained on random numbers."""
    root = tmp_path_factory.mktemp("live")
    windows = root / "data" / "windows"
    windows.mkdir(parents=True)
    rng = np.random.default_rng(0)
    n = SUBJECTS * PER_SUBJECT
    inputs, features = {}, {}
    for sensor in ("gsr", "video"):
        features[sensor] = feature_names(sensor)
        rate_hz = params_of(sensor).frame_rate_hz
        shape = (n, int(np.ceil(LENGTH_S * rate_hz)), len(features[sensor]))
        clean = rng.normal(size=shape).astype(np.float32)
        inputs[sensor] = {"clean": prepared(sensor, clean)}
    np.save(windows / "availability.npy", np.ones((n, 2), bool))
    rows: list[dict[str, object]] = [
        {
            "window": f"w{i}",
            "session": f"s{i // PER_SUBJECT}",
            "subject": f"p{i // PER_SUBJECT}",
            "trial": f"t{i}",
            "start_s": float(i),
            "end_s": i + LENGTH_S,
            "class_probability": np.eye(3)[i % 3].tolist(),
            "valence": i % 3 - 1.0,
            "n_annotators": 1,
        }
        for i in range(n)
    ]
    write_table(windows / "index.parquet", frame_of(rows, Labels), Labels)
    roles = ["test", "test", "validation", "train", "train", "train"]
    splits: list[dict[str, object]] = [
        {"fold": fold, "subject": f"p{(s + 2 * fold) % SUBJECTS}", "role": role}
        for fold in range(3)
        for s, role in enumerate(roles)
    ]
    write_table(windows / "splits.parquet", frame_of(splits, Splits), Splits)
    meta = {
        "dataset": "small",
        "modalities": ["gsr", "video"],
        "classes": CLASSES,
        "features": features,
    }
    write_store(windows, load_index(windows), inputs, meta)
    corpus = load_corpus(windows)
    method = "coherence_transfer"
    settings = registry.params("methods", method)(transfer=0.0)
    fitted = fit(method, settings, BUDGET, corpus, root / "checkpoint")
    recipe = {
        "modalities": {name: params_of(name).model_dump(mode="json") for name in features},
        "alignment": {},
        "annotation": {},
        "windows": {"length_s": LENGTH_S, "hop_s": HOP_S},
    }
    card = card_of(fitted, corpus, BUDGET)
    card |= {"method": method, "params": settings.model_dump(mode="json"), "recipe": recipe}
    save_model(root / "model", fitted, card, {})
    return root / "model"


def load_index(windows: Path) -> Any:
    import polars as pl

    return pl.read_parquet(windows / "index.parquet")


@pytest.fixture(scope="session")
def model(bundle: Path) -> LoadedModel:
    return load_bundle(bundle)


def skin(duration_s: float, name: str = "Band") -> Replayed:
    """Return skin conductance in microsiemens, with a response every few seconds."""
    times_s = np.arange(round(duration_s * GSR_HZ)) / GSR_HZ
    rng = np.random.default_rng(1)
    values = 5 + 0.2 * np.sin(times_s / 3) + 0.3 * (np.sin(2 * np.pi * times_s / 5) > 0.8)
    values = np.convolve(values, np.ones(16) / 16, "same") + 0.01 * rng.normal(size=len(times_s))
    return Replayed(
        name, "GSR", GSR_HZ, values[:, None].astype(np.float32), times_s, ["GSR"], ["microsiemens"]
    )


def face(duration_s: float, name: str = "Camera") -> Replayed:
    """Return the features of a face."""
    times_s = np.arange(round(duration_s * FACE_HZ)) / FACE_HZ
    names = feature_names("video")
    values = np.random.default_rng(2).normal(size=(len(times_s), len(names)))
    return Replayed(name, "Face", FACE_HZ, values.astype(np.float32), times_s, names)

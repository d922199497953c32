"""A small folder of windows whose class is visible in each modality, and its training."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import polars as pl
import pytest
from numpy.typing import NDArray

from consilience.core import registry
from consilience.core.files import text_hash
from consilience.project import Project
from consilience.schema.params.training import TrainingParams
from consilience.schema.tables import Labels, Recordings, Splits, frame_of, write_table
from consilience.training.fit import Fitted, fit
from consilience.windows.store import load_corpus
from tests.window_store import prepared, write_store

SUBJECTS, PER_SUBJECT, FRAMES = 6, 12, 5
SENSORS = {"audio": 4, "face_au": 3}
CLASSES = ["calm", "angry", "happy"]


@pytest.fixture
def windows_folder(tmp_path: Path) -> Path:
    return write_windows(tmp_path)


def write_windows(root: Path) -> Path:
    """Write the windows and the catalog of a project."""
    folder = root / "data" / "windows"
    folder.mkdir(parents=True)
    rng = np.random.default_rng(3)
    n = SUBJECTS * PER_SUBJECT
    truth = np.arange(n) % len(CLASSES)
    available = np.ones((n, 2), bool)
    available[::7, 0] = False
    available[3::7, 1] = False
    inputs: dict[str, dict[str, NDArray[np.float32]]] = {}
    for m, (sensor, size) in enumerate(SENSORS.items()):
        frames = FRAMES if sensor == "audio" else 1
        clean = rng.normal(size=(n, frames, size)).astype(np.float32)
        clean[..., 0] += 2 * truth[:, None]
        clean[~available[:, m]] = np.nan
        inputs[sensor] = {"clean": prepared(sensor, clean)}
        for severity in range(1, 6):
            noisy = clean + severity * rng.normal(size=clean.shape).astype(np.float32)
            inputs[sensor][f"noise_{severity}"] = prepared(sensor, noisy)
    np.save(folder / "availability.npy", available)
    index = pl.DataFrame(
        {
            "window": [f"w{i}" for i in range(n)],
            "session": [f"s{i // PER_SUBJECT}" for i in range(n)],
            "subject": [f"p{i // PER_SUBJECT}" for i in range(n)],
            "trial": [f"t{i}" for i in range(n)],
            "start_s": np.arange(n, dtype=float),
            "end_s": np.arange(n, dtype=float) + 1,
            "class_probability": (0.1 / 3 + 0.9 * np.eye(3)[truth]).tolist(),
            "valence": truth - 1.0,
            "arousal": pl.Series([None] * n, dtype=pl.Float64),
            "agreement": pl.Series([None] * n, dtype=pl.Float64),
            "n_annotators": [1] * n,
        }
    )
    write_table(folder / "index.parquet", frame_of(index.rows(named=True), Labels), Labels)
    roles = ["test", "test", "validation", "train", "train", "train"]
    rows = [
        {"fold": fold, "subject": f"p{(s + 2 * fold) % SUBJECTS}", "role": role}
        for fold in range(3)
        for s, role in enumerate(roles)
    ]
    write_table(folder / "splits.parquet", pl.DataFrame(rows), Splits)
    meta = {
        "dataset": "small",
        "modalities": list(SENSORS),
        "classes": CLASSES,
        "features": {name: [f"f{i}" for i in range(size)] for name, size in SENSORS.items()},
    }
    write_store(folder, index, inputs, meta)
    for sensor in SENSORS:
        write_catalog(Project(root), sensor)
    return folder


def write_catalog(project: Project, sensor: str) -> None:
    """Write the catalog of a sensor: a recording of every subject."""
    rows: list[dict[str, object]] = [
        {
            "recording": f"s{number}-{sensor}",
            "session": f"s{number}",
            "subject": f"p{number}",
            "modality": sensor,
            "path": f"s{number}.{sensor}",
            "clock": "shared",
            "content_hash": text_hash(sensor, str(number)),
            "status": "ok",
        }
        for number in range(SUBJECTS)
    ]
    write_table(project.recordings_table(sensor), frame_of(rows, Recordings), Recordings)


@pytest.fixture
def budget() -> TrainingParams:
    return TrainingParams(
        seeds=[0, 1], epochs=8, batch_size=16, width=8, learning_rate=1e-2, refit=False
    )


@pytest.fixture
def train(windows_folder: Path, budget: TrainingParams) -> Callable[..., Fitted]:
    """Train on the folder of windows; the checkpoint stays if the training is interrupted."""

    def trained(
        method: str = "hybrid",
        training: TrainingParams = budget,
        settings: Mapping[str, Any] = MappingProxyType({}),
        **further: Any,
    ) -> Fitted:
        params = registry.params("methods", method)(**settings)
        checkpoint = windows_folder.parent / "checkpoint"
        corpus = load_corpus(windows_folder)
        fitted = fit(method, params, training, corpus, checkpoint, **further)
        shutil.rmtree(checkpoint, ignore_errors=True)  # a short training writes none
        return fitted

    return trained

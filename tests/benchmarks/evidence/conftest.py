"""A corpus for scenarios, and a folder in which tiny experiments can be run."""

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from numpy.typing import NDArray

from benchmarks.evidence import plan, runner
from consilience import params
from consilience.schema.params.windows import SplitParams
from consilience.schema.tables import Labels, Splits, frame_of, write_table
from consilience.windows.splits import split
from consilience.windows.store import Corpus
from tests.window_store import prepared, write_store

SUBJECTS, TRIALS, WINDOWS, CLASSES = 8, 40, 2, ("neutral", "happy", "sad", "angry")


@pytest.fixture
def corpus(tmp_path: Path) -> Corpus:
    """Eight people, forty trials each, two windows a trial, soft labels."""
    n = SUBJECTS * TRIALS * WINDOWS
    rng = np.random.default_rng(0)
    trial = np.arange(n) // WINDOWS
    truth = rng.integers(len(CLASSES), size=n // WINDOWS)[trial]
    target = (0.7 * np.eye(len(CLASSES))[truth] + 0.3 / len(CLASSES)).astype(np.float32)
    features = rng.normal(size=(n, 3, 2)).astype(np.float32)
    index = pl.DataFrame(
        {
            "session": [f"s{t // TRIALS}" for t in trial],
            "subject": [f"p{t // TRIALS}" for t in trial],
            "trial": [f"t{t}" for t in trial],
        }
    )
    write_store(tmp_path, index, {"audio": {"clean": prepared("audio", features)}}, {})
    return Corpus(
        folder=tmp_path,
        corrupted=tmp_path.with_name("corrupted"),
        modalities=("audio",),
        classes=CLASSES,
        dataset="small",
        features={"audio": ["a", "b"]},
        variants={"audio": ()},
        index=index,
        splits=split(index["subject"], SplitParams(folds=4, validation_subjects=1)),
        available=np.ones((n, 1), bool),
        target=target,
        affect=np.ones((n, 2), np.float32),
    )


SENSORS = {"audio": 4, "face_au": 3}


@pytest.fixture(scope="session")
def laboratory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a folder with a tiny corpus of windows, and a plan of experiments on it."""
    base = tmp_path_factory.mktemp("laboratory")
    windows = base / "small/data/windows"
    windows.mkdir(parents=True)
    rng = np.random.default_rng(3)
    n, classes = 72, ["calm", "angry", "happy"]
    truth = np.arange(n) % 3
    inputs: dict[str, dict[str, NDArray[np.float32]]] = {}
    for sensor, size in SENSORS.items():
        clean = rng.normal(size=(n, 4 if sensor == "audio" else 1, size)).astype(np.float32)
        clean[..., 0] += 2 * truth[:, None]
        inputs[sensor] = {"clean": prepared(sensor, clean)}
        for severity in range(1, 6):
            noisy = clean + severity * rng.normal(size=clean.shape).astype(np.float32)
            inputs[sensor][f"noise_{severity}"] = prepared(sensor, noisy)
    np.save(windows / "availability.npy", np.ones((n, 2), bool))
    index = frame_of(
        [
            {
                "window": f"w{i}",
                "session": f"s{i // 12}",
                "subject": f"p{i // 12}",
                "trial": f"t{i}",
                "start_s": float(i),
                "end_s": i + 1.0,
                "class_probability": np.eye(3)[truth[i]].tolist(),
                "n_annotators": 1,
            }
            for i in range(n)
        ],
        Labels,
    )
    write_table(windows / "index.parquet", index, Labels)
    folds = SplitParams(folds=2, validation_subjects=1)
    write_table(windows / "splits.parquet", split(index["subject"], folds), Splits)
    meta = {
        "dataset": "small",
        "modalities": list(SENSORS),
        "classes": classes,
        "features": {name: [f"f{i}" for i in range(size)] for name, size in SENSORS.items()},
    }
    write_store(windows, index, inputs, meta)
    content = params.defaults("ravdess", "nowhere")
    content["training"] |= {"epochs": 2, "seeds": [0], "width": 8}
    content["robustness"]["bootstrap"] = 100
    content["splits"] = folds.model_dump()
    (base / "small/params.yaml").write_text(params.document(content))
    (base / "experiments.yaml").write_text(json.dumps(PLAN))
    return base


PLAN = {
    "corpora": {"small": {"root": "nowhere"}},
    "entries": {
        "hybrid": {"method": "hybrid"},
        "coherence_transfer": {"method": "coherence_transfer"},
    },
    "experiments": {
        "ravdess_clean": {
            "corpus": "small",
            "sensors": list(SENSORS),
            "entries": ["hybrid", "coherence_transfer"],
        },
        "ravdess_symmetric_40": {
            "corpus": "small",
            "sensors": list(SENSORS),
            "grid": "short",
            "scenario": {"noise": "symmetric", "rate": 0.4},
            "entries": ["hybrid"],
        },
    },
    "cost": {"experiment": "ravdess_clean", "entries": ["hybrid"]},
}


@pytest.fixture(scope="session")
def done(laboratory: Path) -> Path:
    """Run all experiments of the laboratory once."""
    planned = plan.load(laboratory / "experiments.yaml")
    for name in PLAN["experiments"]:
        runner.run(planned, name, laboratory, laboratory / "store", laboratory / "results" / name)
    return laboratory

"""A corpus without windows on disk, except where a test writes them."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from pipeline.params import SplitParams
from pipeline.training.data import Corpus
from pipeline.training.splits import split

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
    (tmp_path / "audio").mkdir()
    np.save(tmp_path / "audio/clean.npy", features)
    index = pl.DataFrame(
        {
            "session": [f"s{t // TRIALS}" for t in trial],
            "subject": [f"p{t // TRIALS}" for t in trial],
            "trial": [f"t{t}" for t in trial],
        }
    )
    return Corpus(
        folder=tmp_path,
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

"""Synthetic model inputs of any number of windows, for benchmarks of the training."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from consilience.core.scratch import release
from consilience.core.seeds import generator
from consilience.schema.constants import CLEAN
from consilience.windows.store import Corpus

FEATURES = {"eeg": 855, "audio": 630, "video": 540}  # numbers of the demonstration's model inputs
SENSORS = (*FEATURES, "ecg", "gsr", "ppg", "face_au", "upper_face_au")
CLASSES = ("LVLA", "LVHA", "HVLA", "HVHA")
PER_SUBJECT = 500  # windows
BLOCK = 10_000  # windows drawn at a time


@dataclass(frozen=True, eq=False)
class SyntheticCorpus(Corpus):
    """A corpus whose model inputs are drawn, and kept in memory or in files."""

    inputs: dict[str, NDArray[np.float32]] = field(default_factory=dict)

    def windows(self, modality: str, variant: str = CLEAN) -> NDArray[np.float32]:
        """Return the inputs of a modality; a variant has the same ones."""
        return self.inputs[modality]


def synthetic_corpus(
    n_windows: int,
    folds: int = 4,
    modalities: int = 3,
    classes: Sequence[str] = CLASSES,
    folder: Path | None = None,
) -> SyntheticCorpus:
    """Draw a corpus in which one number of each modality depends on the class.

    Parameters
    ----------
    n_windows : int
    folds : int
        Subjects of the first fold are tested, of the second validated, the others trained on.
    modalities : int
        Up to eight, with the sizes of the demonstration's in turn.
    classes : sequence of str
    folder : Path, optional
        Where the inputs are memory-mapped; by default, they are in memory.
    """
    rng = generator("benchmark", "windows", n_windows)
    truth = rng.integers(len(classes), size=n_windows)
    subject = np.minimum(np.arange(n_windows) * 4 * folds // n_windows, 4 * folds - 1)
    names = [f"s{number:03d}" for number in subject]
    sizes = list(FEATURES.values())
    inputs = {
        name: _draw(rng, truth, sizes[place % len(sizes)], folder and folder / f"{name}.npy")
        for place, name in enumerate(SENSORS[:modalities])
    }
    splits = [
        {"fold": fold, "subject": f"s{number:03d}", "role": role}
        for fold in range(folds)
        for number in range(4 * folds)
        for role in [_role((number - fold) % folds)]
    ]
    target = np.eye(len(classes), dtype=np.float32)[truth]
    nothing = Path("nowhere")
    return SyntheticCorpus(
        folder=nothing,
        corrupted=nothing,
        modalities=tuple(inputs),
        classes=tuple(classes),
        dataset="benchmark",
        features={name: ["number"] * values.shape[1] for name, values in inputs.items()},
        variants=dict.fromkeys(inputs, ()),
        index=pl.DataFrame({"session": names, "subject": names, "n_annotators": 1}),
        splits=pl.DataFrame(splits),
        available=np.ones((n_windows, len(inputs)), bool),
        target=target,
        affect=rng.uniform(-1, 1, (n_windows, 2)).astype(np.float32),
        inputs=inputs,
    )


def _role(distance: int) -> str:
    return ("test", "validation")[distance] if distance < 2 else "train"


def _draw(
    rng: np.random.Generator, truth: NDArray[np.int64], size: int, path: Path | None
) -> NDArray[np.float32]:
    shape = (len(truth), size)
    values = (
        np.empty(shape, np.float32)
        if path is None
        else np.lib.format.open_memmap(path, "w+", np.float32, shape)
    )
    for start in range(0, len(truth), BLOCK):
        rows = slice(start, start + BLOCK)
        values[rows] = rng.standard_normal((len(truth[rows]), size), np.float32)
        values[rows, 0] += truth[rows]
        release(values)  # as inputs that a stage has written
    return np.asarray(values)

"""What models are asked to endure: missing, corrupted, desynchronised and conflicting sensors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from consilience.model.stack import Stack
from consilience.model.types import Prediction
from consilience.training.augmentation import Run
from consilience.training.conditioned import Prepared, portions
from consilience.training.data import Scaler
from consilience.windows.conditions import Condition
from consilience.windows.store import Corpus


@dataclass(frozen=True)
class Predictions:
    """What the runs of a model say of windows under one condition.

    Each array of float32 has shape (R, N, ...); windows that a run was not asked, or that the
    condition does not apply to, stay NaN. Valence and arousal are in the labels' own units.
    """

    logits: NDArray[np.float32]
    affect_mean: NDArray[np.float32]
    affect_std: NDArray[np.float32]
    vacuity: NDArray[np.float32]
    reliability: NDArray[np.float32]
    coherence: NDArray[np.float32]


def predict(
    stack: Stack,
    scaler: Scaler,
    runs: Sequence[Run],
    corpus: Corpus,
    prepared: Prepared,
    condition: Condition,
    roles: Sequence[str] = ("test",),
) -> Predictions:
    """Read the windows of each run's subjects in some roles under a condition; see `portions`."""
    shape = (len(runs), len(corpus.index))
    arrays: dict[str, NDArray[np.float32]] = {}
    for portion in portions(scaler, runs, corpus, prepared, condition, roles):
        with torch.no_grad():
            reading = stack("predict", (portion.inputs, portion.available))
        counted = portion.counted.numpy()
        where = (np.nonzero(counted)[0], portion.rows.numpy()[counted])
        for name, values in _in_units(reading, scaler).items():
            array = arrays.setdefault(
                name, np.full(shape + values.shape[2:], np.nan, dtype=np.float32)
            )
            array[where] = values.float().numpy()[counted]
    return Predictions(**arrays)


def _in_units(reading: Prediction, scaler: Scaler) -> dict[str, Tensor]:
    return {
        "logits": reading.logits,
        "affect_mean": reading.affect_mean * scaler.affect_std + scaler.affect_mean,
        "affect_std": torch.exp(reading.affect_log_variance / 2) * scaler.affect_std,
        "vacuity": reading.vacuity,
        "reliability": reading.reliability,
        "coherence": reading.coherence,
    }

"""What models are asked to endure: every subset of the modalities, and noise in each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pipeline.methods.base import Reading
from pipeline.modalities.base import SEVERITIES
from pipeline.model.stack import Stack
from pipeline.training.augmentation import Run
from pipeline.training.data import CLEAN, Corpus, Scaler

CHUNK = 256  # windows a run reads at a time, to bound memory


class Condition(NamedTuple):
    """One way of testing.

    Attributes
    ----------
    kind : str
        ``"subset"``: only `modalities` are there; ``"noise"``: all are, `modalities` noisy.
    modalities : tuple of str
    severity : int
        1 to 5 for noise, 0 for subsets.
    """

    kind: str
    modalities: tuple[str, ...]
    severity: int = 0

    def kept(self, modalities: Sequence[str]) -> NDArray[np.bool_]:
        """Return which modalities are there, shape (M,)."""
        return np.array([self.kind == "noise" or name in self.modalities for name in modalities])

    def variant(self, modality: str) -> str:
        """Return which variant of a modality's windows is read."""
        noisy = self.kind == "noise" and modality in self.modalities
        return f"noise_{self.severity}" if noisy else CLEAN


def conditions(modalities: Sequence[str]) -> list[Condition]:
    """Return all ``2^M - 1`` subsets, the full one first, then five severities per modality."""
    subsets = [
        Condition("subset", chosen)
        for size in range(len(modalities), 0, -1)
        for chosen in combinations(modalities, size)
    ]
    noisy = [Condition("noise", (name,), level) for name in modalities for level in SEVERITIES]
    return subsets + noisy


@dataclass(frozen=True)
class Readings:
    """What the runs of a model say of their validation and test windows under one condition.

    Each array has shape (R, N, ...); windows of a run's training subjects stay NaN.
    Valence and arousal are in the labels' own units.
    """

    logits: NDArray[np.float64]
    affect_mean: NDArray[np.float64]
    affect_std: NDArray[np.float64]
    vacuity: NDArray[np.float64]
    reliability: NDArray[np.float64]
    coherence: NDArray[np.float64]


def read(
    stack: Stack,
    scaler: Scaler,
    runs: Sequence[Run],
    corpus: Corpus,
    prepared: Mapping[str, Mapping[str, Tensor]],
    condition: Condition,
) -> Readings:
    """Read every run's validation and test windows under a condition.

    Parameters
    ----------
    prepared : mapping of str to (mapping of str to Tensor)
        Prepared windows by modality and variant.
    """
    inputs = {name: prepared[name][condition.variant(name)] for name in corpus.modalities}
    present = torch.from_numpy(corpus.available & condition.kept(corpus.modalities)).float()
    rows = [corpus.members(run.fold, "validation", "test") for run in runs]
    shape = (len(runs), len(corpus.index))
    arrays: dict[str, NDArray[np.float64]] = {}
    for index in _chunks(rows):
        available = present[index]
        with torch.no_grad():
            reading = stack("read", (scaler.inputs(inputs, index, available), available))
        for name, values in _in_units(reading, scaler).items():
            array = arrays.setdefault(name, np.full(shape + values.shape[2:], np.nan))
            array[np.arange(len(runs))[:, None], index.numpy()] = values.double().numpy()
    return Readings(**arrays)


def _chunks(rows: Sequence[NDArray[np.int64]]) -> Iterator[Tensor]:
    size = max(map(len, rows))
    index = torch.from_numpy(np.stack([np.resize(own, size) for own in rows]))
    yield from index.split(CHUNK, dim=1)


def _in_units(reading: Reading, scaler: Scaler) -> dict[str, Tensor]:
    return {
        "logits": reading.logits,
        "affect_mean": reading.affect_mean * scaler.affect_std + scaler.affect_mean,
        "affect_std": torch.exp(reading.affect_log_variance / 2) * scaler.affect_std,
        "vacuity": reading.vacuity,
        "reliability": reading.reliability,
        "coherence": reading.coherence,
    }

"""Windows of each run as a test condition presents them, in batches."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from consilience.core.seeds import generator
from consilience.schema.constants import CLEAN
from consilience.training.augmentation import Run
from consilience.training.baseline import References
from consilience.training.data import Scaler
from consilience.windows.conditions import EVERYTHING, Condition, apply_condition, variants_of
from consilience.windows.store import Corpus

CHUNK = 256  # windows of a run per batch, to bound memory

Prepared = Mapping[str, Mapping[str, Tensor]]


def load_windows(corpus: Corpus, conditions: Sequence[Condition]) -> dict[str, dict[str, Tensor]]:
    """Read the model inputs of every variant that some conditions use, and the clean ones.

    Returns
    -------
    dict of str to (dict of str to Tensor, shape (N, ...))
        By modality and variant.
    """
    used: dict[str, set[str]] = {name: {CLEAN} for name in corpus.modalities}
    for condition in conditions:
        for name in condition.modalities:
            used[name].update(variants_of(condition, corpus, name))
    return {
        name: {variant: torch.from_numpy(corpus.windows(name, variant)) for variant in sorted(of)}
        for name, of in used.items()
    }


def _variant_windows(
    condition: Condition, corpus: Corpus, prepared: Prepared, modality: str
) -> Tensor:
    """Return a modality's windows (N, ...), each in a variant that the condition uses."""
    first, *others = variants_of(condition, corpus, modality)
    values = prepared[modality][first]
    if others:
        values = values.clone()
        # The draw depends on the modality alone, so that all methods get the same corruptions.
        drawn = generator(EVERYTHING, modality).integers(len(others) + 1, size=len(values))
        for number, variant in enumerate(others, start=1):
            chosen = torch.from_numpy(drawn == number)
            values[chosen] = prepared[modality][variant][chosen]
    return values


class ConditionedBatch(NamedTuple):
    """Model inputs of some windows of every run under a condition.

    Attributes
    ----------
    rows : Tensor of int64, shape (R, B)
        Positions of the windows in the corpus.
    inputs : dict of str to Tensor, shape (R, B, ...)
        Standardised, 0 where not available.
    available : Tensor of float, shape (R, B, M)
    counted : Tensor of bool, shape (R, B)
        False for padding of runs with fewer windows, for windows to which the condition does not
        apply, and for windows it leaves without any modality.
    """

    rows: Tensor
    inputs: dict[str, Tensor]
    available: Tensor
    counted: Tensor


def conditioned_batches(
    scaler: Scaler,
    runs: Sequence[Run],
    corpus: Corpus,
    prepared: Prepared,
    baselines: Mapping[str, References],
    condition: Condition,
    roles: Sequence[str],
    size: int = CHUNK,
) -> Iterator[ConditionedBatch]:
    """Yield batches of each run's windows under a condition.

    Parameters
    ----------
    prepared : mapping of str to (mapping of str to Tensor)
        What `load_windows` returned.
    baselines : mapping of str to References
        What `baseline.references` returned. Corrupted and mismatched windows are taken relative to
        the clean references of the person who wears the sensor.
    condition : Condition
    roles : sequence of str
        ``"validation"``, ``"test"`` or both; training subjects have no mismatches.
    size : int
        Windows of a run per batch.
    """
    windows = {
        name: _variant_windows(condition, corpus, prepared, name) for name in corpus.modalities
    }
    applied = {run.fold: apply_condition(condition, corpus, run.fold) for run in runs}
    members = [corpus.members(run.fold, *roles) for run in runs]
    longest = max(map(len, members))
    # Runs are stacked, so the shorter ones repeat their windows up to the longest one's length.
    rows = np.stack([np.resize(of_run, longest) for of_run in members])
    filled = np.arange(longest) < np.array([[len(of_run)] for of_run in members])
    available = np.stack(
        [applied[run.fold].available[of_run] for run, of_run in zip(runs, rows, strict=True)]
    )
    sources = {
        name: np.stack(
            [
                applied[run.fold].sources.get(name, np.arange(len(corpus.index)))[of_run]
                for run, of_run in zip(runs, rows, strict=True)
            ]
        )
        for name in corpus.modalities
    }
    for start in range(0, longest, size):
        batch = slice(start, start + size)
        in_batch = torch.from_numpy(available[:, batch]).float()
        inputs = {
            name: scaler.inputs(
                {name: values},
                torch.from_numpy(sources[name][:, batch]),
                in_batch[..., [m]],
                baselines,
                torch.from_numpy(rows[:, batch]),
            )[name]
            for m, (name, values) in enumerate(windows.items())
        }
        counted = torch.from_numpy(filled[:, batch] & available[:, batch].any(-1))
        yield ConditionedBatch(torch.from_numpy(rows[:, batch]), inputs, in_batch, counted)

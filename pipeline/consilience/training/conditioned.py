"""Windows of each run as a test condition presents them, in batches."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from consilience.core.seeds import generator
from consilience.core.workers import parallel_map
from consilience.encoders.base import Encoder
from consilience.schema.tables import CLEAN
from consilience.training.augmentation import Run
from consilience.training.data import Scaler, prepare
from consilience.windows.conditions import EVERYTHING, Condition, show, variants_of
from consilience.windows.store import Corpus

CHUNK = 256  # windows a run reads at a time, to bound memory


Prepared = Mapping[str, Mapping[str, Tensor]]


def prepare_windows(
    corpus: Corpus, encoders: Mapping[str, Encoder], asked: Sequence[Condition]
) -> dict[str, dict[str, Tensor]]:
    """Run the encoders' fixed step over every variant that conditions ask for.

    Returns
    -------
    dict of str to (dict of str to Tensor, shape (N, ...))
        Prepared windows by modality and variant.
    """
    wanted = sorted(
        {(name, CLEAN) for name in corpus.modalities}
        | {
            (name, variant)
            for condition in asked
            for name in condition.modalities
            for variant in variants_of(condition, corpus, name)
        }
    )
    work = partial(_prepare, corpus, encoders)
    windows = parallel_map(work, wanted, "prepare windows")
    prepared: dict[str, dict[str, Tensor]] = {name: {} for name in corpus.modalities}
    for (name, variant), values in zip(wanted, windows, strict=True):
        prepared[name][variant] = values
    return prepared


def _prepare(corpus: Corpus, encoders: Mapping[str, Encoder], wanted: tuple[str, str]) -> Tensor:
    torch.set_num_threads(1)  # as in a worker process: the last bits must not depend on workers
    return prepare(corpus, encoders, *wanted)


def _source(condition: Condition, corpus: Corpus, prepared: Prepared, modality: str) -> Tensor:
    first, *more = variants_of(condition, corpus, modality)
    values = prepared[modality][first]
    if more:
        values = values.clone()
        drawn = generator(EVERYTHING, modality).integers(len(more) + 1, size=len(values))
        for number, variant in enumerate(more, start=1):
            chosen = torch.from_numpy(drawn == number)
            values[chosen] = prepared[modality][variant][chosen]
    return values


class Portion(NamedTuple):
    """Some windows of every run, ready to be read.

    Attributes
    ----------
    rows : Tensor of int64, shape (R, B)
        Which windows they are.
    inputs : dict of str to Tensor, shape (R, B, ...)
        Standardised, 0 where not available.
    available : Tensor of float, shape (R, B, M)
    counted : Tensor of bool, shape (R, B)
        False for windows that only fill up a run with fewer, and for those the condition does
        not apply to or leaves nothing of.
    """

    rows: Tensor
    inputs: dict[str, Tensor]
    available: Tensor
    counted: Tensor


def portions(
    scaler: Scaler,
    runs: Sequence[Run],
    corpus: Corpus,
    prepared: Prepared,
    condition: Condition,
    roles: Sequence[str],
    size: int = CHUNK,
) -> Iterator[Portion]:
    """Yield the windows of each run's subjects in some roles as a condition shows them.

    Parameters
    ----------
    prepared : mapping of str to (mapping of str to Tensor)
        What `prepare_windows` returned.
    roles : sequence of str
        ``"validation"``, ``"test"`` or both; training subjects have no conflicts.
    size : int
        Windows of a run at a time.
    """
    sources = {name: _source(condition, corpus, prepared, name) for name in corpus.modalities}
    shown = {fold: show(condition, corpus, fold) for fold in {run.fold for run in runs}}
    own = [corpus.members(run.fold, *roles) for run in runs]
    longest = max(map(len, own))
    rows = np.stack([np.resize(part, longest) for part in own])
    filled = np.arange(longest) < np.array([[len(part)] for part in own])
    left = np.stack([shown[run.fold].available[part] for run, part in zip(runs, rows, strict=True)])
    places = {
        name: np.stack(
            [
                shown[run.fold].rows[name][part] if name in shown[run.fold].rows else part
                for run, part in zip(runs, rows, strict=True)
            ]
        )
        for name in corpus.modalities
    }
    for start in range(0, longest, size):
        part = slice(start, start + size)
        available = torch.from_numpy(left[:, part]).float()
        inputs = {
            name: scaler.inputs(
                {name: source}, torch.from_numpy(places[name][:, part]), available[..., [position]]
            )[name]
            for position, (name, source) in enumerate(sources.items())
        }
        counted = torch.from_numpy(filled[:, part] & left[:, part].any(-1))
        yield Portion(torch.from_numpy(rows[:, part]), inputs, available, counted)

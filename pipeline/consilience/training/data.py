"""Model inputs: computed once per dataset, then standardised per run."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from consilience.schema.params.training import TrainingParams
from consilience.signals.robust import MAD_TO_SD
from consilience.training.baseline import (
    Centred,
    Population,
    References,
    fit_population,
    subtract_baseline,
)
from consilience.windows.store import Corpus

Rows = Tensor | Centred  # windows of a modality, read at positions
LEAST_STD = 1e-6  # relative to the mean; below it, a feature is constant
ROUNDING = 1e-5  # relative error of a sum of windows in single precision, with a margin
BLOCK = 4096  # windows in memory at a time


@dataclass(frozen=True)
class Scaler:
    """Standardisation of each run, from that run's training windows alone.

    Attributes
    ----------
    mean, std : dict of str to Tensor, shape (R, 1, ...)
        Of the prepared windows of each modality.
    affect_mean, affect_std : Tensor, shape (R, 1, 2)
    clip : Tensor, shape ()
        Largest standardised value, which limits the influence of a broken recording.
    populations : dict of str to Population
        Prior of the persons' baselines, by modality; empty without a baseline.
    """

    mean: dict[str, Tensor]
    std: dict[str, Tensor]
    affect_mean: Tensor
    affect_std: Tensor
    clip: Tensor = field(default_factory=lambda: torch.tensor(5.0))
    populations: dict[str, Population] = field(default_factory=dict)

    def inputs(
        self,
        prepared: Mapping[str, Tensor],
        index: Tensor,
        available: Tensor,
        references: Mapping[str, References],
        wearer: Tensor | None = None,
    ) -> Any:
        """Return standardised windows (R, B, ...) per modality, 0 where not available.

        Parameters
        ----------
        prepared : mapping of str to Tensor, shape (N, ...)
        index : Tensor of int64, shape (R, B)
        available : Tensor, shape (R, B, M)
        references : mapping of str to References
            What `baseline.references` returned.
        wearer : Tensor of int64, shape (R, B), optional
            The windows whose baselines count; by default, `index`.
        """
        result = {}
        for position, (name, values) in enumerate(prepared.items()):
            scaled = values[index]  # a copy, computed with in place: memory is what this costs
            if name in self.populations:
                scaled = subtract_baseline(
                    scaled,
                    references[name],
                    self.populations[name],
                    index if wearer is None else wearer,
                )
            scaled.sub_(self.mean[name]).mul_(self.std[name].reciprocal())
            scaled.clamp_(-self.clip, self.clip)
            shape = index.shape + (1,) * (scaled.ndim - 2)
            result[name] = scaled.mul_((available[..., position] > 0).reshape(shape))
        return result

    def of_runs(self, runs: Tensor) -> Scaler:
        """Return the standardisation of some runs, by their positions (R',)."""
        if len(runs) == len(self.affect_mean):
            return self
        return Scaler(
            {name: values[runs] for name, values in self.mean.items()},
            {name: values[runs] for name, values in self.std.items()},
            self.affect_mean[runs],
            self.affect_std[runs],
            self.clip,
            {name: population.of_runs(runs) for name, population in self.populations.items()},
        )

    def centred(
        self, run: int, prepared: Mapping[str, Tensor], references: Mapping[str, References]
    ) -> dict[str, Rows]:
        """Return the windows of each modality less the baselines of a run, not standardised."""
        runs = torch.tensor([run])
        return {
            name: Centred(values, references[name], self.populations[name].of_runs(runs))
            if name in self.populations
            else values
            for name, values in prepared.items()
        }

    def affect(self, values: Tensor) -> Tensor:
        """Return valence and arousal (R, B, 2) in standardised units."""
        return (values - self.affect_mean) / self.affect_std

    def tensors(self) -> dict[str, Tensor]:
        """Return all fields as named tensors, for a file."""
        named = {f"mean/{name}": value for name, value in self.mean.items()}
        named |= {f"std/{name}": value for name, value in self.std.items()}
        for name, population in self.populations.items():
            named |= {
                f"{field_name}/{name}": value for field_name, value in population._asdict().items()
            }
        affect = {"affect_mean": self.affect_mean, "affect_std": self.affect_std}
        return {**named, **affect, "clip": self.clip}

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, Tensor], modalities: Sequence[str]) -> Scaler:
        """Invert `tensors`."""
        return cls(
            {name: tensors[f"mean/{name}"] for name in modalities},
            {name: tensors[f"std/{name}"] for name in modalities},
            tensors["affect_mean"],
            tensors["affect_std"],
            # The same number for all runs; several processes gather one of each run.
            tensors["clip"].flatten()[0],
            {
                name: Population(*(tensors[f"{of}/{name}"] for of in Population._fields))
                for name in modalities
                if f"{Population._fields[0]}/{name}" in tensors
            },
        )


def fit_scaler(
    corpus: Corpus,
    prepared: Mapping[str, Tensor],
    members: Sequence[NDArray[np.int64]],
    affect: NDArray[np.float32],
    references: Mapping[str, References],
    training: TrainingParams | None = None,
) -> Scaler:
    """Compute centre and scale over each run's training windows, less baselines.

    They are mean and standard deviation, or median and median absolute deviation. With a time axis,
    the last one, also over time.

    Parameters
    ----------
    corpus : Corpus
    prepared : mapping of str to Tensor, shape (N, ...)
    members : sequence of ndarray, length R
        Positions of each run's training windows.
    affect : ndarray, shape (R, N, 2)
        Valence and arousal of each run's labels.
    references : mapping of str to References
        What `baseline.references` returned.
    training : TrainingParams, optional
        Which scale, and the largest input; by default, those of the parameters.

    Returns
    -------
    Scaler
    """
    training = training or TrainingParams()
    scale = _robust_moments if training.scale == "robust" else _moments
    mean: dict[str, Tensor] = {}
    std: dict[str, Tensor] = {}
    populations: dict[str, Population] = {}
    subject = corpus.index["subject"].to_numpy()
    for position, (name, values) in enumerate(prepared.items()):
        # Only windows that have the modality: the zeros of the others would bias the mean.
        of_runs = [rows[corpus.available[rows, position]] for rows in members]
        # Runs of one fold have the same windows.
        fitted: dict[bytes, tuple[Tensor, Tensor, Population | None]] = {}
        for rows in of_runs:
            if rows.tobytes() not in fitted:
                windows: Rows = values
                population = None
                if name in references:
                    population = _population(values, rows, subject, references[name])
                    windows = Centred(values, references[name], population)
                centre, spread = scale(windows, rows)
                if population is not None:
                    spread = _above_rounding(spread, _moments(values, rows)[0])
                fitted[rows.tobytes()] = (centre, spread, population)
        statistics = [fitted[rows.tobytes()] for rows in of_runs]
        mean[name] = torch.stack([of_run[0] for of_run in statistics])[:, None]
        std[name] = torch.stack([of_run[1] for of_run in statistics])[:, None]
        priors = [of_run[2] for of_run in statistics if of_run[2] is not None]
        if priors:
            populations[name] = Population(*map(torch.cat, zip(*priors, strict=True)))
    scales = [
        _moments(torch.from_numpy(of_run), rows)
        for of_run, rows in zip(affect, members, strict=True)
    ]
    return Scaler(
        mean,
        std,
        torch.stack([m for m, _ in scales])[:, None],
        torch.stack([s for _, s in scales])[:, None],
        torch.tensor(training.clip),
        populations,
    )


def _robust_moments(values: Rows, rows: NDArray[np.int64]) -> tuple[Tensor, Tensor]:
    """Return median and median absolute deviation, in the units of a standard deviation.

    Of at most `BLOCK` windows, evenly chosen. The deviation of a feature that mostly has one value
    is its standard deviation.

    Parameters
    ----------
    values, rows
        As in `_moments`.

    Returns
    -------
    mean, std : Tensor of float32, shape (n_numbers,) or (n_numbers, 1)
    """
    _, std = _moments(values, rows)
    if not len(rows):
        return torch.zeros_like(std), std
    block = values[rows[:: -(-len(rows) // BLOCK)]].double()
    flat = block.transpose(0, 1).flatten(1)
    median = flat.nanmedian(1, keepdim=True).values
    spread = MAD_TO_SD * (flat - median).abs().nanmedian(1).values.reshape(std.shape).float()
    return median.reshape(std.shape).float(), torch.where(spread > 0, spread, std)


def _above_rounding(std: Tensor, level: Tensor) -> Tensor:
    """Return deviations of centred features; 1 for one that rounding alone can explain.

    A feature that is constant at a high level differs from its baseline by rounding errors. They
    depend on the number of reference windows, and would reveal a window's place in a recording.
    """
    return torch.where(std > ROUNDING * level.abs(), std, 1.0)


def _population(
    values: Tensor, rows: NDArray[np.int64], subject: NDArray[np.generic], references: References
) -> Population:
    """Return the prior of a run's baselines, from the reference windows of its training persons.

    A rest varies less than all windows of a person, and has another mean: its own variance is that
    of the estimate. With one reference window per person it is unknown; all windows are used.
    """
    chosen = references.windows.numpy() & np.isin(subject, np.unique(subject[rows]))
    n_persons = len(np.unique(subject[chosen]))
    enough = chosen.sum() >= 2 * n_persons
    return fit_population(values, np.flatnonzero(chosen) if enough else rows, subject)


def _moments(values: Rows, rows: NDArray[np.int64]) -> tuple[Tensor, Tensor]:
    """Return mean and standard deviation of every feature, without NaN; 1 for a deviation of 0.

    Without a window the mean is 0.

    Parameters
    ----------
    values : Tensor or Centred, shape (N, n_numbers) or (N, n_numbers, n_times)
    rows : ndarray of int
        Positions of the windows to count; read in blocks, twice.

    Returns
    -------
    mean, std : Tensor of float32, shape (n_numbers,) or (n_numbers, 1)
    """
    over = (0, *range(2, values.ndim))
    shape = (values.shape[1], *[1] * (values.ndim - 2))

    def total(term: Callable[[Tensor], Tensor]) -> Tensor:
        """Return the sum of a term of the finite values, in double precision."""
        sums = torch.zeros(shape, dtype=torch.float64)
        for start in range(0, len(rows), BLOCK):
            block = values[rows[start : start + BLOCK]].double()
            counted = torch.where(block.isfinite(), term(block), 0.0)
            sums = sums + counted.sum(over, keepdim=True)[0]
        return sums

    n = total(torch.ones_like).clamp(min=1)
    mean = total(lambda block: block) / n
    std = (total(lambda block: (block - mean).square()) / n).sqrt()
    # Relative to the mean, because a feature may be in any unit.
    return mean.float(), torch.where(std > LEAST_STD * mean.abs(), std, 1.0).float()

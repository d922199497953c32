"""Random corruptions of training windows, the same for every method: seeded by names alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from consilience.core.seeds import generator
from consilience.training.data import mask


class Run(NamedTuple):
    """One of the models trained side by side."""

    fold: int
    seed: int


class Augmentation:
    """Order of the windows and corruptions of one epoch, each run with a generator of its own.

    Parameters
    ----------
    runs : sequence of Run
    epoch : int
    modality_dropout : float
        Probability of hiding a modality; one that was recorded is always left.
    noise : float
        Largest standard deviation of the added Gaussian noise, in standardised units; each
        window draws its own between 0 and it, for half of the modalities.
    feature_dropout : float
        Probability of setting a number to its mean.
    """

    def __init__(
        self,
        runs: Sequence[Run],
        epoch: int,
        modality_dropout: float,
        noise: float,
        feature_dropout: float,
    ) -> None:
        self.modality_dropout, self.noise, self.feature_dropout = (
            modality_dropout,
            noise,
            feature_dropout,
        )
        self._generators = [generator("augmentation", *run, epoch) for run in runs]

    def order(self, members: Sequence[np.ndarray], n_windows: int) -> Tensor:
        """Return positions (R, n_windows): each run's own windows, shuffled, repeated to fill."""
        orders = [
            np.resize(rng.permutation(rows), n_windows)
            for rng, rows in zip(self._generators, members, strict=True)
        ]
        return torch.from_numpy(np.stack(orders))

    def available(self, present: Tensor) -> Tensor:
        """Hide modalities at random: present (R, B, M) to available (R, B, M)."""
        draws = self._uniform(present.shape[1:]).to(present.device)
        kept = present * (draws >= self.modality_dropout)
        last = torch.nn.functional.one_hot((draws * present).argmax(-1), present.shape[-1])
        return torch.where(kept.sum(-1, keepdim=True) > 0, kept, last * present)

    def corrupt(self, windows: Tensor, available: Tensor) -> Tensor:
        """Add noise to standardised windows (R, B, ...), drop numbers, hide what is dropped.

        Of windows with a time axis, the last, a number is dropped at all times.
        """
        level = (self._uniform(windows.shape[1:2]) * 2 - 1).clamp(min=0) * self.noise
        level = level.reshape(level.shape + (1,) * (windows.ndim - 2)).to(windows.device)
        shape = windows.shape[1:]
        noise = np.stack([g.standard_normal(shape, np.float32) for g in self._generators])
        kept = shape[:2] + (1,) * len(shape[2:])
        keep = self._uniform(kept) >= self.feature_dropout
        noisy = windows + level * torch.from_numpy(noise).to(windows.device)
        return mask(noisy * keep.to(windows.device), available)

    def _uniform(self, shape: Sequence[int]) -> Tensor:
        draws = [rng.random(tuple(shape), np.float32) for rng in self._generators]
        return torch.from_numpy(np.stack(draws))

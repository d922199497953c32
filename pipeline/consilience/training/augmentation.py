"""Random corruption of training windows, the same for every method.

The draws depend on fold, seed and epoch alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from consilience.core.seeds import generator
from consilience.training.data import mask


class Run(NamedTuple):
    """Fold and seed of one of the models that are trained side by side."""

    fold: int
    seed: int


class Augmentation:
    """Order of the windows and their corruption in one epoch, with one random generator per run.

    Parameters
    ----------
    runs : sequence of Run
    epoch : int
    modality_dropout : float
        Probability of hiding a modality; one recorded modality is always kept.
    noise : float
        Largest standard deviation of the added Gaussian noise, in standardised units.
        The level of each window is uniform in 0 ... `noise` for half of the windows, else 0.
    feature_dropout : float
        Probability of setting a feature to its mean, 0.
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
        """Return the shuffled positions of each run's windows, repeated up to a length.

        Parameters
        ----------
        members : sequence of ndarray of int
            Positions of each run's training windows.
        n_windows : int

        Returns
        -------
        Tensor of int64, shape (R, n_windows)
        """
        orders = [
            np.resize(rng.permutation(rows), n_windows)
            for rng, rows in zip(self._generators, members, strict=True)
        ]
        return torch.from_numpy(np.stack(orders))

    def available(self, present: Tensor) -> Tensor:
        """Hide modalities at random.

        Parameters
        ----------
        present : Tensor, shape (R, B, M)

        Returns
        -------
        Tensor, shape (R, B, M)
            1 where a modality was recorded and not hidden.
        """
        draws = self._uniform(present.shape[1:]).to(present.device)
        kept = present * (draws >= self.modality_dropout)
        # If all are hidden, the recorded one with the largest draw is kept.
        last = torch.nn.functional.one_hot((draws * present).argmax(-1), present.shape[-1])
        return torch.where(kept.sum(-1, keepdim=True) > 0, kept, last * present)

    def corrupt(self, windows: Tensor, available: Tensor) -> Tensor:
        """Add noise to standardised windows, drop features, and set hidden modalities to 0.

        Parameters
        ----------
        windows : Tensor, shape (R, B, ...)
            With a time axis, the last one, a feature is dropped at all times.
        available : Tensor, shape (R, B)
        """
        # 2 u - 1 is negative, hence clamped to no noise, for half of the windows.
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

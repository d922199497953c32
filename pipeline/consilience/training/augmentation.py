"""Random corruption of training windows, the same for every method.

The draws depend on fold, seed and epoch alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from consilience.core.seeds import generator
from consilience.model import draws


class Run(NamedTuple):
    """Fold and seed of one of the models that are trained side by side."""

    fold: int
    seed: int


def balanced(rows: NDArray[np.int64], target: NDArray[np.float32]) -> NDArray[np.int64]:
    """Repeat positions until all classes are as frequent as the most frequent one.

    Parameters
    ----------
    rows : ndarray of int
        Positions of training windows.
    target : ndarray, shape (N, K)
        Class probabilities; a NaN row without a label, whose window is not repeated.
    """
    labelled = np.isfinite(target[rows]).all(axis=1)
    likeliest = target[rows[labelled]].argmax(axis=1)
    of_classes = [rows[labelled][likeliest == k] for k in np.unique(likeliest)]
    most = max(map(len, of_classes), default=0)
    return np.concatenate([rows[~labelled], *(np.resize(members, most) for members in of_classes)])


class Augmentation:
    """Order of the windows and their corruption in one epoch, with one random generator per run.

    Parameters
    ----------
    runs : sequence of Run
    epoch : int
    modality_dropout : float
        Probability of hiding a modality; one recorded modality is always kept.
    noise : float
        Largest standard deviation of the added Gaussian noise, in standardised units. Half of the
        windows of a batch get noise; the level of each is uniform in 0 ... `noise`.
    feature_dropout : float
        Probability of setting a feature to its mean, 0; in steps of 1/256.
    device : torch.device or str
        Where the numbers are drawn.
    """

    def __init__(
        self,
        runs: Sequence[Run],
        epoch: int,
        modality_dropout: float,
        noise: float,
        feature_dropout: float,
        device: torch.device | str = "cpu",
    ) -> None:
        self.modality_dropout, self.noise, self.feature_dropout = (
            modality_dropout,
            noise,
            feature_dropout,
        )
        self._names = [(*run, epoch) for run in runs]
        self._generators = draws.generators("augmentation", self._names, device)

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
            On the CPU.
        """
        orders = [
            np.resize(generator("order", *name).permutation(rows), n_windows)
            for name, rows in zip(self._names, members, strict=True)
        ]
        return torch.from_numpy(np.stack(orders))

    def available(self, present: Tensor) -> Tensor:
        """Hide modalities at random.

        Parameters
        ----------
        present : Tensor of float, shape (R, B, M)
            1 where a modality was recorded.

        Returns
        -------
        Tensor, shape (R, B, M)
            1 where a modality was recorded and not hidden.
        """
        drawn = draws.uniform(self._generators, present.shape[1:])
        kept = present * (drawn >= self.modality_dropout)
        # If all are hidden, the recorded one with the largest draw is kept.
        last = torch.nn.functional.one_hot((drawn * present).argmax(-1), present.shape[-1])
        return torch.where(kept.sum(-1, keepdim=True) > 0, kept, last * present)

    def variant(self, shape: Sequence[int], share: float, n_variants: int) -> Tensor:
        """Draw a corrupted variant for a share of the windows.

        Parameters
        ----------
        shape : sequence of int
            Of one run's windows, (B,).
        share : float
            Probability of a variant, above 0.
        n_variants : int
            Equally likely.

        Returns
        -------
        Tensor of int64, shape (R, B)
            0 to ``n_variants - 1``; -1 for windows that stay clean.
        """
        drawn = draws.uniform(self._generators, shape)
        # The draws below the share are uniform below it: they decide on the variant too.
        number = (drawn / share * n_variants).long().clamp(max=n_variants - 1)
        return torch.where(drawn < share, number, -1)

    def corrupt(self, windows: Tensor, available: Tensor) -> Tensor:
        """Add noise to standardised windows, drop features, and set hidden modalities to 0.

        Parameters
        ----------
        windows : Tensor, shape (R, B, ...)
            With a time axis, the last one, a feature is dropped at all times.
        available : Tensor, shape (R, B)
        """
        corrupted = windows.clone()
        # The order of the windows is random, so the first half is a random half.
        noisy = corrupted[:, : windows.shape[1] // 2]
        level = draws.uniform(self._generators, noisy.shape[1:2]) * self.noise
        noise = draws.normal(self._generators, noisy.shape[1:])
        noisy += noise.mul_(level.reshape(level.shape + (1,) * (windows.ndim - 2)))
        kept = draws.kept(self._generators, windows.shape[1:3], self.feature_dropout)
        kept &= (available > 0)[..., None]
        return corrupted.mul_(kept.reshape(kept.shape + (1,) * (windows.ndim - 3)))

"""Generalised cross-entropy on the hybrid: a bounded loss, robust to wrong labels.

Zhang and Sabuncu 2018, "Generalized cross entropy loss for training deep neural networks with
noisy labels" (arXiv 1805.07836): ``(1 - p_y^q) / q``, between cross-entropy (q -> 0)
and mean absolute error (q = 1).
"""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor

from consilience.methods.hybrid import Hybrid, summed_loss
from consilience.methods.params.gce import Params as GceParams
from consilience.model.losses import beside, mean_over_windows
from consilience.model.types import Batch


class Gce(Hybrid):
    """The hybrid with the generalised cross-entropy in place of every cross-entropy."""

    Params = GceParams

    def loss(self, batch: Batch, progress: float) -> tuple[Tensor, Tensor]:
        """Compute the fused and the unimodal losses."""
        output = self.network(batch.inputs, batch.available)
        loss = summed_loss(
            output,
            batch.available,
            batch.target,
            batch.affect,
            self.params.unimodal,
            partial(generalised_cross_entropy, self.params.q),
        )
        return loss, output.logits.detach().softmax(-1)


def generalised_cross_entropy(
    q: float, logits: Tensor, target: Tensor, weight: Tensor | None = None
) -> Tensor:
    """Compute the mean of ``sum_k y_k (1 - p_k^q) / q``.

    Parameters
    ----------
    q : float
        In (0, 1].
    logits : Tensor, shape (B, K) or (B, M, K)
    target : Tensor, shape (B, K)
        Rows with NaN are skipped.
    weight : Tensor, shape (B,) or (B, M), optional

    Returns
    -------
    Tensor, scalar
    """
    labelled = target.isfinite().all(-1)
    # exp(q log p) and not p ** q, whose gradient is infinite at p = 0.
    power = torch.exp(q * logits.log_softmax(-1))
    truth = beside(torch.where(labelled[:, None], target, 0.0), logits)
    loss = (truth * (1 - power) / q).sum(-1)
    return mean_over_windows(loss, weight, labelled)


method = Gce

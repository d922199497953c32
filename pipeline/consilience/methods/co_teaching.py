"""Co-teaching: two hybrids, each trained on the windows of least loss under the other.

Han et al. 2018, "Co-teaching: robust training of deep neural networks with extremely noisy
labels" (arXiv 1804.06872), algorithm 1: of every batch, each network passes the share
``R = 1 - min(t / T_k, 1) tau`` of least loss to its peer.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from consilience.methods.ensemble import Networks, averaged
from consilience.methods.hybrid import summed_loss
from consilience.methods.params.co_teaching import Params as CoTeachingParams
from consilience.model.fusion import SummedOutput
from consilience.model.types import Batch


class CoTeaching(Networks):
    """Two networks, each of which selects the windows that the other is trained on."""

    Params = CoTeachingParams

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._add_networks(2)

    def loss(self, batch: Batch, progress: float) -> tuple[Tensor, Tensor]:
        """Compute the sum of the networks' losses, each on the windows its peer selected."""
        params = self.params
        outputs = self.outputs(batch.inputs, batch.available)
        # Networks fit clean labels first: keep all windows at the start, fewer later.
        ramp = min(1.0, progress / params.ramp) if params.ramp else 1.0
        kept = 1 - ramp * params.forget
        selected = [
            easiest(window_losses(output, batch, params.unimodal).detach(), batch.target, kept)
            for output in outputs
        ]
        loss = torch.zeros((), device=batch.target.device)
        for output, peer_selected in zip(outputs, reversed(selected), strict=True):
            target = torch.where(peer_selected[:, None], batch.target, torch.nan)
            loss = loss + summed_loss(
                output, batch.available, target, batch.affect, params.unimodal
            )
        probability = averaged(outputs, batch.available).logits.detach().softmax(-1)
        return loss, probability


def window_losses(output: SummedOutput, batch: Batch, unimodal: float) -> Tensor:
    """Compute the classification loss of each window.

    Returns
    -------
    Tensor, shape (B,)
        NaN for unlabelled windows.
    """
    fused = -(batch.target * output.logits.log_softmax(-1)).sum(-1)
    alone = -(batch.target[:, None] * output.unimodal.log_softmax(-1)).sum(-1)
    return fused + unimodal * (batch.available * alone).sum(-1)


def easiest(loss: Tensor, target: Tensor, share: float) -> Tensor:
    """Select the share of the labelled windows with the least loss.

    Parameters
    ----------
    loss : Tensor, shape (B,)
    target : Tensor, shape (B, K)
        NaN rows are unlabelled.
    share : float

    Returns
    -------
    Tensor of bool, shape (B,)
    """
    labelled = target.isfinite().all(-1)
    # Ranks instead of a quantile: their shapes are fixed, as vmap requires. Stable: ties go to
    # the first window whatever the device.
    order = torch.where(labelled, loss, torch.inf).argsort(dim=-1, stable=True)
    rank = order.argsort(-1)
    return labelled & (rank < share * labelled.sum())


method = CoTeaching

"""Co-teaching: two hybrids, each trained on the windows of least loss under the other.

Han et al. 2018, "Co-teaching: robust training of deep neural networks with extremely noisy
labels" (arXiv 1804.06872), algorithm 1: of every batch, each network passes the share
``R = 1 - min(t / T_k, 1) tau`` of least loss to its peer.
"""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor, nn

from consilience.methods.base import Method, plain_prediction
from consilience.methods.hybrid import agreement, summed_loss
from consilience.methods.late_fusion import mix_gaussians
from consilience.methods.params.co_teaching import Params as CoTeachingParams
from consilience.model.fusion import SummedNetwork, SummedOutput
from consilience.model.types import Batch, Prediction, Windows
from consilience.model.uncertainty import EPSILON


class CoTeaching(Method):
    """Two networks of equal architecture and different initial weights, averaged."""

    Params = CoTeachingParams

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        first = SummedNetwork(
            dict(self.encoders.items()), self.n_classes, self.width, self.new_head
        )
        self.networks = nn.ModuleList([first, redrawn(first)])

    def forward(self, windows: Windows) -> Prediction:
        """Compute the prediction of the networks' mean probability."""
        inputs, available = windows
        return _averaged([network(inputs, available) for network in self.networks], available)

    def loss(self, batch: Batch, progress: float) -> tuple[Tensor, Tensor]:
        """Compute the sum of the networks' losses, each on the windows its peer selected."""
        params = self.params
        outputs = [network(batch.inputs, batch.available) for network in self.networks]
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
        probability = _averaged(outputs, batch.available).logits.detach().softmax(-1)
        return loss, probability


def redrawn(network: SummedNetwork) -> SummedNetwork:
    """Return a copy whose weights are redrawn with each tensor's own mean and spread."""
    other = copy.deepcopy(network)
    with torch.no_grad():
        for weight in other.parameters():
            spread, mean = torch.std_mean(weight, correction=0)
            weight.copy_(mean + spread * torch.randn_like(weight))
    return other


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


def _averaged(outputs: list[SummedOutput], available: Tensor) -> Prediction:
    """Return the mean of the networks' probabilities and the mixture of their affect."""
    fused = torch.stack([output.logits.softmax(-1) for output in outputs]).mean(0)
    alone = torch.stack([output.unimodal.softmax(-1) for output in outputs]).mean(0)
    mean = torch.stack([output.affect[0] for output in outputs], 1)
    log_variance = torch.stack([output.affect[1] for output in outputs], 1)
    affect = mix_gaussians(mean, log_variance, torch.ones_like(mean[..., 0]))
    return plain_prediction(
        torch.log(fused + EPSILON), affect, available, **agreement(alone, available)
    )


method = CoTeaching

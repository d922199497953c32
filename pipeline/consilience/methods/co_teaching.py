"""Co-teaching: two hybrids, each learning from the windows that the other finds easy.

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
from consilience.model.fusion import Opinions, SummedNetwork
from consilience.model.types import Batch, Prediction
from consilience.model.uncertainty import EPSILON


class CoTeaching(Method):
    """Two networks of equal form and different initial weights; they are read together."""

    Params = CoTeachingParams

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        first = SummedNetwork(
            dict(self.encoders.items()), self.n_classes, self.width, self.new_head
        )
        self.networks = nn.ModuleList([first, redrawn(first)])

    def forward(self, given: tuple[dict[str, Tensor], Tensor]) -> Prediction:
        """Return the reading of the networks' mean probability."""
        inputs, available = given
        return _together([network(inputs, available) for network in self.networks], available)

    def loss(self, batch: Batch, progress: float) -> tuple[Tensor, Tensor]:
        """Return the sum of the networks' losses, each on its peer's choice of windows."""
        params = self.params
        said = [network(batch.inputs, batch.available) for network in self.networks]
        ramp = min(1.0, progress / params.ramp) if params.ramp else 1.0
        kept = 1 - ramp * params.forget
        easy = [
            easiest(window_losses(own, batch, params.unimodal).detach(), batch.target, kept)
            for own in said
        ]
        loss = torch.zeros((), device=batch.target.device)
        for own, chosen in zip(said, reversed(easy), strict=True):
            target = torch.where(chosen[:, None], batch.target, torch.nan)
            loss = loss + summed_loss(own, batch.available, target, batch.affect, params.unimodal)
        opinion = _together(said, batch.available).logits.detach().softmax(-1)
        return loss, opinion


def redrawn(network: SummedNetwork) -> SummedNetwork:
    """Return a copy whose weights are drawn anew with each tensor's own mean and spread."""
    other = copy.deepcopy(network)
    with torch.no_grad():
        for weight in other.parameters():
            spread, mean = torch.std_mean(weight, correction=0)
            weight.copy_(mean + spread * torch.randn_like(weight))
    return other


def window_losses(said: Opinions, batch: Batch, unimodal: float) -> Tensor:
    """Return the classification loss (B,) of each window, NaN without a label."""
    fused = -(batch.target * said.logits.log_softmax(-1)).sum(-1)
    alone = -(batch.target[:, None] * said.unimodal.log_softmax(-1)).sum(-1)
    return fused + unimodal * (batch.available * alone).sum(-1)


def easiest(loss: Tensor, target: Tensor, share: float) -> Tensor:
    """Return which of the labelled windows are among the share of least loss.

    Parameters
    ----------
    loss : Tensor, shape (B,)
    target : Tensor, shape (B, K)
        NaN rows have no label.
    share : float

    Returns
    -------
    Tensor of bool, shape (B,)
    """
    labelled = target.isfinite().all(-1)
    order = torch.where(labelled, loss, torch.inf).argsort(dim=-1, stable=True)
    rank = order.argsort(-1)
    return labelled & (rank < share * labelled.sum())


def _together(said: list[Opinions], available: Tensor) -> Prediction:
    fused = torch.stack([own.logits.softmax(-1) for own in said]).mean(0)
    alone = torch.stack([own.unimodal.softmax(-1) for own in said]).mean(0)
    mean = torch.stack([own.affect[0] for own in said], 1)
    log_variance = torch.stack([own.affect[1] for own in said], 1)
    affect = mix_gaussians(mean, log_variance, torch.ones_like(mean[..., 0]))
    return plain_prediction(
        torch.log(fused + EPSILON), affect, available, **agreement(alone, available)
    )


method = CoTeaching

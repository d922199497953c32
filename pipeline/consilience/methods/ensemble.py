"""Ensemble: hybrids with different initial weights, their probabilities averaged.

Lakshminarayanan et al. 2017, "Simple and scalable predictive uncertainty estimation using deep
ensembles" (arXiv 1612.01474), without adversarial training. The members get the same windows in the
same order; only their initial weights and their dropout differ.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from consilience.methods.base import Method, plain_prediction
from consilience.methods.hybrid import agreement, summed_loss
from consilience.methods.late_fusion import mix_gaussians
from consilience.methods.params.ensemble import Params as EnsembleParams
from consilience.model.fusion import SummedNetwork, SummedOutput
from consilience.model.types import Batch, Prediction, Windows
from consilience.model.uncertainty import EPSILON


class Networks(Method):
    """Several networks of equal architecture and different initial weights, averaged."""

    def _add_networks(self, count: int) -> None:
        first = SummedNetwork(
            dict(self.encoders.items()), self.n_classes, self.width, self.new_head
        )
        self.networks = nn.ModuleList([first, *(redrawn(first) for _ in range(count - 1))])

    def outputs(self, inputs: dict[str, Tensor], available: Tensor) -> list[SummedOutput]:
        """Compute the output of every network.

        Parameters
        ----------
        inputs : dict of str to Tensor, shape (B, ...)
        available : Tensor, shape (B, M)
        """
        return [network(inputs, available) for network in self.networks]

    def forward(self, windows: Windows) -> Prediction:
        """Compute the prediction of the networks' mean probability."""
        return averaged(self.outputs(*windows), windows[1])


class Ensemble(Networks):
    """``sum_e [CE(l_e) + w sum_m CE(l_em)]``: no loss couples the members."""

    Params = EnsembleParams

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._add_networks(self.params.members)

    def loss(self, batch: Batch, progress: float) -> tuple[Tensor, Tensor]:
        """Compute the sum of the members' losses."""
        outputs = self.outputs(batch.inputs, batch.available)
        losses = [
            summed_loss(output, batch.available, batch.target, batch.affect, self.params.unimodal)
            for output in outputs
        ]
        probability = averaged(outputs, batch.available).logits.detach().softmax(-1)
        return torch.stack(losses).sum(), probability


def redrawn(network: SummedNetwork) -> SummedNetwork:
    """Return a copy whose weights are redrawn with each tensor's own mean and spread."""
    other = copy.deepcopy(network)
    with torch.no_grad():
        for weight in other.parameters():
            spread, mean = torch.std_mean(weight, correction=0)
            weight.copy_(mean + spread * torch.randn_like(weight))
    return other


def averaged(outputs: Sequence[SummedOutput], available: Tensor) -> Prediction:
    """Return the mean of the networks' probabilities and the mixture of their affect.

    Parameters
    ----------
    outputs : sequence of SummedOutput
        One of each network.
    available : Tensor, shape (B, M)
    """
    fused = torch.stack([output.logits.softmax(-1) for output in outputs]).mean(0)
    alone = torch.stack([output.unimodal.softmax(-1) for output in outputs]).mean(0)
    mean = torch.stack([output.affect[0] for output in outputs], 1)
    log_variance = torch.stack([output.affect[1] for output in outputs], 1)
    affect = mix_gaussians(mean, log_variance, torch.ones_like(mean[..., 0]))
    return plain_prediction(
        torch.log(fused + EPSILON), affect, available, **agreement(alone, available)
    )


method = Ensemble

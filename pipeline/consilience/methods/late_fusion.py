"""Late fusion: a model per modality, trained on its own, their probabilities averaged.

With one modality available it *is* the model dedicated to that modality.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from consilience.methods.base import Method, plain_prediction
from consilience.methods.hybrid import agreement, unimodal_loss
from consilience.methods.params.late_fusion import Params as LateFusionParams
from consilience.model.fusion import N_AFFECT, encode, split_affect
from consilience.model.types import Batch, Prediction
from consilience.model.uncertainty import EPSILON


class Alone(NamedTuple):
    """What each modality says for itself.

    Attributes
    ----------
    logits : Tensor, shape (B, M, K)
    affect_mean, affect_log_variance : Tensor, shape (B, M, A)
    available : Tensor, shape (B, M)
    """

    logits: Tensor
    affect_mean: Tensor
    affect_log_variance: Tensor
    available: Tensor


class Experts(Method):
    """A model per modality; no parameter is shared and no loss couples them."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        outputs = self.n_classes + 2 * N_AFFECT
        self.heads = nn.ModuleList([self.new_head(self.width, outputs) for _ in self.encoders])

    def alone(self, inputs: Mapping[str, Tensor], available: Tensor) -> Alone:
        """Return what the modalities say, each for itself."""
        return self.spoken(encode(self.encoders, inputs, available), available)

    def spoken(self, encodings: Sequence[Tensor], available: Tensor) -> Alone:
        """Return what the modalities' heads make of their encodings, each (B, W)."""
        said = [own(encoding) for own, encoding in zip(self.heads, encodings, strict=True)]
        logits, affect = torch.stack(said, 1).tensor_split([self.n_classes], -1)
        return Alone(logits, *split_affect(affect), available)

    def loss(self, batch: Batch, progress: float) -> tuple[Tensor, Tensor]:
        """Return the sum of the unimodal losses, each over the windows that have it."""
        said = self.alone(batch.inputs, batch.available)
        affect = said.affect_mean, said.affect_log_variance
        loss = unimodal_loss(said.logits, affect, batch.available, batch.target, batch.affect)
        return loss, mixture(said).logits.detach().softmax(-1)


class LateFusion(Experts):
    """The mean of the experts' distributions."""

    Params = LateFusionParams

    def forward(self, given: tuple[dict[str, Tensor], Tensor]) -> Prediction:
        """Return the mixture of what the modalities say."""
        return mixture(self.alone(*given))


def mixture(said: Alone) -> Prediction:
    """Return the mean probability, and mean and variance of the mixture of the affects."""
    weight = said.available[..., None]
    probability = said.logits.softmax(-1)
    mixed = (weight * probability).sum(1) / weight.sum(1).clamp(min=1)
    known = weight.sum(1) > 0
    return plain_prediction(
        torch.log(torch.where(known, mixed, 1.0) + EPSILON),
        mix_gaussians(said.affect_mean, said.affect_log_variance, said.available),
        said.available,
        **agreement(probability, said.available),
    )


def mix_gaussians(mean: Tensor, log_variance: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
    """Return mean and log variance (B, A) of an even mixture of the experts (B, E, A) that count.

    Parameters
    ----------
    mean, log_variance : Tensor, shape (B, E, A)
    weight : Tensor, shape (B, E)
        1 or 0; a standard normal is returned where every expert is off.
    """
    count = weight.sum(-1, keepdim=True).clamp(min=1)
    known = weight.sum(-1, keepdim=True) > 0
    counted = weight[..., None]
    mixed = (counted * mean).sum(1) / count
    second = (counted * (log_variance.exp() + mean.square())).sum(1) / count
    spread = (second - mixed.square()).clamp(min=EPSILON)
    return mixed, torch.where(known, spread, 1.0).log()


method = LateFusion

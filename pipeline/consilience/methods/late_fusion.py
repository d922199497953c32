"""Late fusion: one model per modality, trained separately, their probabilities averaged.

With one modality available the prediction is exactly that of the model dedicated to it.
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
from consilience.model.types import Batch, Prediction, Windows
from consilience.model.uncertainty import EPSILON


class UnimodalOutput(NamedTuple):
    """Output of each modality's model.

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


class UnimodalExperts(Method):
    """One model per modality; they share no parameter and no loss couples them."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        outputs = self.n_classes + 2 * N_AFFECT
        self.heads = nn.ModuleList([self.new_head(self.width, outputs) for _ in self.encoders])

    def unimodal_output(self, inputs: Mapping[str, Tensor], available: Tensor) -> UnimodalOutput:
        """Compute the output of each modality's model.

        Parameters
        ----------
        inputs : mapping of str to Tensor, shape (B, ...)
        available : Tensor, shape (B, M)
        """
        return self.heads_output(encode(self.encoders, inputs, available), available)

    def heads_output(self, encodings: Sequence[Tensor], available: Tensor) -> UnimodalOutput:
        """Compute the output of each modality's head from its encodings, each (B, W)."""
        outputs = [head(encoding) for head, encoding in zip(self.heads, encodings, strict=True)]
        logits, affect = torch.stack(outputs, 1).tensor_split([self.n_classes], -1)
        return UnimodalOutput(logits, *split_affect(affect), available)

    def loss(self, batch: Batch, progress: float) -> tuple[Tensor, Tensor]:
        """Compute the sum of the unimodal losses, each over the windows that have the modality."""
        output = self.unimodal_output(batch.inputs, batch.available)
        affect = output.affect_mean, output.affect_log_variance
        loss = unimodal_loss(output.logits, affect, batch.available, batch.target, batch.affect)
        return loss, mixture(output).logits.detach().softmax(-1)


class LateFusion(UnimodalExperts):
    """The mean of the experts' distributions."""

    Params = LateFusionParams

    def forward(self, windows: Windows) -> Prediction:
        """Compute the mixture of the modalities' predictions."""
        return mixture(self.unimodal_output(*windows))


def mixture(output: UnimodalOutput) -> Prediction:
    """Return the mean probability, and the moments of the mixture of the affect distributions."""
    weight = output.available[..., None]
    probability = output.logits.softmax(-1)
    mixed = (weight * probability).sum(1) / weight.sum(1).clamp(min=1)
    has_input = weight.sum(1) > 0
    return plain_prediction(
        torch.log(torch.where(has_input, mixed, 1.0) + EPSILON),
        mix_gaussians(output.affect_mean, output.affect_log_variance, output.available),
        output.available,
        **agreement(probability, output.available),
    )


def mix_gaussians(mean: Tensor, log_variance: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
    """Compute mean and log variance of an even mixture of normal distributions.

    ``Var = E[var_e + mean_e^2] - mean^2``: disagreeing means widen the mixture.

    Parameters
    ----------
    mean, log_variance : Tensor, shape (B, E, A)
        E experts on A targets.
    weight : Tensor, shape (B, E)
        1 for experts that count, else 0.

    Returns
    -------
    mean, log_variance : Tensor, shape (B, A)
        0 and 0, a standard normal, where every expert is off.
    """
    count = weight.sum(-1, keepdim=True).clamp(min=1)
    has_expert = weight.sum(-1, keepdim=True) > 0
    counted = weight[..., None]
    mixed = (counted * mean).sum(1) / count
    second_moment = (counted * (log_variance.exp() + mean.square())).sum(1) / count
    variance = (second_moment - mixed.square()).clamp(min=EPSILON)
    return mixed, torch.where(has_expert, variance, 1.0).log()


method = LateFusion

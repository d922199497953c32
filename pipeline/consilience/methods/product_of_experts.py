"""Product of calibrated experts: separately trained models, multiplied as if independent.

``p(y | x_1 ... x_n) ~ prod_m p_m(y | x_m)^(1 / T_m) / p(y)^(n - 1)`` holds for modalities that are
independent given the class; Hinton 2002, "Training products of experts by minimizing contrastive
divergence", with one temperature per expert (Guo et al. 2017).
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from consilience.methods.base import plain_prediction
from consilience.methods.hybrid import agreement
from consilience.methods.late_fusion import UnimodalExperts
from consilience.methods.params.product_of_experts import Params as ProductOfExpertsParams
from consilience.model.fusion import log_linear_pool
from consilience.model.losses import cross_entropy
from consilience.model.types import Batch, Prediction, Windows
from consilience.model.uncertainty import fuse_gaussians


class ExpertsOutput(NamedTuple):
    """Output of the experts: the fields of `UnimodalOutput`, and the prior.

    Attributes
    ----------
    logits : Tensor, shape (B, M, K)
    affect_mean, affect_log_variance : Tensor, shape (B, M, A)
    available : Tensor, shape (B, M)
    prior : Tensor, shape (B, K)
        Logarithm of the class frequencies in training, the same for every window.
    input_energy : Tensor, shape (B, M)
        As in `Prediction`.
    """

    logits: Tensor
    affect_mean: Tensor
    affect_log_variance: Tensor
    available: Tensor
    prior: Tensor
    input_energy: Tensor


class ProductOfExperts(UnimodalExperts):
    """Sum of log probabilities, each divided by its temperature; the prior is counted once."""

    Params = ProductOfExpertsParams

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.log_prior = nn.Parameter(torch.zeros(self.n_classes))
        self.calibration["log_expert_temperature"] = nn.Parameter(torch.zeros(len(self.encoders)))

    def forward(self, windows: Windows) -> ExpertsOutput:
        """Compute the output of each modality's model, and the prior."""
        output = self.unimodal_output(*windows)
        prior = self.log_prior.log_softmax(-1).expand_as(output.logits[:, 0])
        return ExpertsOutput(*output, prior, torch.zeros_like(output.available))

    def calibrated(self, output: ExpertsOutput) -> Prediction:
        """Compute the product of the calibrated experts."""
        inverse_temperature = torch.exp(-self.calibration["log_expert_temperature"])[:, None]
        logits = (output.logits * inverse_temperature).log_softmax(-1)
        available = output.available
        product = log_linear_pool(logits, output.prior[:, None], available[:, None])
        prediction = plain_prediction(
            product[:, 0],
            fuse_gaussians(output.affect_mean, output.affect_log_variance, available),
            available,
            **agreement(logits.softmax(-1), available),
            input_energy=output.input_energy,
        )
        # The temperature of the set of modalities: experts whose errors are alike are overconfident
        # together, however well each is calibrated.
        return super().calibrated(prediction)

    def loss(self, batch: Batch, progress: float) -> tuple[Tensor, Tensor]:
        """Compute the unimodal losses and that of the prior, which learns the class frequencies.

        The experts receive no gradient through the product.
        """
        loss, probability = super().loss(batch, progress)
        prior = self.log_prior.expand_as(batch.target)
        return loss + cross_entropy(prior, batch.target), probability


method = ProductOfExperts

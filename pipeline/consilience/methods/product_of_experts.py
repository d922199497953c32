"""Product of calibrated experts: independently trained models, multiplied as if independent.

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
from consilience.methods.late_fusion import Experts
from consilience.methods.params.product_of_experts import Params as ProductOfExpertsParams
from consilience.model.losses import cross_entropy
from consilience.model.types import Batch, Prediction
from consilience.model.uncertainty import fuse_gaussians, normalised_entropy


class Product(NamedTuple):
    """What the experts say: the fields of `Alone`, and the prior.

    Attributes
    ----------
    logits : Tensor, shape (B, M, K)
    affect_mean, affect_log_variance : Tensor, shape (B, M, A)
    available : Tensor, shape (B, M)
    prior : Tensor, shape (B, K)
        Logarithm of the classes' frequencies in training, the same for every window.
    """

    logits: Tensor
    affect_mean: Tensor
    affect_log_variance: Tensor
    available: Tensor
    prior: Tensor


class ProductOfExperts(Experts):
    """Log probabilities, each over its temperature, are summed; the prior is counted once."""

    Params = ProductOfExpertsParams

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.log_prior = nn.Parameter(torch.zeros(self.n_classes))
        self.calibration["log_temperature"] = nn.Parameter(torch.zeros(len(self.encoders)))

    def forward(self, given: tuple[dict[str, Tensor], Tensor]) -> Product:
        """Return what each modality says for itself, and the prior."""
        said = self.alone(*given)
        return Product(*said, self.log_prior.log_softmax(-1).expand_as(said.logits[:, 0]))

    def calibrated(self, observed: Product) -> Prediction:
        """Return the product of the calibrated experts."""
        cooled = torch.exp(-self.calibration["log_temperature"])[:, None]
        logits = (observed.logits * cooled).log_softmax(-1)
        available = observed.available
        count = available.sum(-1, keepdim=True)
        product = (available[..., None] * logits).sum(1) - (count - 1) * observed.prior
        reading = plain_prediction(
            product,
            fuse_gaussians(observed.affect_mean, observed.affect_log_variance, available),
            available,
            **agreement(logits.softmax(-1), available),
        )
        return reading._replace(vacuity=normalised_entropy(reading.logits.softmax(-1)))

    def loss(self, batch: Batch, progress: float) -> tuple[Tensor, Tensor]:
        """Return the unimodal losses and that of the prior, which learns how frequent classes are.

        No loss reaches an expert through the product.
        """
        loss, opinion = super().loss(batch, progress)
        prior = self.log_prior.expand_as(batch.target)
        return loss + cross_entropy(prior, batch.target), opinion


method = ProductOfExperts

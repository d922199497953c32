"""Late fusion: a model per modality, trained on its own, their probabilities averaged.

With one modality available it *is* the model dedicated to that modality.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from pipeline.methods.base import Batch, Method, MethodParams, Reading, plain_reading
from pipeline.model.fusion import N_AFFECT, encode, head, split_affect
from pipeline.model.losses import cross_entropy, gaussian_nll
from pipeline.model.opinions import (
    EPSILON,
    modality_coherence,
    normalised_entropy,
    pairwise_coherence,
    window_coherence,
)


class LateFusionParams(MethodParams):
    """It has none of its own."""


class LateFusion(Method):
    """Independent unimodal models; no parameter is shared and no loss couples them."""

    Params = LateFusionParams

    def __init__(
        self,
        encoders: Mapping[str, nn.Module],
        n_classes: int,
        width: int,
        dropout: float,
        params: Any,
    ) -> None:
        super().__init__()
        self.encoders = nn.ModuleDict(encoders)
        self.n_classes = n_classes
        outputs = n_classes + 2 * N_AFFECT
        self.heads = nn.ModuleList([head(width, width, outputs, dropout) for _ in encoders])

    def _alone(self, inputs: Mapping[str, Tensor], available: Tensor) -> Tensor:
        encodings = encode(self.encoders, inputs, available)
        said = [own(encoding) for own, encoding in zip(self.heads, encodings, strict=True)]
        return torch.stack(said, 1)

    def read(self, given: tuple[dict[str, Tensor], Tensor]) -> Reading:
        """Read windows from (inputs, available)."""
        inputs, available = given
        logits, affect = self._alone(inputs, available).tensor_split([self.n_classes], -1)
        weight = available[..., None]
        count = weight.sum(1).clamp(min=1)
        probability = logits.softmax(-1)
        mixed = (weight * probability).sum(1) / count

        mean, log_variance = split_affect(affect)
        mixed_mean = (weight * mean).sum(1) / count
        second = (weight * (log_variance.exp() + mean.square())).sum(1) / count
        spread = (second - mixed_mean.square()).clamp(min=EPSILON)
        known = available.sum(-1, keepdim=True) > 0
        log_spread = torch.where(known, spread, 1.0).log()

        certainty = available * (1 - normalised_entropy(probability))
        pairs = pairwise_coherence(probability)
        return plain_reading(
            torch.log(torch.where(known, mixed, 1.0) + EPSILON),
            (mixed_mean, log_spread),
            available,
            reliability=certainty * modality_coherence(pairs, certainty, available),
            coherence=window_coherence(pairs, available),
        )

    def loss(self, batch: Batch, progress: float) -> tuple[Tensor, Tensor]:
        """Return the sum of the unimodal losses, each over the windows that have it."""
        outputs = self._alone(batch.inputs, batch.available)
        logits, affect = outputs.tensor_split([self.n_classes], -1)
        mean, log_variance = split_affect(affect)
        loss = torch.zeros((), device=logits.device)
        for index in range(logits.shape[1]):
            weight = batch.available[:, index]
            loss = loss + cross_entropy(logits[:, index], batch.target, weight)
            loss = loss + gaussian_nll(mean[:, index], log_variance[:, index], batch.affect, weight)
        opinion = self.read((batch.inputs, batch.available)).logits.detach().softmax(-1)
        return loss, opinion


method = LateFusion

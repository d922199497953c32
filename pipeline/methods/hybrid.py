"""Hybrid: the sum of unimodal logits and those of a joint head, each trained on the labels."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import Field
from torch import Tensor, nn

from pipeline.methods.base import Batch, Method, MethodParams, Reading, plain_reading
from pipeline.model.fusion import Opinions, SummedNetwork
from pipeline.model.losses import cross_entropy, gaussian_nll
from pipeline.model.opinions import (
    modality_coherence,
    normalised_entropy,
    pairwise_coherence,
    window_coherence,
)


class HybridParams(MethodParams):
    """Parameters of the hybrid."""

    unimodal: float = Field(1.0, ge=0)  # weight of the unimodal losses beside the fused one


class Hybrid(Method):
    """``CE(l) + w sum_m CE(l_m)`` over a `SummedNetwork`."""

    Params = HybridParams

    def __init__(
        self,
        encoders: Mapping[str, nn.Module],
        n_classes: int,
        width: int,
        dropout: float,
        params: Any,
    ) -> None:
        super().__init__()
        self.network = SummedNetwork(encoders, n_classes, width, dropout)
        self.params = params

    def read(self, given: tuple[dict[str, Tensor], Tensor]) -> Reading:
        """Read windows from (inputs, available)."""
        inputs, available = given
        said = self.network(inputs, available)
        probability = said.unimodal.softmax(-1)
        certainty = available * (1 - normalised_entropy(probability))
        pairs = pairwise_coherence(probability)
        return plain_reading(
            said.logits,
            said.affect,
            available,
            reliability=certainty * modality_coherence(pairs, certainty, available),
            coherence=window_coherence(pairs, available),
        )

    def loss(self, batch: Batch, progress: float) -> tuple[Tensor, Tensor]:
        """Return the fused and the unimodal losses of the augmented windows."""
        said = self.network(batch.inputs, batch.available)
        loss = summed_loss(said, batch.available, batch.target, batch.affect, self.params.unimodal)
        return loss, said.logits.detach().softmax(-1)


def summed_loss(
    said: Opinions, available: Tensor, target: Tensor, affect: Tensor, unimodal: float
) -> Tensor:
    """Return the task loss of a `SummedNetwork`: fused, plus `unimodal` times each modality's."""
    loss = cross_entropy(said.logits, target) + gaussian_nll(*said.affect, affect)
    mean, log_variance = said.unimodal_affect
    for index in range(available.shape[1]):
        weight = available[:, index]
        loss = loss + unimodal * cross_entropy(said.unimodal[:, index], target, weight)
        loss = loss + unimodal * gaussian_nll(
            mean[:, index], log_variance[:, index], affect, weight
        )
    return loss


method = Hybrid

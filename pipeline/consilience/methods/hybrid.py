"""Hybrid: the sum of unimodal logits and those of a joint head, each trained on the labels."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from consilience.methods.base import Method, plain_prediction
from consilience.methods.params.hybrid import Params as HybridParams
from consilience.model.fusion import Opinions, SummedNetwork
from consilience.model.losses import cross_entropy, gaussian_nll
from consilience.model.types import Batch, Prediction
from consilience.model.uncertainty import (
    modality_coherence,
    normalised_entropy,
    pairwise_coherence,
    window_coherence,
)

Classify = Callable[..., Tensor]


class Hybrid(Method):
    """``CE(l) + w sum_m CE(l_m)`` over a `SummedNetwork`."""

    Params = HybridParams

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.network = SummedNetwork(
            dict(self.encoders.items()), self.n_classes, self.width, self.new_head
        )

    def forward(self, given: tuple[dict[str, Tensor], Tensor]) -> Prediction:
        """Return the network's reading."""
        inputs, available = given
        return summed_reading(self.network(inputs, available), available)

    def loss(self, batch: Batch, progress: float) -> tuple[Tensor, Tensor]:
        """Return the fused and the unimodal losses of the augmented windows."""
        said = self.network(batch.inputs, batch.available)
        loss = summed_loss(said, batch.available, batch.target, batch.affect, self.params.unimodal)
        return loss, said.logits.detach().softmax(-1)


def summed_reading(said: Opinions, available: Tensor) -> Prediction:
    """Return the reading of a `SummedNetwork`, its modalities trusted as they are certain."""
    return plain_prediction(
        said.logits, said.affect, available, **agreement(said.unimodal.softmax(-1), available)
    )


def agreement(probability: Tensor, available: Tensor) -> dict[str, Tensor]:
    """Return reliability and coherence of modalities that each predict for themselves.

    Parameters
    ----------
    probability : Tensor, shape (B, M, K)
    available : Tensor, shape (B, M)
    """
    certainty = available * (1 - normalised_entropy(probability))
    pairs = pairwise_coherence(probability)
    return {
        "reliability": certainty * modality_coherence(pairs, certainty, available),
        "coherence": window_coherence(pairs, available),
    }


def summed_loss(
    said: Opinions,
    available: Tensor,
    target: Tensor,
    affect: Tensor,
    unimodal: float,
    classify: Classify = cross_entropy,
) -> Tensor:
    """Return the task loss of a `SummedNetwork`: fused, plus `unimodal` times each modality's.

    Parameters
    ----------
    said : Opinions
    available : Tensor, shape (B, M)
    target : Tensor, shape (B, K)
    affect : Tensor, shape (B, A)
    unimodal : float
    classify : callable
        The loss of logits (B, K) under a target (B, K) and a weight (B,), in place of the
        cross-entropy.
    """
    loss = classify(said.logits, target) + gaussian_nll(*said.affect, affect)
    spoken = said.unimodal_affect
    alone = unimodal_loss(said.unimodal, spoken, available, target, affect, classify)
    return loss + unimodal * alone


def unimodal_loss(
    logits: Tensor,
    spoken: tuple[Tensor, Tensor],
    available: Tensor,
    target: Tensor,
    affect: Tensor,
    classify: Classify = cross_entropy,
) -> Tensor:
    """Return the sum over modalities of the task loss, each over the windows that have it.

    Parameters
    ----------
    logits : Tensor, shape (B, M, K)
    spoken : tuple of Tensor, shape (B, M, A)
        Mean and log variance of affect.
    available : Tensor, shape (B, M)
    target : Tensor, shape (B, K)
    affect : Tensor, shape (B, A)
    classify : callable
        As in `summed_loss`.
    """
    mean, log_variance = spoken
    loss = torch.zeros((), device=logits.device)
    for index in range(available.shape[1]):
        weight = available[:, index]
        loss = loss + classify(logits[:, index], target, weight)
        loss = loss + gaussian_nll(mean[:, index], log_variance[:, index], affect, weight)
    return loss


method = Hybrid

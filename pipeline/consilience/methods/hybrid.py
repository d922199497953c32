"""Hybrid: the sum of unimodal logits and those of a joint head, each trained on the labels."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor

from consilience.methods.base import Method, plain_prediction
from consilience.methods.params.hybrid import Params as HybridParams
from consilience.model.fusion import SummedNetwork, SummedOutput
from consilience.model.losses import cross_entropy, gaussian_nll
from consilience.model.types import Batch, Prediction, Windows
from consilience.model.uncertainty import (
    modality_coherence,
    normalised_entropy,
    pairwise_coherence,
    window_coherence,
)

ClassLoss = Callable[..., Tensor]  # logits (B, K) or (B, M, K), target (B, K), optional weight


class Hybrid(Method):
    """``CE(l) + w sum_m CE(l_m)`` over a `SummedNetwork`."""

    Params = HybridParams

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.network = SummedNetwork(
            dict(self.encoders.items()), self.n_classes, self.width, self.new_head
        )

    def forward(self, windows: Windows) -> Prediction:
        """Compute the network's prediction."""
        inputs, available = windows
        return summed_prediction(self.network(inputs, available), available)

    def loss(self, batch: Batch, progress: float) -> tuple[Tensor, Tensor]:
        """Compute the fused and the unimodal losses of the augmented windows."""
        output = self.network(batch.inputs, batch.available)
        loss = summed_loss(
            output, batch.available, batch.target, batch.affect, self.params.unimodal
        )
        return loss, output.logits.detach().softmax(-1)


def summed_prediction(output: SummedOutput, available: Tensor) -> Prediction:
    """Return the prediction of a `SummedNetwork`, with reliability and coherence.

    Parameters
    ----------
    output : SummedOutput
    available : Tensor, shape (B, M)
    """
    return plain_prediction(
        output.logits,
        output.affect,
        available,
        **agreement(output.unimodal.softmax(-1), available),
    )


def agreement(probability: Tensor, available: Tensor) -> dict[str, Tensor]:
    """Compute reliability and coherence from the modalities' unimodal predictions.

    Parameters
    ----------
    probability : Tensor, shape (B, M, K)
    available : Tensor, shape (B, M)

    Returns
    -------
    dict
        ``reliability`` (B, M): certainty of each modality times its agreement with the others;
        ``coherence`` (B,): mean pairwise agreement.
    """
    certainty = available * (1 - normalised_entropy(probability))
    pairs = pairwise_coherence(probability)
    return {
        "reliability": certainty * modality_coherence(pairs, certainty, available),
        "coherence": window_coherence(pairs, available),
    }


def summed_loss(
    output: SummedOutput,
    available: Tensor,
    target: Tensor,
    affect: Tensor,
    unimodal: float,
    class_loss: ClassLoss = cross_entropy,
) -> Tensor:
    """Compute the task loss of a `SummedNetwork`: fused, plus `unimodal` times each modality's.

    Parameters
    ----------
    output : SummedOutput
    available : Tensor, shape (B, M)
    target : Tensor, shape (B, K)
    affect : Tensor, shape (B, A)
    unimodal : float
    class_loss : callable
        In place of the cross-entropy; see `consilience.model.losses` for the shapes.

    Returns
    -------
    Tensor, scalar
    """
    loss = class_loss(output.logits, target) + gaussian_nll(*output.affect, affect)
    alone = unimodal_loss(
        output.unimodal, output.unimodal_affect, available, target, affect, class_loss
    )
    return loss + unimodal * alone


def unimodal_loss(
    logits: Tensor,
    affect: tuple[Tensor, Tensor],
    available: Tensor,
    target: Tensor,
    affect_target: Tensor,
    class_loss: ClassLoss = cross_entropy,
) -> Tensor:
    """Compute the sum over modalities of the task loss, each over the windows that have it.

    Parameters
    ----------
    logits : Tensor, shape (B, M, K)
    affect : tuple of Tensor, shape (B, M, A)
        Mean and log variance.
    available : Tensor, shape (B, M)
    target : Tensor, shape (B, K)
    affect_target : Tensor, shape (B, A)
    class_loss : callable
        As in `summed_loss`.

    Returns
    -------
    Tensor, scalar
    """
    loss = class_loss(logits, target, available)
    return loss + gaussian_nll(*affect, affect_target, available)


method = Hybrid

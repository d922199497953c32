"""Quality-aware multimodal fusion: each modality's logits weighted by their energy.

Zhang et al. 2023, "Provable dynamic fusion for low-quality multimodal data" (arXiv 2306.02050).
The weight ``w_m = -E_m / 10`` is the negative energy ``-E_m = ln sum_k exp l_mk`` with the scale
of the authors' experiments. The paper ranks windows by their mean loss over past epochs; here it
is the present loss.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from consilience.methods.base import plain_prediction, task_loss
from consilience.methods.hybrid import agreement, unimodal_loss
from consilience.methods.late_fusion import UnimodalExperts, UnimodalOutput
from consilience.methods.params.qmf import Params as QmfParams
from consilience.model.losses import weighted_mean
from consilience.model.types import Batch, Prediction, Windows
from consilience.model.uncertainty import fuse_gaussians


class Qmf(UnimodalExperts):
    """``CE(sum_m w_m l_m) + sum_m [CE(l_m) + lambda L_reg(w_m)]``."""

    Params = QmfParams

    def _weights(self, output: UnimodalOutput) -> Tensor:
        return self.params.scale * output.logits.logsumexp(-1)

    def _fused(self, output: UnimodalOutput, weights: Tensor) -> Prediction:
        # Detached: the ranking loss alone trains the weights, not the classification loss.
        counted = (output.available * weights.detach())[..., None]
        affect = fuse_gaussians(output.affect_mean, output.affect_log_variance, output.available)
        logits = (counted * output.logits).sum(1)
        estimates = agreement(output.logits.softmax(-1), output.available)
        return plain_prediction(logits, affect, output.available, **estimates)

    def forward(self, windows: Windows) -> Prediction:
        """Compute the prediction of the weighted logits."""
        output = self.unimodal_output(*windows)
        return self._fused(output, self._weights(output))

    def loss(self, batch: Batch, progress: float) -> tuple[Tensor, Tensor]:
        """Compute the losses of the fused and the unimodal logits and the weights' regulariser."""
        output = self.unimodal_output(batch.inputs, batch.available)
        weights = self._weights(output)
        prediction = self._fused(output, weights)
        affect = output.affect_mean, output.affect_log_variance
        loss = task_loss(prediction, batch)
        loss = loss + unimodal_loss(
            output.logits, affect, batch.available, batch.target, batch.affect
        )
        labelled = batch.target.isfinite().all(-1)
        target = torch.where(labelled[:, None], batch.target, 0.0)
        for index in range(weights.shape[1]):
            counted = batch.available[:, index] * labelled
            # Detached: the ranking must move the weights, not the losses they are ranked by.
            losses = -(target * F.log_softmax(output.logits[:, index].detach(), -1)).sum(-1)
            loss = loss + self.params.rank * ranking_loss(weights[:, index], losses, counted)
        return loss, prediction.logits.detach().softmax(-1)


def ranking_loss(weight: Tensor, losses: Tensor, counted: Tensor) -> Tensor:
    """Compute the penalty on fusion weights that do not fall as the losses rise.

    ``max(0, g(k_i, k_j) (w_i - w_j) + |k_i - k_j|)`` with ``g`` the sign of ``k_i - k_j``, over
    neighbours i, j of the shuffled batch; losses k scaled to 0 ... 1 within it.

    Parameters
    ----------
    weight, losses : Tensor, shape (B,)
        Fusion weights w and losses k.
    counted : Tensor, shape (B,)
        1 where a window counts, else 0.

    Returns
    -------
    Tensor, scalar
    """
    lowest = torch.where(counted > 0, losses, torch.inf).amin()
    highest = torch.where(counted > 0, losses, -torch.inf).amax()
    spread = (highest - lowest).clamp(min=1e-8)
    k = torch.where(counted > 0, (losses - lowest) / spread, 0.0)
    # Neighbours of a shuffled batch are random pairs, at linear cost.
    difference = k - k.roll(-1)
    order = torch.sign(difference) * (weight - weight.roll(-1)) + difference.abs()
    return weighted_mean(order.clamp(min=0), counted * counted.roll(-1))


method = Qmf

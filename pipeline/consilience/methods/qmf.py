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
from consilience.methods.late_fusion import Alone, Experts
from consilience.methods.params.qmf import Params as QmfParams
from consilience.model.losses import weighted_mean
from consilience.model.types import Batch, Prediction
from consilience.model.uncertainty import fuse_gaussians


class Qmf(Experts):
    """``CE(sum_m w_m l_m) + sum_m [CE(l_m) + lambda L_reg(w_m)]``."""

    Params = QmfParams

    def _weights(self, said: Alone) -> Tensor:
        return self.params.scale * said.logits.logsumexp(-1)

    def _fused(self, said: Alone, weights: Tensor) -> Prediction:
        counted = (said.available * weights.detach())[..., None]
        affect = fuse_gaussians(said.affect_mean, said.affect_log_variance, said.available)
        logits = (counted * said.logits).sum(1)
        own = agreement(said.logits.softmax(-1), said.available)
        return plain_prediction(logits, affect, said.available, **own)

    def forward(self, given: tuple[dict[str, Tensor], Tensor]) -> Prediction:
        """Return the reading of the weighted logits."""
        said = self.alone(*given)
        return self._fused(said, self._weights(said))

    def loss(self, batch: Batch, progress: float) -> tuple[Tensor, Tensor]:
        """Return the losses of the fused and the unimodal logits and the weights' regulariser."""
        said = self.alone(batch.inputs, batch.available)
        weights = self._weights(said)
        reading = self._fused(said, weights)
        affect = said.affect_mean, said.affect_log_variance
        loss = task_loss(reading, batch)
        loss = loss + unimodal_loss(
            said.logits, affect, batch.available, batch.target, batch.affect
        )
        labelled = batch.target.isfinite().all(-1)
        target = torch.where(labelled[:, None], batch.target, 0.0)
        for index in range(weights.shape[1]):
            known = batch.available[:, index] * labelled
            missed = -(target * F.log_softmax(said.logits[:, index].detach(), -1)).sum(-1)
            loss = loss + self.params.rank * ranking_loss(weights[:, index], missed, known)
        return loss, reading.logits.detach().softmax(-1)


def ranking_loss(weight: Tensor, missed: Tensor, known: Tensor) -> Tensor:
    """Return how far the weights fail to fall as the losses rise.

    ``max(0, g(k_i, k_j) (w_i - w_j) + |k_i - k_j|)`` with ``g`` the sign of ``k_i - k_j``, over
    neighbours i, j of the shuffled batch; losses k scaled to 0 ... 1 within it.

    Parameters
    ----------
    weight, missed : Tensor, shape (B,)
        Fusion weights w and losses k.
    known : Tensor, shape (B,)
        1 where a window counts.
    """
    lowest = torch.where(known > 0, missed, torch.inf).amin()
    highest = torch.where(known > 0, missed, -torch.inf).amax()
    spread = (highest - lowest).clamp(min=1e-8)
    k = torch.where(known > 0, (missed - lowest) / spread, 0.0)
    difference = k - k.roll(-1)
    order = torch.sign(difference) * (weight - weight.roll(-1)) + difference.abs()
    return weighted_mean(order.clamp(min=0), known * known.roll(-1))


method = Qmf

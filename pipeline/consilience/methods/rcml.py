"""Reliable conflictive multi-view learning: averaged evidence, and a price on conflict.

Xu et al. 2024, "Reliable conflictive multi-view learning" (AAAI; arXiv 2402.16897).
"""

from __future__ import annotations

import torch
from torch import Tensor

from consilience.methods.params.rcml import Params as RcmlParams
from consilience.methods.tmc import Evidential, affect_loss
from consilience.model.evidence import average, conflict
from consilience.model.losses import evidential_loss, weighted_mean
from consilience.model.types import Batch, Prediction


class Rcml(Evidential):
    """``[L(average) + sum_v L(view v)] / (V + 1) + gamma L_con``."""

    Params = RcmlParams

    def forward(self, given: tuple[dict[str, Tensor], Tensor]) -> Prediction:
        """Return the reading of the averaged evidence."""
        said = self.alone(*given)
        views = self.views(said)
        return self.reading(average(views, said.available), views, said)

    def loss(self, batch: Batch, progress: float) -> tuple[Tensor, Tensor]:
        """Return the evidential losses and the mean degree of conflict."""
        said = self.alone(batch.inputs, batch.available)
        views = self.views(said)
        evidence = average(views, batch.available)
        some = batch.available.amax(-1)
        fused = evidential_loss(evidence, batch.target, some, self.ramp(progress))
        alone = self.view_losses(views, said, batch, progress)
        loss = torch.stack([fused, *alone]).mean()
        loss = loss + self.params.gamma * conflict_loss(views, batch.available)
        reading = self.reading(evidence, views, said)
        opinion = reading.logits.detach().softmax(-1)
        return loss + affect_loss(said, reading, batch), opinion


def conflict_loss(views: Tensor, available: Tensor) -> Tensor:
    """Return ``L_con = 1 / (V - 1) sum_p sum_{q != p} c(p, q)``, averaged over the windows.

    Parameters
    ----------
    views : Tensor, shape (B, M, K)
        Evidence, 0 where not available.
    available : Tensor, shape (B, M)
        V is the number of modalities a window has; one alone cannot conflict.
    """
    count = available.sum(-1)
    degree = conflict(views).sum((1, 2)) / (count - 1).clamp(min=1)
    return weighted_mean(degree, (count > 1).to(degree.dtype))


method = Rcml

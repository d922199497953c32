"""Reliable conflictive multi-view learning: averaged evidence and a penalty on conflict.

Xu et al. 2024, "Reliable conflictive multi-view learning" (AAAI; arXiv 2402.16897).
"""

from __future__ import annotations

from torch import Tensor

from consilience.methods.params.rcml import Params as RcmlParams
from consilience.methods.tmc import Evidential, affect_loss
from consilience.model.evidence import average, conflict
from consilience.model.losses import evidential_loss, weighted_mean
from consilience.model.types import Batch, Prediction, Windows


class Rcml(Evidential):
    """``[L(average) + sum_v L(view v)] / (V + 1) + gamma L_con``."""

    Params = RcmlParams

    def forward(self, windows: Windows) -> Prediction:
        """Compute the prediction of the averaged evidence."""
        output = self.unimodal_output(*windows)
        views = self.views(output)
        return self.evidential_prediction(average(views, output.available), views, output)

    def loss(self, batch: Batch, progress: float) -> tuple[Tensor, Tensor]:
        """Compute the evidential losses and the mean degree of conflict."""
        output = self.unimodal_output(batch.inputs, batch.available)
        views = self.views(output)
        evidence = average(views, batch.available)
        has_input = batch.available.amax(-1)
        fused = evidential_loss(evidence, batch.target, has_input, self.ramp(progress))
        alone = self.view_losses(views, output, batch, progress)
        loss = (fused + alone) / (1 + views.shape[1])
        loss = loss + self.params.gamma * conflict_loss(views, batch.available)
        prediction = self.evidential_prediction(evidence, views, output)
        probability = prediction.logits.detach().softmax(-1)
        return loss + affect_loss(output, prediction, batch), probability


def conflict_loss(views: Tensor, available: Tensor) -> Tensor:
    """Compute ``L_con = 1 / (V - 1) sum_p sum_{q != p} c(p, q)``, averaged over the windows.

    Parameters
    ----------
    views : Tensor, shape (B, M, K)
        Evidence, 0 where not available.
    available : Tensor, shape (B, M)
        V is the number of modalities a window has; windows with fewer than two are skipped.

    Returns
    -------
    Tensor, scalar
    """
    count = available.sum(-1)
    degree = conflict(views).sum((1, 2)) / (count - 1).clamp(min=1)
    return weighted_mean(degree, (count > 1).to(degree.dtype))


method = Rcml

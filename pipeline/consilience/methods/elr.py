"""Early-learning regularisation on the hybrid: keep predictions from before memorisation.

Liu et al. 2020, "Early-learning regularization prevents memorization of noisy labels" (arXiv
2007.00151): ``CE + lambda ln(1 - <p, t>)``, where t is the moving average of this model's
predictions for a window up to its previous visit.
"""

from __future__ import annotations

from torch import Tensor

from consilience.methods.hybrid import Hybrid, summed_loss
from consilience.methods.params.elr import Params as ElrParams
from consilience.model.losses import beside, cross_entropy, mean_over_windows
from consilience.model.types import Batch


class Elr(Hybrid):
    """The hybrid with the regulariser beside every cross-entropy."""

    Params = ElrParams

    def loss(self, batch: Batch, progress: float) -> tuple[Tensor, Tensor]:
        """Compute the fused and the unimodal losses."""

        def class_loss(logits: Tensor, target: Tensor, weight: Tensor | None = None) -> Tensor:
            regulariser = early_learning(logits, batch.consensus, target, weight)
            return cross_entropy(logits, target, weight) + self.params.regularisation * regulariser

        output = self.network(batch.inputs, batch.available)
        loss = summed_loss(
            output, batch.available, batch.target, batch.affect, self.params.unimodal, class_loss
        )
        return loss, output.logits.detach().softmax(-1)


def early_learning(
    logits: Tensor, average: Tensor, target: Tensor, weight: Tensor | None = None
) -> Tensor:
    """Compute the mean of ``ln(1 - <p, t>)`` over the labelled windows.

    Parameters
    ----------
    logits : Tensor, shape (B, K) or (B, M, K)
        Of p.
    average, target : Tensor, shape (B, K)
        Averaged predictions t; labels, NaN where unlabelled.
    weight : Tensor, shape (B,) or (B, M), optional

    Returns
    -------
    Tensor, scalar
    """
    # The clamp keeps the logarithm and its gradient finite where p and t are equal and certain.
    agreement = (logits.softmax(-1) * beside(average, logits)).sum(-1).clamp(max=1 - 1e-4)
    loss = (1 - agreement).log()
    return mean_over_windows(loss, weight, target.isfinite().all(-1))


method = Elr

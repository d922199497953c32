"""Early-learning regularisation on the hybrid: hold on to what was thought before memorising.

Liu et al. 2020, "Early-learning regularization prevents memorization of noisy labels" (arXiv
2007.00151): ``CE + lambda ln(1 - <p, t>)``, where t is the moving average of this
model's opinions on a window, up to its visit before this one.
"""

from __future__ import annotations

from torch import Tensor

from consilience.methods.hybrid import Hybrid, summed_loss
from consilience.methods.params.elr import Params as ElrParams
from consilience.model.losses import cross_entropy, weighted_mean
from consilience.model.types import Batch


class Elr(Hybrid):
    """The hybrid with the regulariser beside every cross-entropy."""

    Params = ElrParams

    def loss(self, batch: Batch, progress: float) -> tuple[Tensor, Tensor]:
        """Return the fused and the unimodal losses."""

        def classify(logits: Tensor, target: Tensor, weight: Tensor | None = None) -> Tensor:
            memory = early_learning(logits, batch.consensus, target, weight)
            return cross_entropy(logits, target, weight) + self.params.regularisation * memory

        said = self.network(batch.inputs, batch.available)
        loss = summed_loss(
            said, batch.available, batch.target, batch.affect, self.params.unimodal, classify
        )
        return loss, said.logits.detach().softmax(-1)


def early_learning(
    logits: Tensor, memory: Tensor, target: Tensor, weight: Tensor | None = None
) -> Tensor:
    """Return the mean of ``ln(1 - <p, t>)`` over the labelled windows.

    Parameters
    ----------
    logits, memory, target : Tensor, shape (B, K)
        Of the probabilities p; the averaged opinions t; labels, NaN where there is none.
    weight : Tensor, shape (B,), optional
    """
    agreement = (logits.softmax(-1) * memory).sum(-1).clamp(max=1 - 1e-4)
    known = target.isfinite().all(-1).to(logits.dtype)
    return weighted_mean((1 - agreement).log(), known if weight is None else known * weight)


method = Elr

"""Self-training on the hybrid: its sure readings of clean windows label the augmented ones.

After FixMatch, Sohn et al. 2020 (arXiv 2001.07685): where a window has no label, the
class that the model gives a probability of at least tau on the complete, clean window is the
target for its masked, corrupted copy.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from consilience.methods.hybrid import Hybrid, summed_loss
from consilience.methods.params.self_training import Params as SelfTrainingParams
from consilience.model.losses import cross_entropy
from consilience.model.types import Batch


class SelfTraining(Hybrid):
    """The hybrid's loss plus the cross-entropy with its own confident readings."""

    Params = SelfTrainingParams

    def loss(self, batch: Batch, progress: float) -> tuple[Tensor, Tensor]:
        """Return the supervised loss and that of the unlabelled windows."""
        params = self.params
        said = self.network(batch.inputs, batch.available)
        with torch.no_grad():
            own = self.network(batch.clean, batch.present).logits.softmax(-1)
        loss = summed_loss(said, batch.available, batch.target, batch.affect, params.unimodal)
        ramp = min(1.0, progress / params.ramp) if params.ramp else 1.0
        unlabelled = pseudo_label_loss(said.logits, own, batch.target, params.threshold)
        return loss + params.unlabelled * ramp * unlabelled, own


def pseudo_label_loss(logits: Tensor, own: Tensor, target: Tensor, threshold: float) -> Tensor:
    """Return the cross-entropy with confident pseudo-labels, averaged over all unlabelled windows.

    Parameters
    ----------
    logits : Tensor, shape (B, K)
        Of the augmented windows.
    own : Tensor, shape (B, K)
        The model's probabilities for the clean windows, detached.
    target : Tensor, shape (B, K)
        Labels; the windows that count are those with NaN.
    threshold : float
    """
    unlabelled = (~target.isfinite().all(-1)).to(logits.dtype)
    sure = unlabelled * (own.amax(-1) >= threshold)
    label = F.one_hot(own.argmax(-1), own.shape[-1]).to(logits.dtype)
    share = sure.sum() / unlabelled.sum().clamp(min=1)
    return share * cross_entropy(logits, label, sure)


method = SelfTraining

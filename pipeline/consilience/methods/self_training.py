"""Self-training on the hybrid: its certain predictions of clean windows label the augmented ones.

After FixMatch, Sohn et al. 2020 (arXiv 2001.07685): where a window is unlabelled, a class with a
probability of at least tau for the complete, clean window is the target for its masked, corrupted
copy.
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
    """The hybrid's loss plus the cross-entropy with its own confident predictions."""

    Params = SelfTrainingParams

    def loss(self, batch: Batch, progress: float) -> tuple[Tensor, Tensor]:
        """Compute the supervised loss and that of the unlabelled windows."""
        params = self.params
        output = self.network(batch.inputs, batch.available)
        # No gradient: the clean view is the target and must not adapt to the augmented one.
        with torch.no_grad():
            clean = self.network(batch.clean, batch.present).logits.softmax(-1)
        loss = summed_loss(output, batch.available, batch.target, batch.affect, params.unimodal)
        ramp = min(1.0, progress / params.ramp) if params.ramp else 1.0
        unlabelled = pseudo_label_loss(output.logits, clean, batch.target, params.threshold)
        return loss + params.unlabelled * ramp * unlabelled, clean


def pseudo_label_loss(logits: Tensor, clean: Tensor, target: Tensor, threshold: float) -> Tensor:
    """Compute the cross-entropy with confident pseudo-labels, averaged over unlabelled windows.

    Parameters
    ----------
    logits : Tensor, shape (B, K)
        Of the augmented windows.
    clean : Tensor, shape (B, K)
        Probabilities of the clean windows, detached.
    target : Tensor, shape (B, K)
        Labels; rows with NaN are the unlabelled windows.
    threshold : float

    Returns
    -------
    Tensor, scalar
    """
    unlabelled = (~target.isfinite().all(-1)).to(logits.dtype)
    certain = unlabelled * (clean.amax(-1) >= threshold)
    label = F.one_hot(clean.argmax(-1), clean.shape[-1]).to(logits.dtype)
    # Divided by all unlabelled windows, not by the certain ones, as in the paper: the
    # weight of the term grows with the model's certainty.
    share = certain.sum() / unlabelled.sum().clamp(min=1)
    return share * cross_entropy(logits, label, certain)


method = SelfTraining

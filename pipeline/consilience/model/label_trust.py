"""Label trust: training targets that move towards the consensus where it contradicts a label.

A soft form of bootstrapping (Reed et al. 2014, "Training deep neural networks on noisy labels
with bootstrapping", arXiv 1412.6596), with a weight for each window instead of one for all.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from consilience.model.types import Batch

WARM_UP = 0.2  # share of the training before which the consensus is still the uniform start

Switch = Literal["auto", "on", "off"]


def trusted_target(batch: Batch, progress: float, mode: Switch, min_disagreement: float) -> Tensor:
    """Mix each label with the consensus, the more the consensus contradicts it.

    ``t y + (1 - t) q`` with the trust ``t = q_y / max_k q_k`` of label y under the consensus q.

    Parameters
    ----------
    batch : Batch
    progress : float
        Share of the training completed, 0 to 1.
    mode : {"auto", "on", "off"}
    min_disagreement : float
        Mean disagreement of the annotators from which ``auto`` means ``on``.

    Returns
    -------
    Tensor, shape (B, K)
        Unlabelled rows stay NaN.
    """
    if mode == "off" or progress < WARM_UP:
        return batch.target
    consensus = batch.consensus / batch.consensus.sum(-1, keepdim=True).clamp(min=1e-8)
    # Relative to the leading class: a label that the consensus prefers has trust 1, however
    # uncertain the consensus is.
    agreement = (batch.target * consensus).sum(-1) / consensus.amax(-1).clamp(min=1e-8)
    trust = agreement.clamp(max=1)[:, None]
    if mode == "auto":
        # A tensor condition, not an `if`: under vmap each run has its own disagreement.
        trust = torch.where(batch.disagreement >= min_disagreement, trust, 1.0)
    return trust * batch.target + (1 - trust) * consensus

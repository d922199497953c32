"""How far a label is to be believed: its agreement with what the model came to think of it."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from consilience.model.types import Batch

SETTLED = 0.2  # share of the training after which the consensus has something to say

Trust = Literal["auto", "on", "off"]


def trusted_target(batch: Batch, progress: float, mode: Trust, trust_from: float) -> Tensor:
    """Mix labels with the consensus where it contradicts them, once it has settled.

    ``t y + (1 - t) q`` with the trust ``t = q_y / max_k q_k`` of label y under the consensus q.

    Parameters
    ----------
    batch : Batch
    progress : float
        Share of the training behind us.
    mode : {"auto", "on", "off"}
    trust_from : float
        The annotators' mean disagreement from which ``auto`` means on.

    Returns
    -------
    Tensor, shape (B, K)
        Rows without a label stay NaN.
    """
    if mode == "off" or progress < SETTLED:
        return batch.target
    consensus = batch.consensus / batch.consensus.sum(-1, keepdim=True).clamp(min=1e-8)
    agreement = (batch.target * consensus).sum(-1) / consensus.amax(-1).clamp(min=1e-8)
    trust = agreement.clamp(max=1)[:, None]
    if mode == "auto":
        trust = torch.where(batch.disagreement >= trust_from, trust, 1.0)
    return trust * batch.target + (1 - trust) * consensus

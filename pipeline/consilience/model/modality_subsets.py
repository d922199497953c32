"""Whom to believe: every coalition of sensors, and how likely it is that exactly it is right.

A coalition is a set of sensors that are taken at their word while the others are left aside. With
the probability ``r_m`` that sensor m shows what it should,

    pi(S) ~ prod_{m in S} r_m  prod_{m not in S, available} (1 - r_m),

over the non-empty S among the available sensors, and the prediction is the mixture of what each
coalition predicts. Two sensors that contradict one another then stay two hypotheses and never
become one confident opinion about something in between.

Shapes: B windows, M modalities, S coalitions, K classes.
"""

from __future__ import annotations

from itertools import combinations

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid


def coalitions(n_modalities: int) -> Tensor:
    """Return all ``2^M - 1`` coalitions (S, M) of 1 and 0, the largest first."""
    sizes = range(n_modalities, 0, -1)
    members = [chosen for size in sizes for chosen in combinations(range(n_modalities), size)]
    masks = torch.zeros(len(members), n_modalities)
    for row, chosen in enumerate(members):
        masks[row, list(chosen)] = 1
    return masks


def belief(reliability: Tensor, available: Tensor, masks: Tensor) -> Tensor:
    """Return ``log pi`` (B, S) from the log odds (B, M) that each sensor is right.

    Parameters
    ----------
    reliability : Tensor, shape (B, M)
        Log odds; those of sensors that are not available count for nothing.
    available : Tensor, shape (B, M)
    masks : Tensor, shape (S, M)

    Returns
    -------
    Tensor, shape (B, S)
        Normalised; all of it on the first where nothing is available.
    """
    trusted = (logsigmoid(reliability) * available) @ masks.T
    left_aside = (logsigmoid(-reliability) * available) @ (1 - masks).T
    possible = ((1 - available) @ masks.T) == 0
    everybody = masks.sum(-1) == masks.shape[-1]
    possible = possible | (everybody & (available.sum(-1, keepdim=True) == 0))
    return torch.log_softmax(torch.where(possible, trusted + left_aside, -torch.inf), -1)


def mixture(log_belief: Tensor, logits: Tensor) -> Tensor:
    """Return log probabilities (B, K) of the mixture of the coalitions' logits (B, S, K)."""
    return torch.logsumexp(log_belief[..., None] + torch.log_softmax(logits, -1), 1)

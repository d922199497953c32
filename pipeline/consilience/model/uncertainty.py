"""What predictions say of themselves and of one another: uncertainty, agreement, evidence.

Shapes: B windows, M modalities, K classes. Availability is 1 or 0.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

EPSILON = 1e-8


def normalised_entropy(probability: Tensor) -> Tensor:
    """Return the entropy over the last axis in units of its maximum, ``H(p) / ln K``."""
    entropy = torch.special.entr(probability).sum(-1)
    return entropy / math.log(probability.shape[-1])


def jensen_shannon(first: Tensor, second: Tensor) -> Tensor:
    """Return the Jensen-Shannon divergence over the last axis in bits: 0 alike, 1 disjoint."""
    entropy = torch.special.entr
    mixed = entropy((first + second) / 2).sum(-1)
    return (mixed - (entropy(first) + entropy(second)).sum(-1) / 2).clamp(min=0) / math.log(2)


def vacuity(evidence: Tensor) -> Tensor:
    """Return the Dirichlet vacuity ``K / S`` of evidence (..., K): 1 without any evidence.

    Sensoy et al. 2018, "Evidential deep learning to quantify classification uncertainty".
    """
    classes = evidence.shape[-1]
    return classes / (classes + evidence.sum(-1))


def pairwise_coherence(probability: Tensor) -> Tensor:
    """Return how far each pair of modalities agrees, 0 to 1.

    Parameters
    ----------
    probability : Tensor, shape (B, M, K)
        What each modality alone predicts.

    Returns
    -------
    Tensor, shape (B, M, M)
        ``1 - JS / ln 2``, symmetric, 1 on the diagonal.
    """
    return 1 - jensen_shannon(probability[:, :, None], probability[:, None, :])


def modality_coherence(pairs: Tensor, certainty: Tensor, available: Tensor) -> Tensor:
    """Return each modality's agreement with its available partners, weighted by their certainty.

    Parameters
    ----------
    pairs : Tensor, shape (B, M, M)
    certainty, available : Tensor, shape (B, M)

    Returns
    -------
    Tensor, shape (B, M)
        1 where there is no partner to disagree with.
    """
    others = 1 - torch.eye(pairs.shape[-1], dtype=pairs.dtype, device=pairs.device)
    weight = (certainty + EPSILON)[:, None, :] * available[:, None, :] * others
    total = weight.sum(-1)
    return torch.where(total > 0, (weight * pairs).sum(-1) / total.clamp(min=EPSILON**2), 1.0)


def window_coherence(pairs: Tensor, available: Tensor) -> Tensor:
    """Return the mean agreement (B,) over the available pairs; 1 with fewer than two modalities."""
    upper = pairs.new_ones(pairs.shape[1:]).triu(1)
    weight = available[:, :, None] * available[:, None, :] * upper
    total = weight.sum((1, 2))
    return torch.where(total > 0, (weight * pairs).sum((1, 2)) / total.clamp(min=1), 1.0)


def fuse_gaussians(mean: Tensor, log_variance: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
    """Combine experts' normal distributions by their precision.

    The variance is the weighted harmonic mean, not the product's: the experts' errors are
    not independent.

    Parameters
    ----------
    mean, log_variance : Tensor, shape (B, E, A)
        E experts on A targets.
    weight : Tensor, shape (B, E)
        0 switches an expert off.

    Returns
    -------
    mean, log_variance : Tensor, shape (B, A)
        0 and 0, a standard normal, where every expert is off.
    """
    precision = weight[..., None] * torch.exp(-log_variance)
    total = precision.sum(1)
    alone = total <= 0
    safe = torch.where(alone, 1.0, total)
    fused = torch.where(alone, 0.0, (precision * mean).sum(1) / safe)
    share = torch.where(alone, 1.0, weight.sum(1, keepdim=True))
    return fused, torch.log(share) - torch.log(safe)

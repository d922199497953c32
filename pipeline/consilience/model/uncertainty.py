"""Uncertainty of predictions, agreement between them, and their fusion by precision.

Shapes: B windows, M modalities, K classes. Availability is 1 or 0.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

EPSILON = 1e-8
LEAST_PROBABILITY = 1e-30  # well inside single precision; its entropy is absorbed by rounding


def entropy_terms(probability: Tensor) -> Tensor:
    """Compute ``-p log p`` of each entry in nats: 0 at 0, with a finite slope everywhere."""
    # The slope of entr is infinite at 0, where the probabilities of separated classes underflow.
    return torch.special.entr(probability.clamp(min=LEAST_PROBABILITY))


def normalised_entropy(probability: Tensor) -> Tensor:
    """Compute the entropy over the last axis, divided by its maximum: ``H(p) / ln K``."""
    return entropy_terms(probability).sum(-1) / math.log(probability.shape[-1])


def jensen_shannon(first: Tensor, second: Tensor) -> Tensor:
    """Compute the Jensen-Shannon divergence over the last axis in bits: 0 equal, 1 disjoint.

    ``JS = H((p + q) / 2) - (H(p) + H(q)) / 2``; Lin 1991, "Divergence measures based on the
    Shannon entropy".
    """
    mixed = entropy_terms((first + second) / 2).sum(-1)
    separate = (entropy_terms(first) + entropy_terms(second)).sum(-1)
    # Rounding can make the difference of equal distributions slightly negative.
    return (mixed - separate / 2).clamp(min=0) / math.log(2)


def vacuity(evidence: Tensor) -> Tensor:
    """Compute the Dirichlet vacuity ``K / S`` of evidence (..., K): 1 without any evidence.

    Sensoy et al. 2018, "Evidential deep learning to quantify classification uncertainty".
    """
    classes = evidence.shape[-1]
    return classes / (classes + evidence.sum(-1))


def pairwise_coherence(probability: Tensor) -> Tensor:
    """Compute the agreement of each pair of modalities, 0 to 1.

    Parameters
    ----------
    probability : Tensor, shape (B, M, K)
        Predictions of each modality alone.

    Returns
    -------
    Tensor, shape (B, M, M)
        ``1 - JS`` in bits; symmetric, 1 on the diagonal.
    """
    return 1 - jensen_shannon(probability[:, :, None], probability[:, None, :])


def modality_coherence(pairs: Tensor, certainty: Tensor, available: Tensor) -> Tensor:
    """Compute each modality's agreement with the other available ones, weighted by certainty.

    Parameters
    ----------
    pairs : Tensor, shape (B, M, M)
        As `pairwise_coherence` returns them.
    certainty, available : Tensor, shape (B, M)

    Returns
    -------
    Tensor, shape (B, M)
        1 where no other modality is available.
    """
    others = 1 - torch.eye(pairs.shape[-1], dtype=pairs.dtype, device=pairs.device)
    # EPSILON: partners without any certainty are averaged evenly instead of dividing by 0.
    weight = (certainty + EPSILON)[:, None, :] * available[:, None, :] * others
    total = weight.sum(-1)
    return torch.where(total > 0, (weight * pairs).sum(-1) / total.clamp(min=EPSILON**2), 1.0)


def window_coherence(pairs: Tensor, available: Tensor) -> Tensor:
    """Compute the mean agreement over the available pairs of modalities.

    Parameters
    ----------
    pairs : Tensor, shape (B, M, M)
        As `pairwise_coherence` returns them.
    available : Tensor, shape (B, M)

    Returns
    -------
    Tensor, shape (B,)
        1 with fewer than two modalities.
    """
    upper = pairs.new_ones(pairs.shape[1:]).triu(1)  # each pair once
    weight = available[:, :, None] * available[:, None, :] * upper
    total = weight.sum((1, 2))
    return torch.where(total > 0, (weight * pairs).sum((1, 2)) / total.clamp(min=1), 1.0)


def fuse_gaussians(mean: Tensor, log_variance: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
    """Combine normal distributions by inverse-variance weighting.

    The fused variance is the weighted harmonic mean of the variances, larger than that of the
    product of the densities: the experts' errors are not independent.

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
    all_off = total <= 0
    # The unused branch of `where` must be finite as well, or its gradient is NaN.
    safe_total = torch.where(all_off, 1.0, total)
    fused = torch.where(all_off, 0.0, (precision * mean).sum(1) / safe_total)
    total_weight = torch.where(all_off, 1.0, weight.sum(1, keepdim=True))
    return fused, torch.log(total_weight) - torch.log(safe_total)

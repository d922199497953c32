"""Losses that skip unlabelled windows. Targets are distributions; NaN marks a missing one.

Every loss replaces NaN by a number before it computes, and gives it the weight 0 afterwards:
``0 * NaN`` is NaN, in the gradient too.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812


def weighted_mean(value: Tensor, weight: Tensor) -> Tensor:
    """Compute the mean under non-negative weights; 0 if all weights are 0."""
    return (value * weight).sum() / weight.sum().clamp(min=1e-8)


def cross_entropy(logits: Tensor, target: Tensor, weight: Tensor | None = None) -> Tensor:
    """Compute the mean cross-entropy with soft targets.

    Parameters
    ----------
    logits, target : Tensor, shape (B, K)
        Target rows with NaN are skipped.
    weight : Tensor, shape (B,), optional

    Returns
    -------
    Tensor, scalar
    """
    labelled = target.isfinite().all(-1)
    loss = -(torch.where(labelled[:, None], target, 0.0) * F.log_softmax(logits, -1)).sum(-1)
    has_label = labelled.to(loss.dtype)
    return weighted_mean(loss, has_label if weight is None else has_label * weight)


def divergence(logits: Tensor, teacher: Tensor, temperature: float, weight: Tensor) -> Tensor:
    """Compute the distillation loss ``T^2 KL(teacher || student)`` of tempered logits.

    Hinton et al. 2015, "Distilling the knowledge in a neural network" (arXiv 1503.02531).

    Parameters
    ----------
    logits, teacher : Tensor, shape (B, K)
        The teacher's logits are detached.
    temperature : float
    weight : Tensor, shape (B,)

    Returns
    -------
    Tensor, scalar
    """
    target = F.log_softmax(teacher.detach() / temperature, -1)
    student = F.log_softmax(logits / temperature, -1)
    value = (target.exp() * (target - student)).sum(-1)
    # Gradients of tempered logits shrink with 1 / T^2; the factor keeps their size independent
    # of the temperature (section 2 of the paper).
    return temperature**2 * weighted_mean(value, weight)


def gaussian_nll(
    mean: Tensor, log_variance: Tensor, target: Tensor, weight: Tensor | None = None
) -> Tensor:
    """Compute the mean Gaussian negative log likelihood, without its constant.

    Parameters
    ----------
    mean, log_variance, target : Tensor, shape (B, A)
        Target values of NaN are skipped.
    weight : Tensor, shape (B,), optional

    Returns
    -------
    Tensor, scalar
    """
    labelled = target.isfinite()
    error = torch.where(labelled, target, 0.0) - mean
    loss = 0.5 * (log_variance + error.square() * torch.exp(-log_variance))
    counted = labelled.to(loss.dtype)
    return weighted_mean(loss, counted if weight is None else counted * weight[:, None])


def evidential_loss(evidence: Tensor, target: Tensor, weight: Tensor, ramp: float) -> Tensor:
    """Compute the expected cross-entropy under ``Dirichlet(evidence + 1)`` and its regulariser.

    ``sum_k y_k (psi(S) - psi(alpha_k)) + ramp KL(Dir(alpha~) || Dir(1))`` with the evidence for
    wrong classes ``alpha~ = y + (1 - y) alpha``; Sensoy et al. 2018, "Evidential deep learning to
    quantify classification uncertainty" (arXiv 1806.01768), equations 4 and 5.

    Parameters
    ----------
    evidence, target : Tensor, shape (B, K)
    weight : Tensor, shape (B,)
    ramp : float
        Weight of the regulariser.

    Returns
    -------
    Tensor, scalar
    """
    labelled = target.isfinite().all(-1)
    y = torch.where(labelled[:, None], target, 0.0)
    alpha = evidence + 1
    fit = (y * (alpha.sum(-1, keepdim=True).digamma() - alpha.digamma())).sum(-1)
    # Only the evidence for wrong classes is pulled towards 0: that of the label is set to 1.
    misleading = y + (1 - y) * alpha
    strength = misleading.sum(-1)
    classes = torch.tensor(float(alpha.shape[-1]), device=alpha.device)
    regulariser = (
        strength.lgamma()
        - classes.lgamma()
        - misleading.lgamma().sum(-1)
        + ((misleading - 1) * (misleading.digamma() - strength.digamma()[:, None])).sum(-1)
    )
    return weighted_mean(fit + ramp * regulariser, weight * labelled)

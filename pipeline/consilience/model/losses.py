"""Losses that skip what has no label. Targets are distributions; NaN marks a missing one."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812


def weighted_mean(value: Tensor, weight: Tensor) -> Tensor:
    """Return the mean under non-negative weights; 0 if all are 0."""
    return (value * weight).sum() / weight.sum().clamp(min=1e-8)


def cross_entropy(logits: Tensor, target: Tensor, weight: Tensor | None = None) -> Tensor:
    """Return the mean cross-entropy with soft targets.

    Parameters
    ----------
    logits, target : Tensor, shape (B, K)
        A target row with NaN counts for nothing.
    weight : Tensor, shape (B,), optional
    """
    labelled = target.isfinite().all(-1)
    loss = -(torch.where(labelled[:, None], target, 0.0) * F.log_softmax(logits, -1)).sum(-1)
    known = labelled.to(loss.dtype)
    return weighted_mean(loss, known if weight is None else known * weight)


def divergence(logits: Tensor, teacher: Tensor, temperature: float, weight: Tensor) -> Tensor:
    """Return ``T^2 KL(teacher || student)`` of tempered logits, the teacher's side detached.

    Hinton et al. 2015, "Distilling the knowledge in a neural network".
    """
    target = F.log_softmax(teacher.detach() / temperature, -1)
    student = F.log_softmax(logits / temperature, -1)
    value = (target.exp() * (target - student)).sum(-1)
    return temperature**2 * weighted_mean(value, weight)


def gaussian_nll(
    mean: Tensor, log_variance: Tensor, target: Tensor, weight: Tensor | None = None
) -> Tensor:
    """Return the mean negative log likelihood, up to a constant, over the targets that are known.

    Parameters
    ----------
    mean, log_variance, target : Tensor, shape (B, A)
        A NaN target counts for nothing.
    weight : Tensor, shape (B,), optional
    """
    known = target.isfinite()
    error = torch.where(known, target, 0.0) - mean
    loss = 0.5 * (log_variance + error.square() * torch.exp(-log_variance))
    counted = known.to(loss.dtype)
    return weighted_mean(loss, counted if weight is None else counted * weight[:, None])


def evidential_loss(evidence: Tensor, target: Tensor, weight: Tensor, ramp: float) -> Tensor:
    """Return the expected cross-entropy under ``Dirichlet(evidence + 1)`` with its regulariser.

    ``sum_k y_k (psi(S) - psi(alpha_k))`` plus `ramp` times the divergence of the misleading
    evidence from the uniform Dirichlet; Sensoy et al. 2018, equations 4 and 5.

    Parameters
    ----------
    evidence, target : Tensor, shape (B, K)
    weight : Tensor, shape (B,)
    ramp : float
        Weight of the regulariser.
    """
    labelled = target.isfinite().all(-1)
    y = torch.where(labelled[:, None], target, 0.0)
    alpha = evidence + 1
    fit = (y * (alpha.sum(-1, keepdim=True).digamma() - alpha.digamma())).sum(-1)
    misled = y + (1 - y) * alpha
    total = misled.sum(-1)
    classes = torch.tensor(float(alpha.shape[-1]), device=alpha.device)
    excess = (
        total.lgamma()
        - classes.lgamma()
        - misled.lgamma().sum(-1)
        + ((misled - 1) * (misled.digamma() - total.digamma()[:, None])).sum(-1)
    )
    return weighted_mean(fit + ramp * excess, weight * labelled)

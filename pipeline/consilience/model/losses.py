"""Losses that skip unlabelled windows. Targets are distributions; NaN marks a missing one.

Every loss replaces NaN by a number before it computes, and gives it the weight 0 afterwards:
``0 * NaN`` is NaN, in the gradient too.

Outputs have the shape (B, K), or (B, M, K) for one loss of each modality: the result is then the
sum of the M losses. Computed at once, they need a third of the calls for three modalities. Targets
have the shape (B, K) for both.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812


def weighted_mean(value: Tensor, weight: Tensor) -> Tensor:
    """Compute the mean under non-negative weights; 0 if all weights are 0."""
    return (value * weight).sum() / weight.sum().clamp(min=1e-8)


def mean_over_windows(
    loss: Tensor, weight: Tensor | None = None, labelled: Tensor | None = None
) -> Tensor:
    """Compute the weighted mean over the windows; of (B, M), the sum of the M means.

    Parameters
    ----------
    loss : Tensor, shape (B,) or (B, M)
    weight : Tensor of the shape of `loss`, optional
        Non-negative; a mean is 0 if all of its weights are 0.
    labelled : Tensor of bool, shape (B,), optional
        False for windows to skip.

    Returns
    -------
    Tensor, scalar
    """
    counted = torch.ones_like(loss) if weight is None else weight
    if labelled is not None:
        counted = counted * beside(labelled.to(loss.dtype), loss)
    return ((loss * counted).sum(0) / counted.sum(0).clamp(min=1e-8)).sum()


def beside(target: Tensor, output: Tensor) -> Tensor:
    """Return a target (B, K) in a shape that combines with outputs (B, K) or (B, M, K)."""
    return target[:, None] if output.ndim > target.ndim else target


def cross_entropy(logits: Tensor, target: Tensor, weight: Tensor | None = None) -> Tensor:
    """Compute the mean cross-entropy with soft targets.

    Parameters
    ----------
    logits : Tensor, shape (B, K) or (B, M, K)
    target : Tensor, shape (B, K)
        Rows with NaN are skipped.
    weight : Tensor, shape (B,) or (B, M), optional

    Returns
    -------
    Tensor, scalar
    """
    labelled = target.isfinite().all(-1)
    truth = beside(torch.where(labelled[:, None], target, 0.0), logits)
    loss = -(truth * F.log_softmax(logits, -1)).sum(-1)
    return mean_over_windows(loss, weight, labelled)


def divergence(logits: Tensor, teacher: Tensor, temperature: float, weight: Tensor) -> Tensor:
    """Compute the distillation loss ``T^2 KL(teacher || student)`` of tempered logits.

    Hinton et al. 2015, "Distilling the knowledge in a neural network" (arXiv 1503.02531).

    Parameters
    ----------
    logits : Tensor, shape (B, K) or (B, M, K)
    teacher : Tensor, shape (B, K)
        Detached.
    temperature : float
    weight : Tensor, shape (B,) or (B, M)

    Returns
    -------
    Tensor, scalar
    """
    target = beside(F.log_softmax(teacher.detach() / temperature, -1), logits)
    student = F.log_softmax(logits / temperature, -1)
    value = (target.exp() * (target - student)).sum(-1)
    # Gradients of tempered logits shrink with 1 / T^2; the factor keeps their size independent
    # of the temperature (section 2 of the paper).
    return temperature**2 * mean_over_windows(value, weight)


def gaussian_nll(
    mean: Tensor, log_variance: Tensor, target: Tensor, weight: Tensor | None = None
) -> Tensor:
    """Compute the mean Gaussian negative log likelihood, without its constant.

    Parameters
    ----------
    mean, log_variance : Tensor, shape (B, A) or (B, M, A)
    target : Tensor, shape (B, A)
        NaN is skipped.
    weight : Tensor, shape (B,) or (B, M), optional

    Returns
    -------
    Tensor, scalar
    """
    labelled = target.isfinite()
    error = beside(torch.where(labelled, target, 0.0), mean) - mean
    loss = 0.5 * (log_variance + error.square() * torch.exp(-log_variance))
    counted = beside(labelled.to(loss.dtype), loss).expand_as(loss)
    if weight is not None:
        counted = counted * weight[..., None]
    # The mean over windows and targets together.
    n_counted = counted.sum((0, -1)).clamp(min=1e-8)
    return ((loss * counted).sum((0, -1)) / n_counted).sum()


def evidential_loss(evidence: Tensor, target: Tensor, weight: Tensor, ramp: float) -> Tensor:
    """Compute the expected cross-entropy under ``Dirichlet(evidence + 1)`` and its regulariser.

    ``sum_k y_k (psi(S) - psi(alpha_k)) + ramp KL(Dir(alpha~) || Dir(1))`` with the evidence for
    wrong classes ``alpha~ = y + (1 - y) alpha``; Sensoy et al. 2018, "Evidential deep learning to
    quantify classification uncertainty" (arXiv 1806.01768), equations 4 and 5.

    Parameters
    ----------
    evidence : Tensor, shape (B, K) or (B, M, K)
    target : Tensor, shape (B, K)
    weight : Tensor, shape (B,) or (B, M)
    ramp : float
        Weight of the regulariser.

    Returns
    -------
    Tensor, scalar
    """
    labelled = target.isfinite().all(-1)
    y = beside(torch.where(labelled[:, None], target, 0.0), evidence)
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
        + ((misleading - 1) * (misleading.digamma() - strength.digamma()[..., None])).sum(-1)
    )
    return mean_over_windows(fit + ramp * regulariser, weight, labelled)

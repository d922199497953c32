"""Opinions of subjective logic: evidence of several views, their combination and conflict.

Evidence ``e >= 0`` stands for a Dirichlet ``alpha = e + 1`` with strength ``S = sum alpha``, belief
``b = e / S`` and vacuity ``u = K / S``. Shapes: B windows, V views, K classes. A view without
evidence (a modality that is not available) says nothing.
"""

from __future__ import annotations

import torch
from torch import Tensor

from consilience.model.uncertainty import vacuity


def expected_probability(evidence: Tensor) -> Tensor:
    """Return the Dirichlet's mean ``alpha / S`` over the last axis."""
    alpha = evidence + 1
    return alpha / alpha.sum(-1, keepdim=True)


def dempster(evidence: Tensor) -> Tensor:
    """Combine the views by Dempster's rule; Han et al. 2021, for all views at once.

    The rule's beliefs are ``b_k ~ prod_v (b_vk + u_v) - prod_v u_v`` and ``u ~ prod_v u_v``. With
    ``e = K b / u`` the normalisation, and so the measure of conflict, cancels.

    Parameters
    ----------
    evidence : Tensor, shape (B, V, K)

    Returns
    -------
    Tensor, shape (B, K)
        ``K (prod_v (1 + e_vk / K) - 1)``
    """
    classes = evidence.shape[-1]
    return classes * torch.expm1(torch.log1p(evidence / classes).sum(1))


def average(evidence: Tensor, available: Tensor) -> Tensor:
    """Combine the available views by conflictive opinion aggregation: their mean evidence.

    Xu et al. 2024, "Reliable conflictive multi-view learning".

    Parameters
    ----------
    evidence : Tensor, shape (B, V, K)
        0 where not available.
    available : Tensor, shape (B, V)
    """
    return evidence.sum(1) / available.sum(-1, keepdim=True).clamp(min=1)


def conflict(evidence: Tensor) -> Tensor:
    """Return the degree of conflict of each pair of views, 0 to 1.

    Xu et al. 2024: the distance of the projected probabilities,
    ``sum_k |p_k - q_k| / 2``, times the conjunctive certainty ``(1 - u_p)(1 - u_q)``.

    Parameters
    ----------
    evidence : Tensor, shape (B, V, K)

    Returns
    -------
    Tensor, shape (B, V, V)
        Symmetric; 0 on the diagonal, and wherever a view has no evidence.
    """
    probability = expected_probability(evidence)
    distance = (probability[:, :, None] - probability[:, None]).abs().sum(-1) / 2
    certainty = 1 - vacuity(evidence)
    return distance * certainty[:, :, None] * certainty[:, None]

"""Subjective logic: evidence of several views, its combination and the conflict between views.

Evidence ``e >= 0`` stands for a Dirichlet ``alpha = e + 1`` with strength ``S = sum alpha``,
belief mass ``b = e / S`` and vacuity ``u = K / S`` (Jøsang 2016, "Subjective logic"). Shapes:
B windows, V views, K classes. A modality that is not available is a view without evidence.
"""

from __future__ import annotations

import torch
from torch import Tensor

from consilience.model.uncertainty import vacuity


def expected_probability(evidence: Tensor) -> Tensor:
    """Compute the Dirichlet's mean ``alpha / S`` over the last axis."""
    alpha = evidence + 1
    return alpha / alpha.sum(-1, keepdim=True)


def dempster(evidence: Tensor) -> Tensor:
    """Combine all views by the reduced Dempster's rule.

    Han et al. 2021, "Trusted multi-view classification" (arXiv 2102.02051), who combine two views
    at a time. In closed form the belief masses are ``b_k ~ prod_v (b_vk + u_v) - prod_v u_v`` and
    ``u ~ prod_v u_v``; with ``e = K b / u`` the normalisation by the conflict cancels.

    Parameters
    ----------
    evidence : Tensor, shape (B, V, K)

    Returns
    -------
    Tensor, shape (B, K)
        ``K (prod_v (1 + e_vk / K) - 1)``
    """
    classes = evidence.shape[-1]
    # log1p and expm1 keep small evidence, which 1 + e / K would round away.
    return classes * torch.expm1(torch.log1p(evidence / classes).sum(1))


def discounted(evidence: Tensor, trust: Tensor) -> Tensor:
    """Discount each view by its trust: ``b' = t b``, ``u' = 1 - t (1 - u)``.

    Jøsang 2016, "Subjective logic", probability-sensitive trust discounting.

    Parameters
    ----------
    evidence : Tensor, shape (B, V, K)
    trust : Tensor, shape (B, V)
        0 to 1; 1 leaves a view as it is.

    Returns
    -------
    Tensor, shape (B, V, K)
        ``K b' / u'``
    """
    unknown = vacuity(evidence)[..., None]
    kept = trust[..., None]
    # b / u = e / K: only the vacuity changes in proportion to the masses.
    return kept * evidence * unknown / (1 - kept * (1 - unknown))


def average(evidence: Tensor, available: Tensor) -> Tensor:
    """Combine the available views by conflictive opinion aggregation: their mean evidence.

    Xu et al. 2024, "Reliable conflictive multi-view learning" (arXiv 2402.16897).

    Parameters
    ----------
    evidence : Tensor, shape (B, V, K)
        0 where not available.
    available : Tensor, shape (B, V)

    Returns
    -------
    Tensor, shape (B, K)
    """
    return evidence.sum(1) / available.sum(-1, keepdim=True).clamp(min=1)


def conflict(evidence: Tensor) -> Tensor:
    """Compute the degree of conflict of each pair of views, 0 to 1.

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
    # With a uniform base rate the projected probability b + u / K is the Dirichlet's mean.
    probability = expected_probability(evidence)
    distance = (probability[:, :, None] - probability[:, None]).abs().sum(-1) / 2
    certainty = 1 - vacuity(evidence)
    return distance * certainty[:, :, None] * certainty[:, None]

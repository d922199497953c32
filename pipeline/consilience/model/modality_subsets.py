"""Mixture over modality subsets: a prediction for every non-empty subset, and its weight.

Each subset S stands for the hypothesis that exactly the modalities in S are valid. With the
probability ``r_m`` that modality m is valid, independently of the others,

    pi(S) ~ prod_{m in S} r_m  prod_{m not in S, available} (1 - r_m),

over the non-empty subsets of the available modalities. With more than `MAX_ALL` modalities only the
subsets are listed in which at most two modalities are invalid, and the single modalities: the
number of all would double with every modality. The prediction is the mixture of the
subsets' predictions. Two modalities that contradict each other therefore remain two hypotheses
instead of being averaged into a confident prediction of a third class.

Shapes: B windows, M modalities, S subsets, K classes.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

MAX_ALL = 6  # modalities up to which all subsets are listed


def modality_subsets(n_modalities: int) -> Tensor:
    """Return the masks of the subsets: all non-empty ones up to `MAX_ALL` modalities.

    Returns
    -------
    Tensor, shape (S, M)
        1 for the members of a subset, else 0; the full set comes first, single modalities last.
    """
    sizes: Sequence[int] = range(n_modalities, 0, -1)
    if n_modalities > MAX_ALL:
        sizes = (n_modalities, n_modalities - 1, n_modalities - 2, 1)
    subsets = [members for size in sizes for members in combinations(range(n_modalities), size)]
    masks = torch.zeros(len(subsets), n_modalities)
    for row, members in enumerate(subsets):
        masks[row, list(members)] = 1
    return masks


def subset_log_weights(log_odds: Tensor, available: Tensor, masks: Tensor) -> Tensor:
    """Compute ``log pi`` of every subset.

    Parameters
    ----------
    log_odds : Tensor, shape (B, M)
        Log odds that each modality is valid; ignored where it is not available.
    available : Tensor, shape (B, M)
    masks : Tensor, shape (S, M)
        As `modality_subsets` returns them.

    Returns
    -------
    Tensor, shape (B, S)
        Normalised; all weight is on the first subset where no modality is available.
    """
    # logsigmoid(x) = log r and logsigmoid(-x) = log(1 - r), exact for extreme odds too.
    included = (logsigmoid(log_odds) * available) @ masks.T
    excluded = (logsigmoid(-log_odds) * available) @ (1 - masks).T
    possible = possible_subsets(available, masks)
    return torch.log_softmax(torch.where(possible, included + excluded, -torch.inf), -1)


def possible_subsets(available: Tensor, masks: Tensor) -> Tensor:
    """Return which subsets stand for a set of available modalities.

    Parameters
    ----------
    available : Tensor, shape (B, M)
    masks : Tensor, shape (S, M)
        As `modality_subsets` returns them.

    Returns
    -------
    Tensor of bool, shape (B, S)
        Only the first subset where no modality is available.
    """
    if masks.shape[-1] <= MAX_ALL:
        # A subset is possible only if it has no unavailable member.
        possible = ((1 - available) @ masks.T) == 0
    else:
        possible = _possible_of_many(available, masks)
    # Without any modality no subset is possible; one must remain, or a softmax is NaN.
    full_set = masks.sum(-1) == masks.shape[-1]
    return possible | (full_set & (available.sum(-1, keepdim=True) == 0))


def _possible_of_many(available: Tensor, masks: Tensor) -> Tensor:
    """Return which subsets are possible (B, S) where not all are listed.

    A subset stands for its available members. It is possible if all modalities that it excludes
    are available, so that each hypothesis on invalid modalities counts once. Single modalities
    count where excluding two leaves more than one.
    """
    excluded_absent = (1 - available) @ (1 - masks).T
    alone = masks.sum(-1) == 1
    several = available.sum(-1, keepdim=True) > 3
    left = available @ masks.T > 0
    return torch.where(alone, left & several, (excluded_absent == 0) & left)


def mixture(log_weights: Tensor, logits: Tensor) -> Tensor:
    """Mix the subsets' predictions.

    Parameters
    ----------
    log_weights : Tensor, shape (B, S)
        As `subset_log_weights` returns them.
    logits : Tensor, shape (B, S, K)
        Of each subset.

    Returns
    -------
    Tensor, shape (B, K)
        Log probabilities.
    """
    return torch.logsumexp(log_weights[..., None] + torch.log_softmax(logits, -1), 1)

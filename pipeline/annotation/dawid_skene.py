"""Who names which class for which: consensus of annotators who err in ways of their own."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

POOLING = 4.0  # pseudo-votes per true class that an annotator errs as all do together
CANDOUR = 2.0  # pseudo-votes per true class, of all together, that classes are named rightly
PRECISION = 1e-7
MAX_STEPS = 500

Floats = NDArray[np.float64]
Indices = NDArray[np.intp]


@dataclass(frozen=True)
class Verdicts:
    """What annotators say together, and what each is worth.

    Attributes
    ----------
    posterior : ndarray of float64, shape (n_items, K)
        Probability of each class.
    confusion : ndarray of float64, shape (n_annotators, K, K)
        How likely each annotator names which class (column) if another is true (row).
    prevalence : ndarray of float64, shape (K,)
        Share of each class among the items.
    reliability : ndarray of float64, shape (n_annotators,)
        Probability that the annotator names the true class.
    """

    posterior: Floats
    confusion: Floats
    prevalence: Floats
    reliability: Floats


def dawid_skene(
    item: Indices,
    annotator: Indices,
    vote: Floats,
    nearness: Floats | None = None,
) -> Verdicts:
    """Estimate classes and annotators' confusions by expectation and maximisation.

    Dawid and Skene (1979), Applied Statistics 28(1):20-28, as maximum a posteriori: each row of an
    annotator's confusion has a Dirichlet prior of `POOLING` pseudo-votes shaped like the confusion
    of all annotators together, so that who has said little counts as one of them. An annotator
    may share a vote between classes.

    Parameters
    ----------
    item, annotator : ndarray of intp, shape (n_votes,)
        Who votes on what, both numbered from 0.
    vote : ndarray of float64, shape (n_votes, K)
        The classes' shares in the vote; each row adds up to 1.
    nearness : ndarray of float64, shape (K, K), or None
        For levels of a scale: how likely each is taken for which before anything is known; rows
        add up to 1. None: every class is as likely named rightly.

    Returns
    -------
    Verdicts
    """
    n_items, n_annotators, n_classes = item.max() + 1, annotator.max() + 1, vote.shape[1]
    candour = CANDOUR * (np.eye(n_classes) if nearness is None else nearness)
    candour = candour + 1 / n_classes
    posterior = _sum_by(item, vote, n_items)
    posterior /= posterior.sum(axis=1, keepdims=True)
    for _ in range(MAX_STEPS):
        joint = posterior[item][:, :, None] * vote[:, None, :]
        counts = _sum_by(annotator, joint, n_annotators)
        pooled = _rows_to_one(counts.sum(axis=0) + candour)
        confusion = _rows_to_one(counts + POOLING * pooled)
        prevalence = (posterior.sum(axis=0) + 1) / (n_items + n_classes)
        evidence = np.einsum("jk,jtk->jt", vote, np.log(confusion)[annotator])
        logits = np.log(prevalence) + _sum_by(item, evidence, n_items)
        logits -= logits.max(axis=1, keepdims=True)
        before, posterior = posterior, _rows_to_one(np.exp(logits))
        if np.abs(posterior - before).max() < PRECISION:
            break
    reliability = np.einsum("t,att->a", prevalence, confusion)
    return Verdicts(posterior, confusion, prevalence, reliability)


def nearness_of_levels(n_levels: int) -> Floats:
    """Return how likely each level of a scale is taken for which: half as likely a step further."""
    levels = np.arange(n_levels)
    return _rows_to_one(0.5 ** np.abs(levels[:, None] - levels).astype(np.float64))


def _sum_by(group: Indices, values: Floats, n_groups: int) -> Floats:
    """Return sums of the rows of each group, shape (n_groups, ...)."""
    flat = values.reshape(len(values), -1)
    sums = [np.bincount(group, column, minlength=n_groups) for column in flat.T]
    table: Floats = np.stack(sums, axis=1).astype(np.float64)
    return table.reshape(n_groups, *values.shape[1:])


def _rows_to_one(values: Floats) -> Floats:
    result: Floats = values / values.sum(axis=-1, keepdims=True)
    return result

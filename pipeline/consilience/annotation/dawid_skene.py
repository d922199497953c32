"""Who names which class for which: consensus of annotators who err in ways of their own."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

POOLING = 10.0  # pseudo-votes per true class that an annotator errs as all do together
CANDOUR = 2.0  # pseudo-votes per true class, of all together, that classes are named rightly
PRECISION = 1e-7
MAX_STEPS = 500

Floats = NDArray[np.float64]
Indices = NDArray[np.intp]


@dataclass(frozen=True)
class DawidSkeneFit:
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
) -> DawidSkeneFit:
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
        The classes' shares in the vote, which add up to 1; or how many of the annotators that are
        one here voted for each.

    Returns
    -------
    DawidSkeneFit
    """
    n_items, n_annotators, n_classes = item.max() + 1, annotator.max() + 1, vote.shape[1]
    candour = CANDOUR * np.eye(n_classes) + 1 / n_classes
    probability = _rows_to_one(_sum_by(item, vote, n_items))
    for _ in range(MAX_STEPS):
        joint = probability[item][:, :, None] * vote[:, None, :]
        counts = _sum_by(annotator, joint, n_annotators)
        pooled = _rows_to_one(counts.sum(axis=0) + candour)
        confusion = _rows_to_one(counts + POOLING * pooled)
        prevalence = (probability.sum(axis=0) + 1) / (n_items + n_classes)
        reliability = np.einsum("t,att->a", prevalence, confusion)
        found = DawidSkeneFit(probability, confusion, prevalence, reliability)
        probability = posterior(item, annotator, vote, found)
        if np.abs(probability - found.posterior).max() < PRECISION:
            break
    return replace(found, posterior=probability)


def posterior(item: Indices, annotator: Indices, vote: Floats, known: DawidSkeneFit) -> Floats:
    """Return the classes' probabilities, shape (n_items, K), from confusions known already."""
    evidence = np.einsum("jk,jtk->jt", vote, np.log(known.confusion)[annotator])
    logits = np.log(known.prevalence) + _sum_by(item, evidence, item.max() + 1)
    return _rows_to_one(np.exp(logits - logits.max(axis=1, keepdims=True)))


def _sum_by(group: Indices, values: Floats, n_groups: int) -> Floats:
    """Return sums of the rows of each group, shape (n_groups, ...)."""
    flat = values.reshape(len(values), -1)
    sums = [np.bincount(group, column, minlength=n_groups) for column in flat.T]
    table: Floats = np.stack(sums, axis=1).astype(np.float64)
    return table.reshape(n_groups, *values.shape[1:])


def _rows_to_one(values: Floats) -> Floats:
    result: Floats = values / values.sum(axis=-1, keepdims=True)
    return result

"""Class consensus from votes, with a confusion matrix per annotator (Dawid-Skene)."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

POOLED_VOTES = 10.0  # pseudo-votes per true class with the confusion of all annotators together
CORRECT_VOTES = 2.0  # pseudo-votes per true class, of all together, for the correct class
CONVERGED = 1e-7  # largest change of a probability
MAX_STEPS = 500

Floats = NDArray[np.float64]
Indices = NDArray[np.intp]


@dataclass(frozen=True)
class DawidSkeneFit:
    """Class consensus of items, and the confusion matrix of each annotator.

    Attributes
    ----------
    posterior : ndarray of float64, shape (n_items, K)
        Probability of each class.
    confusion : ndarray of float64, shape (n_annotators, K, K)
        Probability that the annotator names a class (column), given the true class (row).
    prevalence : ndarray of float64, shape (K,)
        Share of each class among the items.
    reliability : ndarray of float64, shape (n_annotators,)
        Probability that the annotator names the true class.
    """

    posterior: Floats
    confusion: Floats
    prevalence: Floats
    reliability: Floats


def dawid_skene(item: Indices, annotator: Indices, votes: Floats) -> DawidSkeneFit:
    """Estimate classes and annotators' confusions by expectation maximisation.

    Dawid and Skene (1979), Applied Statistics 28(1):20-28, as maximum a posteriori: each row of
    an annotator's confusion has a Dirichlet prior of `POOLED_VOTES` pseudo-votes, distributed as
    the confusion of all annotators together. Annotators with few votes are thus treated as
    average ones. An annotator may divide a vote between classes.

    Parameters
    ----------
    item, annotator : ndarray of intp, shape (n_votes,)
        Item and annotator of each vote, both numbered from 0.
    votes : ndarray of float64, shape (n_votes, K)
        Shares of the classes, which sum to 1; or counts, if a group of people is treated as one
        annotator.

    Returns
    -------
    DawidSkeneFit
    """
    n_items, n_annotators, n_classes = item.max() + 1, annotator.max() + 1, votes.shape[1]
    # Without votes for the correct class the solution is only unique up to a permutation.
    prior = CORRECT_VOTES * np.eye(n_classes) + 1 / n_classes
    probability = _normalised(_sum_by(item, votes, n_items))
    for _ in range(MAX_STEPS):
        # M step: expected votes of each annotator, by true and by named class.
        joint = probability[item][:, :, None] * votes[:, None, :]
        counts = _sum_by(annotator, joint, n_annotators)
        pooled = _normalised(counts.sum(axis=0) + prior)
        confusion = _normalised(counts + POOLED_VOTES * pooled)
        prevalence = (probability.sum(axis=0) + 1) / (n_items + n_classes)
        reliability = np.clip(np.einsum("t,att->a", prevalence, confusion), 0, 1)  # rounding
        fit = DawidSkeneFit(probability, confusion, prevalence, reliability)
        probability = posterior(item, annotator, votes, fit)  # E step
        if np.abs(probability - fit.posterior).max() < CONVERGED:
            break
    return replace(fit, posterior=probability)


def posterior(item: Indices, annotator: Indices, votes: Floats, fit: DawidSkeneFit) -> Floats:
    """Compute class probabilities of items from the confusions and prevalences of a fit.

    Parameters
    ----------
    item, annotator : ndarray of intp, shape (n_votes,)
    votes : ndarray of float64, shape (n_votes, K)
    fit : DawidSkeneFit
        May be fitted to other items of the same annotators.

    Returns
    -------
    ndarray of float64, shape (n_items, K)
    """
    evidence = np.einsum("jk,jtk->jt", votes, np.log(fit.confusion)[annotator])
    logits = np.log(fit.prevalence) + _sum_by(item, evidence, item.max() + 1)
    # Many votes give log probabilities far below the range of exp.
    return _normalised(np.exp(logits - logits.max(axis=1, keepdims=True)))


def _sum_by(group: Indices, values: Floats, n_groups: int) -> Floats:
    """Return sums of the rows of each group, shape (n_groups, ...)."""
    flat = values.reshape(len(values), -1)
    sums = [np.bincount(group, column, minlength=n_groups) for column in flat.T]
    table: Floats = np.stack(sums, axis=1).astype(np.float64)
    return table.reshape(n_groups, *values.shape[1:])


def _normalised(values: Floats) -> Floats:
    """Scale the last axis to a sum of 1."""
    result: Floats = values / values.sum(axis=-1, keepdims=True)
    return result

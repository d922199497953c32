"""Scores of windows: how useful another annotation of each would be.

Every function returns one number a window, the larger the more useful.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from consilience.query.evidence import (
    Array,
    QueryEvidence,
    disagreement,
    entropy,
    label_distrust,
)
from consilience.schema.params.query import QueryParams


class CoherenceScore(NamedTuple):
    """Terms of the coherence score, each of shape (N,)."""

    distrust: Array
    disagreement: Array
    vacuity: Array

    @property
    def total(self) -> Array:
        """The score."""
        return self.distrust + self.disagreement + self.vacuity


def coherence(evidence: QueryEvidence, params: QueryParams) -> CoherenceScore:
    """Compute the coherence score: whether the class is wrong, or the sensors leave it open.

    The sum of the probability that the window's class is wrong (`evidence.label_distrust`), the
    contradiction between reliable sensors (`evidence.disagreement`) and the lack of evidence
    (vacuity), with the weights of the parameters.
    """
    return CoherenceScore(
        label_distrust(evidence),
        params.disagreement * disagreement(evidence),
        params.vacuity * np.nan_to_num(evidence.vacuity),
    )


def margin(evidence: QueryEvidence) -> Array:
    """Return 1 less the lead of the first class over the second (Scheffer et al. 2001)."""
    ordered = np.sort(evidence.mean, -1)
    return np.asarray(1 - (ordered[:, -1] - ordered[:, -2]))


def bald(evidence: QueryEvidence) -> Array:
    """Return the mutual information of class and seed, nats (Houlsby et al. 2011).

    The entropy of the mean prediction less the mean entropy of the predictions.
    """
    return np.asarray(entropy(evidence.mean) - entropy(evidence.probability).mean(0))


def confident_issues(probability: Array, label: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return the labels that confident learning lists as errors (Northcutt et al. 2021).

    A window counts as class j if its predicted probability of j is at least the mean probability
    of j among the windows with that label; of several, the most probable. The windows off the
    diagonal of this confident joint are errors, except where the most probable class of all is the
    label, as in cleanlab's ``find_label_issues(filter_by="confident_learning")``.

    Parameters
    ----------
    probability : ndarray, shape (n, K)
        Predicted without the windows' own labels.
    label : ndarray of int, shape (n,)
    """
    n_classes = probability.shape[1]
    thresholds = np.array(
        [
            probability[label == k, k].mean() if (label == k).any() else np.inf
            for k in range(n_classes)
        ]
    )
    above = probability >= thresholds - 1e-6
    confident = np.where(above, probability, -1.0).argmax(1)
    differs = above.any(1) & (confident != label)
    return np.asarray(differs & (probability.argmax(1) != label))


def confident_learning(evidence: QueryEvidence) -> Array:
    """Rank the errors of confident learning first, then all other windows, by their margin.

    The margin is that of the most probable other class over the label, from -1 to 1. Unlabelled
    windows, which confident learning does not rank, come between by their least confidence.
    """
    p, labelled = evidence.mean, evidence.labelled & evidence.predicted
    score = 1 - p.max(1)  # of unlabelled windows
    rows = np.flatnonzero(labelled)
    label = evidence.target[rows].argmax(1)
    of_label = p[rows, label]
    others = p[rows].copy()
    others[np.arange(len(rows)), label] = -np.inf
    lead = (others.max(1) - of_label) if len(rows) else of_label
    issues = confident_issues(p[rows], label) if len(rows) else np.zeros(0, bool)
    score[rows] = np.where(issues, 2 + lead, lead)
    return np.asarray(score)

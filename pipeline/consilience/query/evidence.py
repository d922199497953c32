"""Predictions for people held out, and what they indicate about windows and their labels.

Shapes: Z seeds, N windows, M sensors, K classes, D numbers of the latent space.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import entr, rel_entr, softmax

from consilience.training.label_reliability import accuracy, triangulated
from consilience.training.recording_coherence import sensor_evidence

SHARPNESS = tuple(np.geomspace(0.5, 8, 17))  # grid of inverse temperatures
MOST_ACCURATE = 0.99  # of labels; at 1 every contradiction would be the sensors' error

Array = NDArray[np.float64]


@dataclass(frozen=True)
class QueryEvidence:
    """Predictions of windows by models that were trained on other people.

    Attributes
    ----------
    probability : ndarray, shape (Z, N, K)
        Calibrated, by all sensors together; NaN where a window is not predicted.
    sensors : ndarray, shape (N, M, K)
        Calibrated, by each sensor alone; any value where it is not available.
    reliability : ndarray, shape (N, M)
        Of each sensor, 0 to 1; NaN where the method does not estimate it.
    available : ndarray of bool, shape (N, M)
    vacuity : ndarray, shape (N,)
    latent : ndarray, shape (N, D)
        Coordinates in one space for all windows, whose distances are comparable.
    target : ndarray, shape (N, K)
        Soft labels; rows of NaN are unlabelled.
    prior : ndarray, shape (N, K)
        Class frequencies in training.
    """

    probability: Array
    sensors: Array
    reliability: Array
    available: NDArray[np.bool_]
    vacuity: Array
    latent: Array
    target: Array
    prior: Array

    @property
    def predicted(self) -> NDArray[np.bool_]:
        """Whether a window has a prediction (N,)."""
        return np.asarray(np.isfinite(self.probability).all((0, 2)))

    @property
    def labelled(self) -> NDArray[np.bool_]:
        """Whether a window has a label (N,)."""
        return np.asarray(np.isfinite(self.target).all(1))

    @property
    def mean(self) -> Array:
        """Probability averaged over the seeds (N, K)."""
        return np.asarray(self.probability.mean(0))

    @property
    def weight(self) -> Array:
        """Reliability of the available sensors (N, M), 1 where it is not estimated."""
        return np.where(np.isfinite(self.reliability), self.reliability, 1.0) * self.available


def pooled(evidence: QueryEvidence) -> Array:
    """Combine the sensors to one posterior, each with its reliability as the exponent.

    The log-linear pool ``log q = log pi + sum_m r_m log(p_m / pi)``: an unreliable sensor adds
    nothing, and sensors that agree add up.

    Returns
    -------
    ndarray, shape (N, K)
    """
    of_sensors = sensor_evidence(evidence.sensors, evidence.available, evidence.prior)
    weighted = (of_sensors.log_ratios * evidence.weight[..., None]).sum(1)
    return np.asarray(softmax(of_sensors.log_prior + weighted, -1))


def label_accuracy(evidence: QueryEvidence) -> float:
    """Estimate the share of right labels without clean ones, at most `MOST_ACCURATE`.

    By triangulation of each pair of sensors and the label; see
    `consilience.training.label_reliability`.
    """
    n_classes = evidence.target.shape[1]
    reliability = triangulated(
        np.nan_to_num(evidence.sensors).argmax(-1),
        evidence.available & (evidence.labelled & evidence.predicted)[:, None],
        np.nan_to_num(evidence.target).argmax(1),
        n_classes,
    )
    return min(MOST_ACCURATE, accuracy(reliability, n_classes))


def label_distrust(evidence: QueryEvidence) -> Array:
    """Estimate the probability that the class of each window is wrong.

    Of a label y with the accuracy a (`label_accuracy`) and uniform errors, Bayes' rule gives the
    probability of each true class k, in proportion to ``q_k (w + (a - w) y_k)`` with
    ``w = (1 - a) / (K - 1)`` and the sensors' posterior q (`pooled`). An unlabelled window has the
    predicted class, which is wrong with the probability ``1 - max q``.

    Returns
    -------
    ndarray, shape (N,)
        0 to 1; NaN where a window is not predicted.
    """
    q, labelled = pooled(evidence), evidence.labelled & evidence.predicted
    y = np.where(labelled[:, None], evidence.target, 0.0)
    right = label_accuracy(evidence)
    wrong = (1 - right) / (y.shape[1] - 1)
    likelihood = wrong + (right - wrong) * y
    q = _sharpened(q, likelihood, labelled)
    posterior = q * likelihood
    posterior = posterior / posterior.sum(1, keepdims=True)
    of_label = 1 - (posterior * y).sum(1)
    distrust = np.where(labelled, of_label, 1 - q.max(1))
    return np.where(evidence.predicted, np.clip(distrust, 0, 1), np.nan)


def _sharpened(q: Array, likelihood: Array, labelled: NDArray[np.bool_]) -> Array:
    """Return a posterior at the inverse temperature under which the labels are most probable.

    A model that was calibrated on wrong labels is too uncertain: it explains them by itself.
    """
    log_q = np.log(np.maximum(q, 1e-12))

    def scaled(sharpness: float) -> Array:
        return np.asarray(softmax(sharpness * log_q, -1))

    if not labelled.any():
        return q

    def log_likelihood(sharpness: float) -> float:
        return float(np.log((scaled(sharpness) * likelihood).sum(1))[labelled].sum())

    return scaled(max(SHARPNESS, key=log_likelihood))


def disagreement(evidence: QueryEvidence) -> Array:
    """Compute how far the reliable sensors contradict each other (N,), 0 to 1.

    The Jensen-Shannon divergence of the sensors' posteriors with their reliabilities as weights
    (Lin 1991), divided by its largest value, ``ln min(K, number of sensors)``.
    """
    weight = evidence.weight
    total = weight.sum(1, keepdims=True)
    share = np.divide(weight, total, out=np.zeros_like(weight), where=total > 0)
    p = np.where(evidence.available[..., None], evidence.sensors, 1.0)
    mean = (share[..., None] * p).sum(1)
    divergence = (share * rel_entr(p, np.maximum(mean, 1e-12)[:, None]).sum(-1)).sum(1)
    most = np.log(np.clip(evidence.available.sum(1), 2, p.shape[-1]))
    return np.asarray(np.clip(divergence / most, 0, 1))


def entropy(probability: Array) -> Array:
    """Return the entropy of the last axis, nats."""
    return np.asarray(entr(probability).sum(-1))

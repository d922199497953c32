"""Coherence accumulated over a recording: which sensor contradicts the others.

One window rarely shows whether a sensor is mismatched. Log likelihood ratios of windows add up, so
that a swapped recording stands out. All quantities follow from the class probabilities
``p_j(k)`` that each sensor j alone predicts, and the class frequencies ``pi_k``. If sensors are
independent given the class, sensors S of a window agree in the class with the likelihood ratio

    Z(S) = sum_k pi_k prod_{j in S} p_j(k) / pi_k

to sensors of unrelated windows. All logarithms are natural.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.special import logsumexp

Array = NDArray[np.float64]

# Share of windows in which a sensor's prediction is taken to be worthless: bounds the weight of a
# single overconfident window at log(1 / LAPSE) per sensor.
LAPSE = 0.02
RAREST = 1e-6  # frequency of a class that no training window has
SMALLEST = 1e-12  # probability before its logarithm
LOG_SHARPNESS = (-2.0, 1.5)  # range of the fit: temperatures from 0.2 to 7


class SensorEvidence(NamedTuple):
    """Evidence of single sensors for the classes of N windows.

    Attributes
    ----------
    log_ratios : ndarray, shape (N, M, K)
        ``log(p_m(k) / pi_k)``; 0 where a sensor is not available.
    log_prior : ndarray, shape (N, K)
        ``log pi_k``.
    available : ndarray of bool, shape (N, M)
    """

    log_ratios: Array
    log_prior: Array
    available: NDArray[np.bool_]

    @property
    def comparable(self) -> NDArray[np.bool_]:
        """Whether a sensor is available, and another one beside it (N, M)."""
        return self.available & (self.available.sum(1, keepdims=True) > 1)

    def of_rows(self, rows: NDArray[np.int64]) -> SensorEvidence:
        """Return the evidence of some windows, by their positions."""
        return SensorEvidence(self.log_ratios[rows], self.log_prior[rows], self.available[rows])


def cross_fitted_sharpness(
    probability: Array, target: Array, prior: Array, fold: NDArray[np.int64]
) -> Array:
    """Estimate the inverse temperature of a sensor's predictions, without the window's own fold.

    Minimises the cross-entropy over the tested windows of all other folds, which are of other
    people (Guo et al. 2017, "On calibration of modern neural networks"). Overconfident sensors
    would contradict each other too often, and by too much.

    Parameters
    ----------
    probability : ndarray, shape (N, K)
        NaN where a window is not tested.
    target : ndarray, shape (N, K)
        Soft labels; NaN without a label.
    prior : ndarray, shape (N, K)
        Class frequencies in training; labels of other frequencies are weighted accordingly.
    fold : ndarray of int, shape (N,)
        The fold that tests a window.

    Returns
    -------
    ndarray, shape (N,)
        The exponent of the probabilities; 1 where no other fold has a label.
    """
    labelled = np.isfinite(probability).all(1) & np.isfinite(target).all(1)
    logits = np.log(np.maximum(probability, SMALLEST))
    sharpness = np.ones(len(fold))
    for number in np.unique(fold):
        others = labelled & (fold != number)
        if others.any():
            tested = fold == number
            sharpness[tested] = _sharpness(logits[others], target[others], prior[others])
    return sharpness


def _sharpness(logits: Array, target: Array, prior: Array) -> float:
    frequency = target.mean(0)
    weighted = target * prior / np.where(frequency > 0, frequency, 1)

    def cross_entropy(log_sharpness: float) -> float:
        scaled = logits * np.exp(log_sharpness)
        log_probability = scaled - logsumexp(scaled, -1, keepdims=True)
        return float(-(weighted * log_probability).sum() / weighted.sum())

    return float(np.exp(minimize_scalar(cross_entropy, bounds=LOG_SHARPNESS, method="bounded").x))


def sharpened(probability: Array, sharpness: Array) -> Array:
    """Return probabilities (N, K) to the power of the windows' sharpness (N,), normalised."""
    scaled = np.log(np.maximum(probability, SMALLEST)) * sharpness[:, None]
    return np.asarray(np.exp(scaled - logsumexp(scaled, -1, keepdims=True)))


def sensor_evidence(
    probability: Array, available: NDArray[np.bool_], prior: Array
) -> SensorEvidence:
    """Compute the evidence of each sensor for each class.

    Parameters
    ----------
    probability : ndarray, shape (N, M, K)
        Class probabilities by each sensor alone; any value where a sensor is not available.
    available : ndarray of bool, shape (N, M)
    prior : ndarray, shape (N, K)
        Class frequencies in training.
    """
    prior = np.maximum(prior, RAREST)
    prior = (prior / prior.sum(-1, keepdims=True))[:, None]
    mixed = (1 - LAPSE) * np.where(available[..., None], probability, prior) + LAPSE * prior
    log_ratios = np.where(available[..., None], np.log(mixed / prior), 0.0)
    return SensorEvidence(log_ratios, np.log(prior[:, 0]), available)


def log_likelihood_ratios(evidence: SensorEvidence) -> Array:
    """Compute ``log Z(all) - log Z(all but m)`` of every window and sensor m.

    Positive if a sensor agrees with the others, negative if it contradicts them.

    Returns
    -------
    ndarray, shape (N, M)
        0 where a sensor cannot be compared.
    """
    joint = evidence.log_prior + evidence.log_ratios.sum(1)
    others = joint[:, None] - evidence.log_ratios
    ratios = logsumexp(joint, -1)[:, None] - logsumexp(others, -1)
    return np.where(evidence.comparable, ratios, 0.0)


def mismatch_probability(llr: Array, prior: float) -> Array:
    """Compute the probability of each sensor to be the mismatched one of a recording.

    A softmax over "no mismatch" and "sensor m is mismatched", with at most one such sensor. Of two
    sensors both have the same probability: a mismatch is detected, but cannot be located.

    Parameters
    ----------
    llr : ndarray, shape (M,)
        Sums over the windows of the recording, of sensors that can be compared.
    prior : float
        Probability of a mismatch before the recording is seen, spread evenly over the sensors.

    Returns
    -------
    ndarray, shape (M,)
    """
    if not len(llr):
        return np.zeros(0)
    log_odds = np.concatenate([[np.log1p(-prior)], np.log(prior / len(llr)) - llr])
    return np.asarray(np.exp(log_odds - logsumexp(log_odds))[1:])

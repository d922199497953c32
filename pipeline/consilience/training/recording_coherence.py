"""Coherence accumulated over a recording: which sensor contradicts the others, and by which shift.

One window rarely shows whether a sensor is mismatched. Log likelihood ratios of windows add up, so
that a swapped or shifted recording stands out. All quantities follow from the class probabilities
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
ROUNDING_S = 1e-6  # of the windows' starts


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


class Timing(NamedTuple):
    """Times of one recording's windows.

    Attributes
    ----------
    start_s : ndarray, shape (N,)
        Sorted.
    trial : ndarray of str, shape (N,)
    """

    start_s: Array
    trial: NDArray[np.str_]

    @property
    def step_s(self) -> float | None:
        """Usual distance of successive windows of a trial; None if each trial is one window."""
        steps_s = np.diff(self.start_s)[self.trial[1:] == self.trial[:-1]]
        steps_s = steps_s[steps_s > 0]
        return float(np.quantile(steps_s, 0.5, method="lower")) if len(steps_s) else None


class Shift(NamedTuple):
    """Shift in time of a sensor that resolves a contradiction.

    Attributes
    ----------
    delay_s : float
        Positive if the sensor is late: its windows show what the others showed `delay_s` earlier.
    gain : float
        LLR with the shift less LLR without it, nats.
    """

    delay_s: float
    gain: float


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


def best_shift(
    evidence: SensorEvidence, sensor: int, timing: Timing, max_shift_s: float, prior: float
) -> Shift | None:
    """Estimate by which shift in time a sensor agrees with the others of the same recording.

    Window i of the others is compared with the window of the sensor that starts nearest to
    ``start_s[i] + delay_s``, at most half a step away, for all multiples of the step up to
    `max_shift_s`. The LLR of a shift is compared with that of no shift over the same windows.
    Where each trial is one window, their order is that of the protocol, and no shift is tried.

    Parameters
    ----------
    evidence : SensorEvidence
        Of one recording's windows.
    sensor : int
    timing : Timing
    max_shift_s : float
    prior : float
        Probability that the sensor is shifted, spread evenly over all shifts.

    Returns
    -------
    Shift or None
        None unless the sensor agrees at the best shift (LLR above 0), and this shift is more
        probable than none: its gain exceeds ``log(shifts (1 - prior) / prior)``. Windows of one
        trial have the same class, so that a small shift gains at the trials' borders only.
    """
    start_s, step_s = timing.start_s, timing.step_s
    if step_s is None or step_s > max_shift_s:
        return None
    n_steps = int(max_shift_s / step_s + 1e-9)
    delays_s = step_s * np.array([k for k in range(-n_steps, n_steps + 1) if k])
    shifted, unshifted, paired = _shifted_llr(evidence, sensor, start_s, delays_s, step_s / 2)
    tried = paired.any(1)  # a shift beyond the recording's length has no pair
    if not tried.any():
        return None
    gains = np.where(tried & (shifted > 0), shifted - unshifted, -np.inf)
    best = int(gains.argmax())
    if gains[best] <= np.log(tried.sum() * (1 - prior) / prior):
        return None
    return Shift(float(delays_s[best]), float(gains[best]))


def _shifted_llr(
    evidence: SensorEvidence, sensor: int, start_s: Array, delays_s: Array, tolerance_s: float
) -> tuple[Array, Array, NDArray[np.bool_]]:
    """Return the LLR of a sensor with and without each of D shifts, and the pairs of windows.

    Returns
    -------
    shifted, unshifted : ndarray, shape (D,)
        Both over the paired windows.
    paired : ndarray of bool, shape (D, N)
    """
    target_s = start_s + delays_s[:, None]
    nearest = _nearest(start_s, target_s)
    paired = np.abs(start_s[nearest] - target_s) <= tolerance_s + ROUNDING_S
    paired &= evidence.comparable[:, sensor] & evidence.available[nearest, sensor]
    of_sensor = evidence.log_ratios[:, sensor]
    others = evidence.log_prior + evidence.log_ratios.sum(1) - of_sensor
    alone = logsumexp(others, -1)
    shifted = logsumexp(others + of_sensor[nearest], -1) - alone
    unshifted = logsumexp(others + of_sensor, -1) - alone
    return (shifted * paired).sum(1), (unshifted * paired).sum(1), paired


def _nearest(sorted_s: Array, target_s: Array) -> NDArray[np.int64]:
    """Return the position of the nearest of some sorted times to each target time."""
    after = np.searchsorted(sorted_s, target_s).clip(1, len(sorted_s) - 1)
    is_before = target_s - sorted_s[after - 1] <= sorted_s[after] - target_s
    return after - is_before

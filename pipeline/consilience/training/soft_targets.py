"""Soft targets of unlabelled training windows: coherence-guided transfer between modalities.

The teacher is a product of experts, one linear probe for each modality (`training.probes`), trained
on the labelled subjects and calibrated on predictions of labelled subjects that a probe was not
trained on. For window t of recording i, with the class frequencies ``pi_k`` of the labels,

    q_t(k) ~ pi_k exp(a_k) prod_m (p_m(k | x_t) / pi_k) ^ r_im,
    r_im   = 1 - P(modality m is mismatched | recording i),

where the probability follows from the log likelihood ratios of the whole recording
(`training.recording_coherence`). The offsets ``a_k`` make the mean target of the subjects without
labels equal to ``pi_k``: few labelled subjects predict some classes far too seldom, and training on
such targets makes these rarer still (distribution alignment, Berthelot et al. 2020, "ReMixMatch",
arXiv 1911.09785).

In further rounds the experts are trained on the labels and on the targets of other unlabelled
subjects, with the weights ``r_im``. The networks are then trained like an expert of one more round.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax, softmax
from torch import Tensor

from consilience.schema.params.plugins import TransferParams
from consilience.training.data import Rows
from consilience.training.probes import (
    GROUPS,
    Array,
    cross_fitted_scores,
    shared_by_runs,
    subject_groups,
)
from consilience.training.recording_coherence import (
    RAREST,
    SensorEvidence,
    log_likelihood_ratios,
    mismatch_probability,
    sensor_evidence,
)

LEAST_ALIGNED = 4  # subjects without labels; the classes of fewer may differ by chance
ALIGNMENT_STEPS = 50
LOG_SHARPNESS = (-1.0, 6.0)  # range of the fit; ridge regression's scores lie within -1 and 1


class Windows(NamedTuple):
    """Sensors, people and recordings of all N windows.

    Attributes
    ----------
    available : ndarray of bool, shape (N, M)
    subject, recording : ndarray, shape (N,)
    """

    available: NDArray[np.bool_]
    subject: NDArray[np.generic]
    recording: NDArray[np.generic]

    def of_rows(self, rows: NDArray[np.int64]) -> Windows:
        """Return some windows, by their positions."""
        return Windows(self.available[rows], self.subject[rows], self.recording[rows])


class SoftTargets(NamedTuple):
    """Targets of one run's unlabelled training windows.

    Attributes
    ----------
    probability : ndarray, shape (N, K)
        NaN for all other windows, and without any label.
    sensor_weight : ndarray, shape (N, M)
        Probability ``r`` that a modality is not mismatched; 1 for all other windows.
    """

    probability: Array
    sensor_weight: Array


def soft_targets(
    prepared: Mapping[str, Rows],
    windows: Windows,
    target: NDArray[np.float32],
    drawn: NDArray[np.int64],
    params: TransferParams,
) -> SoftTargets:
    """Compute the targets of a run's unlabelled training windows.

    Parameters
    ----------
    prepared : mapping of str to Tensor or Centred, shape (N, ...)
        Encoder inputs by modality.
    windows : Windows
    target : ndarray, shape (N, K)
        The run's labels; rows with NaN are unlabelled.
    drawn : ndarray of int
        Positions of the training windows. A repeated window counts as often in the training of
        the experts and in the class frequencies.
    params : TransferParams
    """
    probability = np.full(target.shape, np.nan)
    sensor_weight = np.ones(windows.available.shape)
    rows, counts = np.unique(drawn, return_counts=True)
    y = target[rows].astype(float)
    unlabelled = ~np.isfinite(y).all(1)
    if unlabelled.any() and not unlabelled.all():
        of_run = windows.of_rows(rows)
        targets, sensor_weight[rows] = _rounds(prepared, rows, of_run, y, counts, params)
        probability[rows[unlabelled]] = targets[unlabelled]
    return SoftTargets(probability, sensor_weight)


def _rounds(
    prepared: Mapping[str, Rows],
    rows: NDArray[np.int64],
    windows: Windows,
    y: Array,
    counts: NDArray[np.int64],
    params: TransferParams,
) -> tuple[Array, Array]:
    """Return targets (n, K) and sensor weights (n, M) of the training windows."""
    labelled = np.asarray(np.isfinite(y).all(1))
    of_labels = (counts * labelled).astype(float)
    log_prior = np.log(np.maximum(of_labels @ np.nan_to_num(y) / of_labels.sum(), RAREST))
    prior = np.broadcast_to(np.exp(log_prior), y.shape)
    groups, aligned = _groups(windows.subject, labelled), _alignable(windows, labelled)
    targets, reliability = y, np.ones(windows.available.shape)
    for _ in range(params.rounds):
        of_windows = np.where(labelled, counts, np.isfinite(targets).all(1))
        weight = of_windows[:, None] * reliability
        scores = cross_fitted_scores(prepared, rows, windows.available, targets, weight, groups)
        experts = [_calibrated(of_expert, y, of_labels, log_prior) for of_expert in scores]
        evidence = sensor_evidence(np.stack(experts, 1), windows.available, prior)
        if params.weighting == "coherence":
            mismatched = _mismatched(evidence, windows.recording, params.mismatch_prior)
            reliability = np.where(labelled[:, None], 1.0, 1 - mismatched)
        pooled = _pooled(evidence, reliability)
        if params.align_classes and aligned.any():
            pooled[aligned] = _aligned(pooled[aligned], log_prior)
        targets = np.where(labelled[:, None], y, softmax(pooled, -1))
    return targets, reliability


def _groups(subject: NDArray[np.generic], labelled: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Distribute labelled and unlabelled subjects over different groups.

    A group of unlabelled subjects is then predicted by experts that saw all labels. The windows of
    a single labelled subject are divided, because calibration needs labels that were not trained
    on.
    """
    has_labels = np.isin(subject, subject[labelled])
    groups = np.empty(len(subject), np.int64)
    groups[~has_labels] = GROUPS + subject_groups(subject[~has_labels])
    groups[has_labels] = subject_groups(subject[has_labels])
    if not groups[has_labels].any():
        n_windows = has_labels.sum()
        groups[has_labels] = np.arange(n_windows) * GROUPS // n_windows
    return groups


def _calibrated(scores: Array, y: Array, weight: Array, log_prior: Array) -> Array:
    """Return ``softmax(log prior + s scores)`` (n, K) with the s of least cross-entropy.

    Parameters
    ----------
    scores : ndarray, shape (n, K)
    y : ndarray, shape (n, K)
        Labels.
    weight : ndarray, shape (n,)
        0 without a label.
    log_prior : ndarray, shape (K,)
    """
    counted = (weight > 0) & scores.any(1)
    if not counted.any():  # no expert could be trained without the window's own subject
        return np.broadcast_to(np.exp(log_prior), scores.shape)
    truth = y[counted] * weight[counted, None]

    def cross_entropy(log_sharpness: float) -> float:
        logits = log_prior + np.exp(log_sharpness) * scores[counted]
        return float(-(truth * log_softmax(logits, -1)).sum())

    fitted = minimize_scalar(cross_entropy, bounds=LOG_SHARPNESS, method="bounded")
    return np.asarray(softmax(log_prior + np.exp(fitted.x) * scores, -1))


def _mismatched(evidence: SensorEvidence, recording: NDArray[np.generic], prior: float) -> Array:
    """Return the probability (n, M) that a modality is mismatched in the recording of a window."""
    _, codes = np.unique(recording, return_inverse=True)
    llr = log_likelihood_ratios(evidence)
    probability = np.zeros(llr.shape)
    for code in range(codes.max() + 1):
        members = codes == code
        compared = evidence.comparable[members].any(0)
        of_recording = mismatch_probability(llr[members][:, compared].sum(0), prior)
        probability[np.ix_(members, compared)] = of_recording
    return probability


def _pooled(evidence: SensorEvidence, exponents: Array) -> Array:
    """Return the log-linear pool (n, K) of the experts, not normalised."""
    weighted = (exponents[..., None] * evidence.log_ratios).sum(1)
    return np.asarray(evidence.log_prior + weighted)


def _alignable(windows: Windows, labelled: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return which windows are of subjects without any label; none if these are too few."""
    unlabelled = ~np.isin(windows.subject, windows.subject[labelled])
    n_subjects = len(np.unique(windows.subject[unlabelled]))
    return unlabelled & windows.available.any(1) & (n_subjects >= LEAST_ALIGNED)


def _aligned(logits: Array, log_prior: Array) -> Array:
    """Add an offset to each class by which the mean probability becomes the prior."""
    for _ in range(ALIGNMENT_STEPS):
        mean = softmax(logits, -1).mean(0)
        logits = logits + log_prior - np.log(np.maximum(mean, RAREST))
    return logits


def targets_of_runs(
    prepared: Callable[[int], Mapping[str, Rows]],
    windows: Windows,
    targets: Sequence[NDArray[np.float32]],
    drawn: Sequence[NDArray[np.int64]],
    params: TransferParams,
) -> tuple[Tensor, Tensor]:
    """Compute the targets of all runs; see `soft_targets`.

    Parameters
    ----------
    prepared : callable
        Returns the encoder inputs of a run by modality, from its place.
    windows : Windows
    targets : sequence of ndarray, shape (N, K)
        Labels of each run.
    drawn : sequence of ndarray of int
        Training windows of each run.
    params : TransferParams

    Returns
    -------
    probability : Tensor, shape (R, N, K)
    sensor_weight : Tensor, shape (R, N, M)
    """

    def compute(place: int) -> SoftTargets:
        return soft_targets(prepared(place), windows, targets[place], drawn[place], params)

    of_runs = shared_by_runs(compute, targets, drawn)
    probability, sensor_weight = (np.stack(values) for values in zip(*of_runs, strict=True))
    return torch.from_numpy(probability).float(), torch.from_numpy(sensor_weight).float()

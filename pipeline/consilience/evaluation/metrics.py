"""Metrics as functions of sums over windows, so that subjects can be pooled and resampled.

Shapes: N windows, S subjects, K classes, B confidence bins, G levels of a ranking, two affect
targets. Sums may have further leading axes, which the metrics keep.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from consilience.schema.constants import AFFECT

Array = NDArray[np.float64]
Sums = dict[str, Array]

FLOOR = 1e-12  # of a probability, so that one certain mistake does not make the NLL infinite
# Of a ranking. Areas are exact for up to as many windows, and within .001 for thousands.
LEVELS = 200


def subject_sums(
    probability: Array,
    affect: Array,
    target: Array,
    true_affect: Array,
    subject: NDArray[np.int64],
    n_subjects: int,
    n_bins: int,
) -> Sums:
    """Return the sums per subject from which `measures` computes every metric.

    Parameters
    ----------
    probability, target : ndarray, shape (N, K)
        Windows with NaN in either are left out. A window's class is the most probable one of its
        soft label.
    affect, true_affect : ndarray, shape (N, 2)
        The same for valence and arousal.
    subject : ndarray of int, shape (N,)
    n_subjects, n_bins : int

    Returns
    -------
    dict of str to ndarray, shape (S, ...)
    """
    valid = np.isfinite(probability).all(1) & np.isfinite(target).all(1)
    p, owner = probability[valid], subject[valid]
    truth, guess = target[valid].argmax(1), p.argmax(1)
    n_classes = probability.shape[1]
    confusion = np.zeros((n_subjects, n_classes, n_classes))
    # `add.at`, because plain indexing would count a repeated index once.
    np.add.at(confusion, (owner, truth, guess), 1)
    loss = np.zeros((n_subjects, 2))
    nll = -np.log(np.maximum(p[np.arange(len(p)), truth], FLOOR))
    brier = ((p - np.eye(n_classes)[truth]) ** 2).sum(1)
    np.add.at(loss, owner, np.stack([nll, brier], 1))
    confidence, right = p.max(1), guess == truth
    bins, adaptive_bins = _calibration_bins(confidence, right, owner, n_subjects, n_bins)
    return {
        "confusion": confusion,
        "loss": loss,
        "bins": bins,
        "adaptive_bins": adaptive_bins,
        "ranking": ranking(confidence, right, owner, n_subjects),
        "moments": _moments(affect, true_affect, subject, n_subjects),
    }


def _calibration_bins(
    confidence: Array,
    right: NDArray[np.bool_],
    subject: NDArray[np.int64],
    n_subjects: int,
    n_bins: int,
) -> Array:
    """Return windows, confidence and hits by subject and bin, of equal width or number.

    Returns
    -------
    ndarray, shape (2, S, B, 3)
    """
    terms = np.stack([np.ones(len(confidence)), confidence, right], 1)
    bins = np.zeros((2, n_subjects, n_bins, 3))
    # A confidence of exactly 1 belongs to the last bin, not to one more.
    width = np.minimum((confidence * n_bins).astype(int), n_bins - 1)
    np.add.at(bins[0], (subject, width), terms)
    np.add.at(bins[1], (subject, levels(confidence, n_bins)), terms)
    return bins


def _moments(
    affect: Array, true_affect: Array, subject: NDArray[np.int64], n_subjects: int
) -> Array:
    """Return n, Σx, Σy, Σx², Σy² and Σxy of valence and arousal by subject: (S, 2, 6)."""
    moments = np.zeros((n_subjects, len(AFFECT), 6))
    for number in range(len(AFFECT)):
        x, y = affect[:, number], true_affect[:, number]
        both = np.isfinite(x) & np.isfinite(y)
        x, y = x[both], y[both]
        terms = np.stack([np.ones(len(x)), x, y, x * x, y * y, x * y], 1)
        np.add.at(moments[:, number], subject[both], terms)
    return moments


def levels(score: Array, n_levels: int) -> NDArray[np.int64]:
    """Return each score's level, 0 for the highest; levels hold equal numbers, ties share one."""
    # The number of higher scores is the same for all ties, so that they share a level.
    n_higher = len(score) - np.searchsorted(np.sort(score), score, side="right")
    return n_higher * n_levels // max(1, len(score))


def ranking(
    score: Array,
    positive: NDArray[np.bool_],
    subject: NDArray[np.int64],
    n_subjects: int,
    n_levels: int = LEVELS,
) -> Array:
    """Count windows and positives by subject and level of the score, the highest first.

    The windows are sorted once; for every resample of the subjects `auroc` and `aurc` only add
    counts. With as many levels as windows both areas are exact.

    Returns
    -------
    ndarray, shape (S, n_levels, 2)
    """
    counts = np.zeros((n_subjects, n_levels, 2))
    np.add.at(
        counts,
        (subject, levels(score, n_levels)),
        np.stack([np.ones(len(score)), positive], 1),
    )
    return counts


def auroc(counts: Array) -> Array:
    """Return the area under the ROC curve of a `ranking` (..., G, 2), ties counted half.

    The probability that a positive scores higher than a negative; NaN without either.
    """
    return areas(counts)[0]


def aurc(counts: Array) -> Array:
    """Return the area under the risk-coverage curve of a `ranking` (..., G, 2) by confidence.

    The error rate of the n most confident windows, averaged over n (Geifman et al. 2019, "Bias-
    reduced uncertainty estimation for deep neural classifiers"). Positives are correct
    predictions; within a level errors are assumed to be spread evenly.
    """
    return areas(counts)[1]


def areas(counts: Array) -> tuple[Array, Array]:
    """Return `auroc` and `aurc` of a `ranking` (..., G, 2), from the same cumulative sums."""
    n, positive = np.ascontiguousarray(np.moveaxis(counts, -1, 0))
    negative = n - positive
    so_far, negative_so_far = np.cumsum(n, -1), np.cumsum(negative, -1)
    n_negative = negative_so_far[..., -1:]
    # Levels run from the highest score down: all negatives behind a level score lower.
    lower = n_negative - negative_so_far + 0.5 * negative
    # The average window of a level has this share of the level, itself included, before it.
    share = (n + 1) / (2 * np.maximum(n, 1))
    wrong = negative_so_far - negative * (1 - share)
    risk = wrong / (so_far - 0.5 * (n - 1))
    with np.errstate(invalid="ignore"):
        roc = np.einsum("...g,...g->...", positive, lower)
        roc = roc / (positive.sum(-1) * n_negative[..., 0])
        return roc, np.einsum("...g,...g->...", n, risk) / so_far[..., -1]


def exact_areas(score: Array, positive: NDArray[np.bool_]) -> tuple[float, float]:
    """Return `auroc` and `aurc` of windows (N,), each with a level of its own."""
    counts = ranking(score, positive, np.zeros(len(score), np.int64), 1, max(len(score), 1))
    roc, risk = areas(counts[0])
    return float(roc), float(risk)


def spearman(values: Array) -> Array:
    """Return the rank correlation of values (..., n) with their own order 1 to n.

    Ties share their mean rank; NaN if all are equal.
    """
    # Pairwise comparison instead of sorting: curves have six points, and ties need mean ranks.
    below = values[..., None, :] < values[..., :, None]
    equal = values[..., None, :] == values[..., :, None]
    ranks = below.sum(-1) + (equal.sum(-1) - 1) / 2
    order = np.arange(values.shape[-1]) - (values.shape[-1] - 1) / 2
    centred = ranks - ranks.mean(-1, keepdims=True)
    with np.errstate(invalid="ignore"):
        correlation = (centred * order).sum(-1) / np.sqrt((centred**2).sum(-1) * (order**2).sum())
    return np.where(np.isfinite(values).all(-1), correlation, np.nan)


def balanced_accuracy(confusion: Array) -> Array:
    """Return the mean recall over the classes that occur, of confusions (..., K, K); else NaN."""
    actual = confusion.sum(-1)
    with np.errstate(invalid="ignore", divide="ignore"):
        recall = np.where(actual > 0, np.diagonal(confusion, axis1=-2, axis2=-1) / actual, np.nan)
        return _nanmean(recall)


def calibration_error(bins: Array) -> Array:
    """Return the expected calibration error of bins (..., B, 3): windows, confidence and hits."""
    with np.errstate(invalid="ignore"):
        error: Array = np.abs(bins[..., 1] - bins[..., 2]).sum(-1) / bins[..., 0].sum(-1)
        return error


def measures(sums: Sums) -> dict[str, Array]:
    """Return every metric from pooled sums.

    Parameters
    ----------
    sums : dict of str to ndarray, shape (..., sum's own axes)
        `subject_sums`, added over subjects.

    Returns
    -------
    dict of str to ndarray, shape (...)
        Balanced accuracy and macro-F1 average over the classes that occur; NLL in nats;
        expected calibration error over bins of the leading class's confidence, of equal width
        (``ece``) or holding equally many windows (``adaptive_ece``); Brier score over all
        classes; `aurc`; AUROC of confidence for right against wrong (``failure_auroc``); CCC
        after Lin 1989. NaN without any labelled window.
    """
    confusion = sums["confusion"]
    hits = np.diagonal(confusion, axis1=-2, axis2=-1)
    actual, guessed = confusion.sum(-1), confusion.sum(-2)
    failure_auroc, risk_area = areas(sums["ranking"])
    with np.errstate(invalid="ignore", divide="ignore"):
        f1 = np.where(actual > 0, 2 * hits / (actual + guessed), np.nan)
        n = actual.sum(-1)
        result = {
            "balanced_accuracy": balanced_accuracy(confusion),
            "macro_f1": _nanmean(f1),
            "nll": sums["loss"][..., 0] / n,
            "brier": sums["loss"][..., 1] / n,
            "ece": calibration_error(sums["bins"]),
            "adaptive_ece": calibration_error(sums["adaptive_bins"]),
            "aurc": risk_area,
            "failure_auroc": failure_auroc,
        }
        for number, name in enumerate(AFFECT):
            count, x, y, xx, yy, xy = np.moveaxis(sums["moments"][..., number, :], -1, 0)
            mx, my = x / count, y / count
            # Both variances and the squared distance of the means, from the sums.
            spread = xx / count - mx**2 + yy / count - my**2 + (mx - my) ** 2
            result[f"{name}_ccc"] = 2 * (xy / count - mx * my) / spread
            result[f"{name}_rmse"] = np.sqrt(
                np.maximum((xx - 2 * xy + yy) / count, 0)  # rounding can make it negative
            )
    return result


def pool(sums: Sums, weight: Array, axis: int) -> Sums:
    """Add sums over the subjects' axis under weights.

    Parameters
    ----------
    sums : dict of str to ndarray
        Subjects along `axis` of each.
    weight : ndarray, shape (W, S)
        For instance how often each bootstrap sample drew each subject.

    Returns
    -------
    dict of str to ndarray, shape (W, ...)
        The remaining axes in their order.
    """
    return {name: np.tensordot(weight, values, (1, axis)) for name, values in sums.items()}


def _nanmean(values: Array) -> Array:
    finite = np.isfinite(values)
    return np.where(finite, values, 0.0).sum(-1) / finite.sum(-1)

"""Metrics as functions of sums over windows, so that subjects can be pooled and resampled.

Shapes: N windows, S subjects, K classes, B confidence bins, two affect targets. Sums may have
further leading axes, which the metrics keep.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pipeline.methods.base import AFFECT

Array = NDArray[np.float64]
Sums = dict[str, Array]

FLOOR = 1e-12


def subject_sums(
    probability: Array,
    affect: Array,
    target: Array,
    true_affect: Array,
    subject: NDArray[np.int64],
    n_subjects: int,
    n_bins: int,
) -> Sums:
    """Add up, per subject, all that `measures` needs.

    Parameters
    ----------
    probability, target : ndarray, shape (N, K)
        Windows with NaN in either count for nothing. A window's class is the most likely one
        of its soft label.
    affect, true_affect : ndarray, shape (N, 2)
        The same for valence and arousal.
    subject : ndarray of int, shape (N,)
    n_subjects, n_bins : int

    Returns
    -------
    dict of str to ndarray, shape (S, ...)
    """
    known = np.isfinite(probability).all(1) & np.isfinite(target).all(1)
    p, owner = probability[known], subject[known]
    truth, guess = target[known].argmax(1), p.argmax(1)
    n_classes = probability.shape[1]
    confusion = np.zeros((n_subjects, n_classes, n_classes))
    np.add.at(confusion, (owner, truth, guess), 1)

    loss = np.zeros((n_subjects, 2))
    nll = -np.log(np.maximum(p[np.arange(len(p)), truth], FLOOR))
    brier = ((p - np.eye(n_classes)[truth]) ** 2).sum(1)
    np.add.at(loss, owner, np.stack([nll, brier], 1))

    confidence = p.max(1)
    place = np.minimum((confidence * n_bins).astype(int), n_bins - 1)
    bins = np.zeros((n_subjects, n_bins, 3))
    np.add.at(bins, (owner, place), np.stack([np.ones(len(p)), confidence, guess == truth], 1))

    moments = np.zeros((n_subjects, len(AFFECT), 6))
    for number in range(len(AFFECT)):
        x, y = affect[:, number], true_affect[:, number]
        both = np.isfinite(x) & np.isfinite(y)
        x, y = x[both], y[both]
        terms = np.stack([np.ones(len(x)), x, y, x * x, y * y, x * y], 1)
        np.add.at(moments[:, number], subject[both], terms)
    return {"confusion": confusion, "loss": loss, "bins": bins, "moments": moments}


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
        expected calibration error over equal-width bins of the leading class's confidence;
        Brier score over all classes; CCC after Lin 1989. NaN without any labelled window.
    """
    confusion, bins = sums["confusion"], sums["bins"]
    hits = np.diagonal(confusion, axis1=-2, axis2=-1)
    actual, guessed = confusion.sum(-1), confusion.sum(-2)
    with np.errstate(invalid="ignore", divide="ignore"):
        recall = np.where(actual > 0, hits / actual, np.nan)
        f1 = np.where(actual > 0, 2 * hits / (actual + guessed), np.nan)
        n = actual.sum(-1)
        gaps = np.abs(bins[..., 1] - bins[..., 2]).sum(-1)
        result = {
            "balanced_accuracy": _nanmean(recall),
            "macro_f1": _nanmean(f1),
            "nll": sums["loss"][..., 0] / n,
            "brier": sums["loss"][..., 1] / n,
            "ece": gaps / n,
        }
        for number, name in enumerate(AFFECT):
            count, x, y, xx, yy, xy = np.moveaxis(sums["moments"][..., number, :], -1, 0)
            mx, my = x / count, y / count
            spread = xx / count - mx**2 + yy / count - my**2 + (mx - my) ** 2
            result[f"{name}_ccc"] = 2 * (xy / count - mx * my) / spread
            result[f"{name}_rmse"] = np.sqrt(np.maximum((xx - 2 * xy + yy) / count, 0))
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
    known = np.isfinite(values)
    return np.where(known, values, 0.0).sum(-1) / known.sum(-1)

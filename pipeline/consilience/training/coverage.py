"""Thresholds of prediction sets and intervals, from clean windows of validation subjects.

Split conformal prediction (Vovk, Gammerman and Shafer 2005): every validation window gets a score
of its true class, and a quantile of these scores is the threshold. A class belongs to the set of
another window if its score does not exceed the threshold; a value belongs to the interval if its
distance from the mean, in predicted standard deviations, does not (Lei et al. 2018, "Distribution-
free predictive inference for regression"). Windows of unseen subjects are covered in about the
share `TrainingParams.coverage`, as long as they are clean.

Every set of available sensors has thresholds of its own: with fewer sensors the true class has more
competitors, and the predicted variance errs otherwise.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import softmax
from torch import Tensor

from consilience.model.modality_subsets import modality_subsets
from consilience.model.stack import Stack
from consilience.model.types import Prediction
from consilience.training.augmentation import Run
from consilience.training.baseline import References
from consilience.training.calibration import COVERAGE
from consilience.training.conditioned import Prepared, conditioned_batches
from consilience.training.data import Scaler
from consilience.windows.conditions import SUBSET, Condition
from consilience.windows.store import Corpus


@torch.no_grad()
def fit_coverage(
    stack: Stack,
    scaler: Scaler,
    runs: Sequence[Run],
    corpus: Corpus,
    prepared: Prepared,
    baselines: Mapping[str, References],
    target: Tensor,
    affect: Tensor,
    coverage: float,
) -> None:
    """Set the thresholds of every run in place, from its own validation subjects.

    A set of sensors without a validation window gets the largest threshold of the others.

    Parameters
    ----------
    stack : Stack
        Calibrated networks.
    scaler : Scaler
    runs : sequence of Run
    corpus : Corpus
    prepared : mapping of str to (mapping of str to Tensor)
        Windows by modality and variant, of which the clean ones are used.
    baselines : mapping of str to References
        What `baseline.references` returned.
    target : Tensor, shape (R, N, K)
        Labels of each run; windows with NaN are not used.
    affect : Tensor, shape (R, N, A)
        Valence and arousal of each run; NaN where unlabelled.
    coverage : float
        Aimed at, 0 to 1.
    """
    stack.eval()
    subject = corpus.index["subject"].to_numpy()
    by_set = []
    for mask in modality_subsets(len(corpus.modalities)):
        names = tuple(n for n, member in zip(corpus.modalities, mask, strict=True) if member)
        rows, scores = [], []
        for batch in conditioned_batches(
            scaler, runs, corpus, prepared, baselines, Condition(SUBSET, names), ("validation",)
        ):
            prediction = stack("predict", (batch.inputs, batch.available))
            # Windows that lack a sensor of the set belong to a smaller set.
            complete = batch.counted & (batch.available == mask).all(-1)
            labels = [
                values.gather(1, batch.rows[..., None].expand(-1, -1, values.shape[-1]))
                for values in (target, affect)
            ]
            of_batch = _scores(prediction, labels[0], scaler.affect(labels[1]))
            scores.append(np.where(complete.numpy()[..., None], of_batch, np.nan))
            rows.append(batch.rows.numpy())
        subjects = subject[np.concatenate(rows, 1)]
        by_set.append(_thresholds(np.concatenate(scores, 1), subjects, coverage))
    thresholds = np.stack(by_set, 1)
    largest = np.fmax.reduce(thresholds, 1, keepdims=True)
    # Without any label the interval is unbounded.
    filled = np.nan_to_num(np.where(np.isfinite(thresholds), thresholds, largest), nan=np.inf)
    stack.weights[COVERAGE].copy_(torch.from_numpy(filled))


def class_scores(probability: NDArray[Any]) -> NDArray[Any]:
    """Compute the score of every class: the total probability of the classes above it.

    After Romano, Sesia and Candès 2020, "Classification with valid and adaptive coverage" (arXiv
    2006.02544), without the probability of the class itself: sets grow where the prediction is
    uncertain, and always contain the leading class. They cover more than aimed at where the leading
    class alone is right more often.

    Parameters
    ----------
    probability : ndarray, shape (..., K)

    Returns
    -------
    ndarray, shape (..., K)
        0 to 1; a class with a lower probability scores higher.
    """
    higher = probability[..., None, :] > probability[..., :, None]
    above: NDArray[Any] = np.where(higher, probability[..., None, :], 0.0).sum(-1)
    return above


def conformal_threshold(scores: NDArray[Any], subjects: NDArray[Any], coverage: float) -> float:
    """Return the score that a share of `coverage` of the windows of other subjects do not exceed.

    The quantile of n independent scores at ``coverage (1 + 1/n)``, interpolated between two of
    them, covers on average a share of `coverage` of further ones. Windows of a subject are not
    independent: n is the number that would estimate the coverage as precisely as these subjects do
    (Kish 1965, effective sample size).

    Parameters
    ----------
    scores : ndarray, shape (n,)
        Finite.
    subjects : ndarray, shape (n,)
    coverage : float

    Returns
    -------
    float
        NaN without scores.
    """
    if not len(scores):
        return float("nan")
    ordered = np.sort(scores)
    positions = np.arange(1, len(ordered) + 1)

    def quantile(level: float) -> float:
        # Between two scores: the next higher one covers more, by half a window on average.
        return float(np.interp(level * len(ordered), positions, ordered))

    covered = scores <= quantile(coverage)
    of_subjects = np.array([covered[subjects == name].mean() for name in np.unique(subjects)])
    n_effective = float(len(scores))
    if len(of_subjects) > 1:
        share = of_subjects.mean()
        variance = of_subjects.var(ddof=1) / len(of_subjects)
        # The variance of n independent windows' mean is estimated as share (1 - share) / (n - 1).
        n_effective = min(n_effective, 1 + share * (1 - share) / max(variance, 1e-12))
    return quantile(coverage * (1 + 1 / n_effective))


def _scores(prediction: Prediction, target: Tensor, affect: Tensor) -> NDArray[Any]:
    """Return the scores (R, B, 1 + A) of the true class and of the standardised affect."""
    probability = softmax(prediction.logits.double().numpy(), -1)
    # NaN labels have an argmax too; the score of those windows is set to NaN.
    true = target.argmax(-1, keepdim=True).numpy()
    of_class = np.take_along_axis(class_scores(probability), true, -1)
    of_class = np.where(target.isfinite().all(-1, keepdim=True).numpy(), of_class, np.nan)
    distance = (affect - prediction.affect_mean).abs()
    return np.concatenate(
        [of_class, (distance * torch.exp(-prediction.affect_log_variance / 2)).numpy()], -1
    )


def _thresholds(
    scores: NDArray[Any], subjects: NDArray[Any], coverage: float
) -> NDArray[np.float32]:
    """Return the thresholds (R, 1 + A) of scores (R, B, 1 + A) by subjects (R, B)."""
    result = np.full((scores.shape[0], scores.shape[2]), np.nan, np.float32)
    for run, column in np.ndindex(result.shape):
        used = np.isfinite(scores[run, :, column])
        result[run, column] = conformal_threshold(
            scores[run, used, column], subjects[run, used], coverage
        )
    return result

"""Detection of wrong training labels by what a method estimates for its training windows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.evidence.context import ExperimentContext
from benchmarks.evidence.loaded import LoadedCorpus
from benchmarks.evidence.scenarios import NoisyLabels
from consilience.core import registry
from consilience.evaluation.metrics import auroc, ranking
from consilience.schema.constants import CLEAN
from consilience.schema.params.plugins import TransferParams
from consilience.training.augmentation import Run
from consilience.training.baseline import complete_references
from consilience.training.data import Rows
from consilience.training.fit import Fitted
from consilience.training.label_reliability import estimate_labels
from consilience.windows.store import Corpus


def label_estimates(
    fits: Sequence[Fitted], method: str, corpus: LoadedCorpus, context: ExperimentContext
) -> NDArray[np.float32]:
    """Return the class probabilities (R, N, K) by which a method weighs its training labels.

    Cross-fitted estimates, if the method uses them; otherwise the moving average of its
    predictions during the training.
    """
    if not issubclass(registry.get("methods", method).Params, TransferParams):
        return np.concatenate([fitted.consensus for fitted in fits])
    runs = [run for fitted in fits for run in fitted.runs]
    clean = {name: variants[CLEAN] for name, variants in corpus.prepared.items()}
    places = [(fitted, place) for fitted in fits for place in range(len(fitted.runs))]

    def inputs_of(number: int) -> Mapping[str, Rows]:
        fitted, place = places[number]
        baselines = complete_references(corpus, fitted.training)
        return fitted.scaler.centred(place, clean, baselines)

    estimates, _ = estimate_labels(
        inputs_of,
        corpus.available,
        [context.labels(run)[0] for run in runs],
        corpus.index["subject"].to_numpy(),
        [corpus.members(run.fold, "train") for run in runs],
    )
    return estimates.numpy()


def label_errors(
    estimates: NDArray[np.float32], labels: NoisyLabels, runs: Sequence[Run], corpus: Corpus
) -> dict[str, Any]:
    """Score every training label by the estimates, and measure how well that finds wrong ones.

    Parameters
    ----------
    estimates : ndarray, shape (R, N, K)
        Class probabilities of the training windows.
    labels : NoisyLabels
    runs : sequence of Run
    corpus : Corpus

    Returns
    -------
    dict
        ``score`` (R, N), ``1 - q_y / max q`` for the training label y, NaN outside the run's
        labelled training windows; ``wrong`` (R, N); ``auroc`` (R,), NaN without a wrong label.
    """
    score = np.full(estimates.shape[:2], np.nan, np.float32)
    wrong = np.zeros(score.shape, bool)
    areas = np.full(len(runs), np.nan)
    for number, run in enumerate(runs):
        target = labels(run)[0]
        rows = corpus.members(run.fold, "train")
        rows = rows[np.isfinite(target[rows]).all(1)]
        estimate, label = estimates[number, rows], target[rows].argmax(1)
        score[number, rows] = 1 - estimate[np.arange(len(rows)), label] / estimate.max(1)
        wrong[number] = labels.wrong(run)
        if 0 < wrong[number, rows].sum() < len(rows):
            # A level per window: no resampling follows, so the area can be exact.
            owner = np.zeros(len(rows), int)
            counts = ranking(score[number, rows], wrong[number, rows], owner, 1, len(rows))
            areas[number] = auroc(counts[0])
    return {"score": score, "wrong": wrong, "auroc": areas}

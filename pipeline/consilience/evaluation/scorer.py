"""Scores of a model under every test condition, pooled over subjects.

`score` is the one way in: the evaluate stage, ``consilience evaluate`` and the benchmarks use it.
"""

from __future__ import annotations

import io
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_softmax, softmax

from consilience.core.errors import ConsilienceError
from consilience.core.files import read_arrays, read_json, write_bytes, write_json
from consilience.evaluation.coverage import COVERAGE, coverage_measures
from consilience.evaluation.detection import (
    PooledPredictions,
    count_by_subject,
    detection_tasks,
    exact_auroc,
    is_used,
)
from consilience.evaluation.metrics import (
    Array,
    Sums,
    auroc,
    exact_areas,
    measures,
    pool,
    subject_sums,
)
from consilience.evaluation.predict import Predictions, TrainedModel, predict
from consilience.evaluation.resampling import subject_weights
from consilience.training.augmentation import Run
from consilience.training.conditioned import Prepared
from consilience.windows.conditions import MISMATCH, SUBSET, Condition, apply_condition
from consilience.windows.store import Corpus

BLOCK = 64  # resamples computed at a time
ROUNDING = 1e-5  # of a probability in single precision
STORED = ("evaluated.json", "sums.npz")
ARRAYS = ("sums", "detections", "areas", "detection_areas")  # fields of `Evaluated` in sums.npz
AREAS = ("failure_auroc", "aurc")  # metrics that sums over levels of the confidence round
WINDOW_MEANS = (
    "vacuity",
    "coherence",
    "mismatched_sensor_accuracy",
    "overconfidence_under_mismatch",
    *COVERAGE,
)


class Predictor(Protocol):
    """Returns the runs' predictions under a condition: `predict` with all else filled in."""

    def __call__(self, condition: Condition, roles: Sequence[str] = ...) -> Predictions:
        """Predict the windows of each run's subjects that have one of the roles."""
        ...


@dataclass(frozen=True)
class Evaluated:
    """Scores of one method as sums per subject, from which any subjects can be resampled.

    Attributes
    ----------
    conditions : list of Condition
        C conditions, the full subset first.
    modalities, subjects : list of str
        Subjects sorted by name.
    seeds : list of int
    sums : dict of str to ndarray, shape (C, Z, S, ...)
        `metrics.subject_sums` of every condition, seed and subject, and ``window_means``: the
        number of windows and the total over them, for each of `WINDOW_MEANS`.
    detections : dict of str to ndarray, shape (Z, S, G, 2)
        `detection.count_by_subject` of every detection task.
    areas : dict of str to ndarray, shape (C, Z)
        ``aurc`` and ``failure_auroc`` of all windows, without the rounding of the sums' levels.
    detection_areas : dict of str to ndarray, shape (Z,)
        The same area under the ROC curve of every detection task.
    predictions : dict of Condition to PooledPredictions
        Predictions window by window, of the conditions requested; not stored by `save`.
    """

    conditions: list[Condition]
    modalities: list[str]
    subjects: list[str]
    seeds: list[int]
    sums: Sums
    detections: Sums
    areas: dict[str, Array] = field(default_factory=dict)
    detection_areas: dict[str, Array] = field(default_factory=dict)
    predictions: dict[Condition, PooledPredictions] = field(default_factory=dict)

    def save(self, folder: Path) -> None:
        """Write ``sums.npz`` and ``evaluated.json``, all that a later comparison needs."""
        buffer = io.BytesIO()
        named = {
            f"{group}/{name}": values
            for group in ARRAYS
            for name, values in getattr(self, group).items()
        }
        np.savez_compressed(buffer, **named)
        write_bytes(folder / STORED[1], buffer.getvalue())
        write_json(
            folder / STORED[0],
            {
                "conditions": self.conditions,
                "modalities": self.modalities,
                "subjects": self.subjects,
                "seeds": self.seeds,
            },
        )

    @classmethod
    def load(cls, folder: Path) -> Evaluated:
        """Read what `save` wrote.

        Raises
        ------
        ConsilienceError
            If a file is missing.
        """
        for name in STORED:
            if not (folder / name).is_file():
                raise ConsilienceError("missing evaluation file", str(folder / name))
        card = read_json(folder / STORED[0])
        groups: dict[str, Sums] = {group: {} for group in ARRAYS}
        for name, values in read_arrays(folder / STORED[1]).items():
            group, _, key = name.partition("/")
            groups[group][key] = values
        return cls(
            [Condition(kind, tuple(names), s) for kind, names, s in card["conditions"]],
            card["modalities"],
            card["subjects"],
            card["seeds"],
            groups["sums"],
            groups["detections"],
            groups["areas"],
            groups["detection_areas"],
        )


def score(
    models: Sequence[TrainedModel],
    corpus: Corpus,
    prepared: Prepared,
    conditions: Sequence[Condition],
    n_bins: int,
    keep: Collection[Condition] = (),
    ensemble: bool = False,
) -> Evaluated:
    """Score a method on its runs' test windows under every condition.

    Parameters
    ----------
    models : sequence of TrainedModel
        Several if folds were trained with different settings.
    corpus : Corpus
        Its labels are the truth, whatever labels the runs were trained on.
    prepared : mapping of str to (mapping of str to Tensor)
        What `conditioned.load_windows` returned.
    conditions : sequence of Condition
        The full subset first; the others are compared with it.
    n_bins : int
        Confidence bins of the calibration error.
    keep : collection of Condition
        Conditions whose predictions are returned window by window.
    ensemble : bool
        True averages all runs that test a window as one model; False scores seed by seed.
    """
    predictor: Predictor = partial(predict, models, corpus, prepared)
    runs = [run for model in models for run in model.runs]
    return score_predictions(predictor, runs, corpus, conditions, n_bins, keep, ensemble)


def score_predictions(
    predictor: Predictor,
    runs: Sequence[Run],
    corpus: Corpus,
    conditions: Sequence[Condition],
    n_bins: int,
    keep: Collection[Condition] = (),
    ensemble: bool = False,
) -> Evaluated:
    """Score predictions of any source; see `score` for the other parameters.

    Parameters
    ----------
    predictor : Predictor
    runs : sequence of Run
        Fold and seed of each of the predictor's runs.
    """
    groups = _run_groups(runs, ensemble)
    codes, n_subjects = subject_codes(corpus)
    confidences = _single_sensor_confidence(predictor, corpus)
    pooled: dict[Condition, PooledPredictions] = {}
    sums: list[list[Sums]] = []
    exact: list[Array] = []
    for condition in conditions:
        predictions = predictor(condition)
        item = _pool_runs(predictions, groups)
        overconfident = _mean_over_runs(
            _is_overconfident(condition, predictions, confidences, runs, corpus), groups
        )
        sums.append(_condition_sums(item, overconfident, condition, corpus, n_bins))
        exact.append(_exact_areas(item, corpus))
        # Memory: window-wise predictions are kept only where something reads them later.
        if condition in keep or condition == conditions[0] or is_used(condition):
            pooled[condition] = item
    tasks = detection_tasks(pooled, conditions[0], corpus)
    return Evaluated(
        list(conditions),
        list(corpus.modalities),
        sorted(corpus.index["subject"].unique().to_list()),
        [0] if ensemble else sorted({run.seed for run in runs}),
        {
            name: np.stack([np.stack([seed[name] for seed in seeds]) for seeds in sums])
            for name in sums[0][0]
        },
        {name: count_by_subject(scores, codes, n_subjects) for name, scores in tasks.items()},
        dict(zip(AREAS, np.moveaxis(np.stack(exact), -1, 0), strict=True)),
        {name: exact_auroc(scores) for name, scores in tasks.items()},
        {condition: pooled[condition] for condition in keep},
    )


def subject_codes(corpus: Corpus) -> tuple[NDArray[np.int64], int]:
    """Return each window's subject as its position among the sorted names, and their number."""
    names, codes = np.unique(corpus.index["subject"].to_numpy(), return_inverse=True)
    return codes, len(names)


def _run_groups(runs: Sequence[Run], ensemble: bool) -> list[list[int]]:
    """Return the positions of the runs whose predictions for a window are averaged."""
    if ensemble:
        return [list(range(len(runs)))]
    seeds = sorted({run.seed for run in runs})
    return [[number for number, run in enumerate(runs) if run.seed == seed] for seed in seeds]


def _mean_over_runs(values: NDArray[Any], groups: Sequence[Sequence[int]]) -> Array:
    """Average (R, N, ...) over the finite values of each group of runs: (Z, N, ...)."""
    averages = []
    for group in groups:
        finite = np.isfinite(values[group])
        # Double precision: the sum of many float32 would lose digits.
        total = np.where(finite, values[group], 0.0).sum(0, dtype=np.float64)
        with np.errstate(invalid="ignore"):  # 0 / 0 is NaN: no run predicts this window
            averages.append(total / finite.sum(0))
    return np.stack(averages)


def as_one_model(predictions: Predictions) -> PooledPredictions:
    """Average all runs that predict a window, as `score` does for an ensemble; Z is 1."""
    return _pool_runs(predictions, [list(range(len(predictions.logits)))])


def pool_by_seed(predictions: Predictions, runs: Sequence[Run]) -> PooledPredictions:
    """Average the runs of each seed that predict a window, as `score` does; Z seeds."""
    return _pool_runs(predictions, _run_groups(runs, ensemble=False))


def _pool_runs(predictions: Predictions, groups: Sequence[Sequence[int]]) -> PooledPredictions:
    """Average the runs' predictions; of probabilities the geometric mean.

    The arithmetic mean of calibrated probabilities is underconfident, because runs differ.
    """
    outputs = dict(vars(predictions))
    log_probability = log_softmax(outputs.pop("logits").astype(np.float64), -1)
    return PooledPredictions(
        softmax(_mean_over_runs(log_probability, groups), -1),
        **{name: _mean_over_runs(values, groups) for name, values in outputs.items()},
    )


def geometric_mean(probability: Array) -> Array:
    """Return the normalised geometric mean (N, K) of the predictions (Z, N, K) of Z models."""
    with np.errstate(divide="ignore"):  # of a probability of 0
        log_mean: Array = np.log(probability).mean(0)
    return np.asarray(softmax(log_mean, -1))


def _single_sensor_confidence(predictor: Predictor, corpus: Corpus) -> dict[str, NDArray[Any]]:
    """Return each run's confidence (R, N) in each window from one modality alone.

    Validation subjects are included because they lend their windows to mismatches.
    """
    roles = ("validation", "test")
    return {
        name: softmax(predictor(Condition(SUBSET, (name,)), roles).logits, -1).max(-1)
        for name in corpus.modalities
    }


def _is_overconfident(
    condition: Condition,
    predictions: Predictions,
    confidences: Mapping[str, NDArray[Any]],
    runs: Sequence[Run],
    corpus: Corpus,
) -> NDArray[Any]:
    """Return where the fused prediction is more confident than the most confident sensor alone.

    Returns
    -------
    ndarray, shape (R, N)
        1 or 0; NaN for all conditions but mismatches.
    """
    fused = softmax(predictions.logits, -1).max(-1)
    if condition.kind != MISMATCH:
        return np.full_like(fused, np.nan)
    best = np.full_like(fused, -np.inf)
    applied = {fold: apply_condition(condition, corpus, fold) for fold in {r.fold for r in runs}}
    for number, run in enumerate(runs):
        sources = applied[run.fold].sources
        for name, confidence in confidences.items():
            # The mismatched sensor's confidence is that of the window it comes from.
            rows = sources.get(name, slice(None))
            best[number] = np.fmax(best[number], confidence[number, rows])
    return np.where(np.isfinite(fused), fused > best + ROUNDING, np.nan)


def _condition_sums(
    pooled: PooledPredictions,
    overconfident: Array,
    condition: Condition,
    corpus: Corpus,
    n_bins: int,
) -> list[Sums]:
    """Return the sums (S, ...) of one condition, one dict per seed."""
    codes, n_subjects = subject_codes(corpus)
    result = []
    for z in range(len(pooled.probability)):
        sums = subject_sums(
            pooled.probability[z],
            pooled.affect_mean[z],
            corpus.target.astype(np.float64),
            corpus.affect.astype(np.float64),
            codes,
            n_subjects,
            n_bins,
        )
        identified = _is_identified(pooled.reliability[z], condition, corpus)
        values = np.stack(
            [
                *(pooled.vacuity[z], pooled.coherence[z], identified, overconfident[z]),
                *coverage_measures(pooled, z, corpus),
            ]
        )
        predicted = np.isfinite(pooled.probability[z]).all(1)
        result.append(
            {**sums, "window_means": _counts_and_totals(values, predicted, codes, n_subjects)}
        )
    return result


def _exact_areas(pooled: PooledPredictions, corpus: Corpus) -> Array:
    """Return the `AREAS` of one condition for every seed, (Z, 2)."""
    labelled = np.isfinite(corpus.target).all(1)
    truth = np.nan_to_num(corpus.target).argmax(1)
    result = []
    for probability in pooled.probability:
        valid = labelled & np.isfinite(probability).all(1)
        p = probability[valid]
        result.append(exact_areas(p.max(1), p.argmax(1) == truth[valid]))
    return np.array(result)


def _counts_and_totals(
    values: Array, predicted: NDArray[np.bool_], codes: NDArray[np.int64], n_subjects: int
) -> Array:
    """Return the number and the total of the finite values (Q, N) per subject: (S, Q, 2)."""
    result = np.zeros((n_subjects, len(values), 2))
    for place, row in enumerate(values):
        counted = np.isfinite(row) & predicted
        np.add.at(result[:, place, 0], codes[counted], 1)
        np.add.at(result[:, place, 1], codes[counted], row[counted])
    return result


def _is_identified(reliability: Array, condition: Condition, corpus: Corpus) -> Array:
    """Return 1 where the mismatched modality is the least reliable of those available, else 0.

    A tie of n counts 1/n. NaN for all conditions but mismatches, and where a method returns no
    reliability.
    """
    if condition.kind != MISMATCH:
        return np.full(len(reliability), np.nan)
    mismatched = corpus.modalities.index(condition.modalities[0])
    candidates = np.where(corpus.available, reliability, np.inf)
    least = candidates == candidates.min(1, keepdims=True)
    share = least[:, mismatched] / np.maximum(least.sum(1), 1)
    return np.where(np.isfinite(reliability[:, mismatched]), share, np.nan)


def sums_to_metrics(sums: Sums) -> dict[str, Array]:
    """Return `metrics.measures` and the `WINDOW_MEANS` of pooled sums."""
    counts_and_totals = np.moveaxis(sums["window_means"], -2, 0)
    with np.errstate(invalid="ignore"):
        averages = counts_and_totals[..., 1] / counts_and_totals[..., 0]
    return {**measures(sums), **dict(zip(WINDOW_MEANS, averages, strict=True))}


@dataclass(frozen=True)
class Resampled:
    """Every metric under every condition, of windows pooled over weighted subjects.

    Attributes
    ----------
    conditions : list of Condition
    modalities : list of str
    scores : dict of str to ndarray, shape (W, C)
        Mean over seeds, for W weights.
    detections : dict of str to ndarray, shape (W,)
        Area under the ROC curve of each detection task.
    n_subjects : int
    """

    conditions: list[Condition]
    modalities: list[str]
    scores: dict[str, Array]
    detections: dict[str, Array]
    n_subjects: int


def resample(evaluated: Evaluated, n_resamples: int) -> Resampled:
    """Resample the subjects of a method; row 0 of every result is the sample itself."""
    return resampled(evaluated, subject_weights(len(evaluated.subjects), n_resamples))


def resampled(evaluated: Evaluated, weights: Array) -> Resampled:
    """Pool a method's windows over weighted subjects.

    Parameters
    ----------
    evaluated : Evaluated
    weights : ndarray, shape (W, S)
        `resampling.subject_weights`; the unit matrix gives each subject alone.
    """
    columns = []
    for c in range(len(evaluated.conditions)):
        of_condition = {name: values[c] for name, values in evaluated.sums.items()}
        # In blocks that fit a core's cache: every metric passes over them several times.
        blocks = [
            sums_to_metrics(pool(of_condition, weights[start : start + BLOCK], axis=1))
            for start in range(0, len(weights), BLOCK)
        ]
        columns.append(
            {name: np.concatenate([block[name] for block in blocks]).mean(-1) for name in blocks[0]}
        )
    scores = {name: np.stack([column[name] for column in columns], 1) for name in columns[0]}
    detections = {
        name: auroc(np.tensordot(weights, counts, (1, 1))).mean(-1)
        for name, counts in evaluated.detections.items()
    }
    # The sample itself is computed without levels.
    whole = (weights == 1).all(1)
    for name, values in evaluated.areas.items():
        scores[name][whole] = values.mean(1)
    for name, values in evaluated.detection_areas.items():
        detections[name][whole] = values.mean()
    n_subjects = len(evaluated.subjects)
    return Resampled(evaluated.conditions, evaluated.modalities, scores, detections, n_subjects)

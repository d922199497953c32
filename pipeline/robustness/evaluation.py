"""From readings to scores: every method, condition, fold and seed, pooled over subjects."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.special import softmax

from pipeline.contracts import Scores, frame_of
from pipeline.methods.base import AFFECT
from pipeline.robustness import calibration
from pipeline.robustness.metrics import Array, Sums, measures, pool, subject_sums
from pipeline.robustness.protocol import Condition, Readings
from pipeline.robustness.statistics import interval
from pipeline.training.augmentation import Run
from pipeline.training.data import Corpus


@dataclass(frozen=True)
class Tested:
    """The test windows of one method under one condition; every subject is tested once a seed.

    Attributes
    ----------
    probability : ndarray, shape (Z, N, K)
        Calibrated, for Z seeds.
    affect_mean, affect_std : ndarray, shape (Z, N, 2)
    vacuity, coherence : ndarray, shape (Z, N)
    reliability : ndarray, shape (Z, N, M)
    """

    probability: Array
    affect_mean: Array
    affect_std: Array
    vacuity: Array
    coherence: Array
    reliability: Array


@dataclass(frozen=True)
class Evaluated:
    """One method under every condition.

    Attributes
    ----------
    tested : dict of Condition to Tested
    sums : dict of str to ndarray, shape (C, Z, S, ...)
        `metrics.subject_sums` of every condition, seed and test subject.
    calibration : list of dict
        Temperature and discount of every run.
    """

    tested: dict[Condition, Tested]
    sums: Sums
    calibration: list[dict[str, float]]


def evaluate(
    readings: Mapping[Condition, Readings],
    runs: Sequence[Run],
    corpus: Corpus,
    discounted: bool,
    n_bins: int,
) -> Evaluated:
    """Calibrate each run on its validation windows and score it on its test windows.

    The calibration sees every condition; complete clean windows count as much as all the
    incomplete and noisy ones together.
    Windows of which a condition leaves no modality are not scored under it.

    Parameters
    ----------
    discounted : bool
        Whether the method's coherence may discount its confidence.
    """
    fitted = [
        _calibrate(readings, number, run, corpus, discounted) for number, run in enumerate(runs)
    ]
    tested = {
        condition: _test(condition, reading, runs, corpus, fitted)
        for condition, reading in readings.items()
    }
    codes, n_subjects = subject_codes(corpus)
    sums = [
        [
            subject_sums(
                item.probability[seed],
                item.affect_mean[seed],
                corpus.target.astype(np.float64),
                corpus.affect.astype(np.float64),
                codes,
                n_subjects,
                n_bins,
            )
            for seed in range(len(item.probability))
        ]
        for item in tested.values()
    ]
    stacked = {
        name: np.stack([np.stack([of_seed[name] for of_seed in item]) for item in sums])
        for name in sums[0][0]
    }
    told = [
        {"fold": run.fold, "seed": run.seed, "temperature": t, "discount": d}
        for run, (t, d) in zip(runs, fitted, strict=True)
    ]
    return Evaluated(tested, stacked, told)


def subject_codes(corpus: Corpus) -> tuple[NDArray[np.int64], int]:
    """Return each window's subject as a number in the order of their sorted names, and how many."""
    names, codes = np.unique(corpus.index["subject"].to_numpy(), return_inverse=True)
    return codes, len(names)


def _calibrate(
    readings: Mapping[Condition, Readings],
    number: int,
    run: Run,
    corpus: Corpus,
    discounted: bool,
) -> tuple[float, float]:
    rows = corpus.members(run.fold, "validation")
    rows = rows[np.isfinite(corpus.target[rows]).all(1)]
    seen = [rows[_something_left(condition, corpus)[rows]] for condition in readings]
    complete = Condition("subset", corpus.modalities)
    shares = [1.0 if c == complete else 1 / (len(readings) - 1) for c in readings]
    return calibration.fit(
        np.concatenate([r.logits[number, s] for r, s in zip(readings.values(), seen, strict=True)]),
        np.concatenate(
            [r.coherence[number, s] for r, s in zip(readings.values(), seen, strict=True)]
        ),
        corpus.target[np.concatenate(seen)].astype(np.float64),
        np.repeat(shares, [len(s) for s in seen]),
        discounted,
    )


def _something_left(condition: Condition, corpus: Corpus) -> NDArray[np.bool_]:
    return np.any(corpus.available & condition.kept(corpus.modalities), axis=1)


def _test(
    condition: Condition,
    reading: Readings,
    runs: Sequence[Run],
    corpus: Corpus,
    fitted: Sequence[tuple[float, float]],
) -> Tested:
    seeds = sorted({run.seed for run in runs})
    left = _something_left(condition, corpus)

    def gathered(values: Array) -> Array:
        result = np.full((len(seeds), *values.shape[1:]), np.nan)
        for number, run in enumerate(runs):
            rows = corpus.members(run.fold, "test")
            rows = rows[left[rows]]
            result[seeds.index(run.seed), rows] = values[number, rows]
        return result

    probability = np.stack(
        [
            softmax(calibration.scale(logits, coherence, *setting), -1)
            for logits, coherence, setting in zip(
                reading.logits, reading.coherence, fitted, strict=True
            )
        ]
    )
    return Tested(
        gathered(probability),
        gathered(reading.affect_mean),
        gathered(reading.affect_std),
        gathered(reading.vacuity),
        gathered(reading.coherence),
        gathered(reading.reliability),
    )


def score_table(
    method: str, evaluated: Evaluated, runs: Sequence[Run], corpus: Corpus
) -> pl.DataFrame:
    """Return the `Scores` of a method: every metric of every test subject."""
    found = measures(evaluated.sums)
    subjects = sorted(corpus.index["subject"].unique().to_list())
    seeds = sorted({run.seed for run in runs})
    tests = corpus.splits.filter(pl.col("role") == "test")
    fold = dict(tests.select("subject", "fold").iter_rows())
    rows: list[dict[str, object]] = [
        {
            "method": method,
            "seed": seed,
            "fold": fold[subject],
            "subject": subject,
            "condition": condition.kind,
            "modalities": "+".join(condition.modalities),
            "severity": condition.severity,
            "metric": metric,
            "value": _or_none(values[c, z, s]),
        }
        for metric, values in found.items()
        for c, condition in enumerate(evaluated.tested)
        for z, seed in enumerate(seeds)
        for s, subject in enumerate(subjects)
    ]
    return frame_of(rows, Scores)


def _or_none(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def resampled(evaluated: Evaluated, weights: Array) -> dict[str, Array]:
    """Return every metric (W, C) of windows pooled over the weighted subjects, mean over seeds.

    Parameters
    ----------
    weights : ndarray, shape (W, S)
        `statistics.subject_weights`.
    """
    found = measures(pool(evaluated.sums, weights, axis=2))
    return {name: values.mean(-1) for name, values in found.items()}


def summary(
    found: Mapping[str, Array], tested: Sequence[Condition], modalities: Sequence[str]
) -> dict[str, Array]:
    """Return the figures that sum a method up, each (W,).

    Balanced accuracy with all modalities (``all``), all but one (``without_<m>``), one
    (``only_<m>``), noise in one (``noise_<m>``, mean over severities) or in any (``noise``), and
    ``grid``, the mean over all subsets and the modalities' noise; calibration and affect with
    all modalities.
    """
    accuracy = found["balanced_accuracy"]
    position = {condition: number for number, condition in enumerate(tested)}

    def subset(*names: str) -> Array:
        return accuracy[:, position[Condition("subset", names)]]

    everything = tuple(modalities)
    figures = {"all": subset(*everything)}
    if len(modalities) > 1:
        for name in modalities:
            figures[f"without_{name}"] = subset(*(other for other in modalities if other != name))
        figures |= {f"only_{name}": subset(name) for name in modalities}
    subsets = [number for condition, number in position.items() if condition.kind == "subset"]
    noisy = []
    for name in modalities:
        of_name = [n for c, n in position.items() if c.kind == "noise" and c.modalities == (name,)]
        noisy.append(accuracy[:, of_name].mean(1))
        figures[f"noise_{name}"] = noisy[-1]
    figures["noise"] = np.mean(noisy, axis=0)
    figures["grid"] = np.column_stack([accuracy[:, subsets], *noisy]).mean(1)
    full = position[Condition("subset", everything)]
    for metric in ("macro_f1", "nll", "ece", "brier"):
        figures[metric] = found[metric][:, full]
    for target in AFFECT:
        for metric in (f"{target}_ccc", f"{target}_rmse"):
            if np.isfinite(found[metric][0, full]):
                figures[metric] = found[metric][:, full]
    return figures


def with_intervals(figures: Mapping[str, Array], bounded: Sequence[str]) -> dict[str, float]:
    """Return each figure's estimate, and ``_low`` and ``_high`` of those named in `bounded`."""
    result: dict[str, float] = {}
    for name, values in figures.items():
        estimate, low, high = interval(values)
        result[name] = estimate
        if name in bounded:
            result[f"{name}_low"], result[f"{name}_high"] = low, high
    return result


def window_table(tested: Tested, corpus: Corpus) -> pl.DataFrame:
    """Return what a model says of every test window, complete and clean, mean over seeds."""
    probability = tested.probability.mean(0)
    scored = np.isfinite(probability).all(1)
    classes = np.array(corpus.classes)
    fold = corpus.splits.filter(pl.col("role") == "test").select("subject", "fold")
    known = np.all(np.isfinite(corpus.target), axis=1)
    leading = classes[np.where(known, np.nan_to_num(corpus.target).argmax(1), 0)]
    columns: dict[str, Any] = {
        "actual": [str(name) if k else None for name, k in zip(leading, known, strict=True)],
        "predicted": [str(name) for name in classes[np.nan_to_num(probability).argmax(1)]],
        "confidence": probability.max(1),
        **{f"p_{name}": probability[:, k] for k, name in enumerate(corpus.classes)},
        "vacuity": tested.vacuity.mean(0),
        "coherence": tested.coherence.mean(0),
        **{
            f"reliability_{name}": np.where(
                corpus.available[:, m], tested.reliability.mean(0)[:, m], np.nan
            )
            for m, name in enumerate(corpus.modalities)
        },
    }
    for number, name in enumerate(AFFECT):
        if np.isfinite(corpus.affect[:, number]).any():
            columns[f"predicted_{name}"] = tested.affect_mean.mean(0)[:, number]
            columns[f"predicted_{name}_std"] = tested.affect_std.mean(0)[:, number]
    table = pl.concat(
        [
            corpus.index.select("window", "session", "subject", "trial", "start_s", "end_s"),
            pl.DataFrame(columns),
            corpus.index.select(*AFFECT, "agreement"),
        ],
        how="horizontal",
    ).with_columns(pl.col(pl.Float64).fill_nan(None))
    return table.filter(scored).join(fold, on="subject", how="left", maintain_order="left")


def reliability_table(evaluated: Evaluated) -> pl.DataFrame:
    """Return confidence and accuracy per bin with all modalities, pooled over seeds."""
    bins = evaluated.sums["bins"][0].sum((0, 1))
    edges = np.linspace(0, 1, len(bins) + 1)
    filled = bins[:, 0] > 0
    count = np.maximum(bins[:, 0], 1)
    return pl.DataFrame(
        {
            "from": edges[:-1],
            "to": edges[1:],
            "confidence": bins[:, 1] / count,
            "accuracy": bins[:, 2] / count,
            "predictions": bins[:, 0].astype(int),
        }
    ).filter(filled)

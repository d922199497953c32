"""Tables of an evaluation: scores, windows, and the data behind every plot."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from consilience.evaluation.aggregate import by_kind
from consilience.evaluation.coverage import set_members
from consilience.evaluation.detection import PooledPredictions
from consilience.evaluation.metrics import Array
from consilience.evaluation.recording_shifts import Shift
from consilience.evaluation.resampling import interval
from consilience.evaluation.scorer import (
    Evaluated,
    Resampled,
    geometric_mean,
    sums_to_metrics,
)
from consilience.schema.constants import AFFECT
from consilience.schema.params.training import TrainingParams
from consilience.schema.tables import RecordingCoherence, Scores, frame_of
from consilience.training.recording_coherence import (
    SensorEvidence,
    cross_fitted_sharpness,
    log_likelihood_ratios,
    mismatch_probability,
    sensor_evidence,
)
from consilience.windows.conditions import EVERYTHING, MISMATCH, MISSING, SUBSET
from consilience.windows.store import Corpus

MOST_PROBABLE = 0.5  # probability above which a sensor is mismatched rather than not
BAD_SENSOR = 0.5  # reliability below which a sensor is more probably bad than good
AMBIGUOUS = 0.5  # confidence below which no class has even odds


def score_table(method: str, evaluated: Evaluated, corpus: Corpus) -> pl.DataFrame:
    """Return the `Scores` of a method: every metric of every test subject."""
    tests = corpus.splits.filter(pl.col("role") == "test")
    fold = dict(tests.select("subject", "fold").iter_rows())
    seeds, subjects = evaluated.seeds, evaluated.subjects
    rows = pl.DataFrame(
        {
            "seed": np.repeat(seeds, len(subjects)),
            "fold": [fold[subject] for subject in subjects] * len(seeds),
            "subject": subjects * len(seeds),
        }
    )
    blocks = []
    for c, condition in enumerate(evaluated.conditions):
        constants = {
            "method": method,
            "condition": condition.kind,
            "modalities": "+".join(condition.modalities),
            "severity": condition.severity,
        }
        metrics = sums_to_metrics({name: values[c] for name, values in evaluated.sums.items()})
        blocks += [
            rows.with_columns(
                metric=pl.lit(metric),
                value=pl.Series(values.ravel()).fill_nan(None),
                **{name: pl.lit(value) for name, value in constants.items()},
            )
            for metric, values in metrics.items()
        ]
    types = {name: column.dtype.type for name, column in Scores.to_schema().columns.items()}
    return pl.concat(blocks).select(*types).cast(types)


def window_table(
    predictions: PooledPredictions, corpus: Corpus, unusual: NDArray[np.bool_]
) -> pl.DataFrame:
    """Return a method's prediction for every test window, complete and clean, mean over seeds.

    The last parameter is that of `prediction_columns`.
    """
    fold = corpus.splits.filter(pl.col("role") == "test").select("subject", "fold")
    with_labels = np.asarray(np.isfinite(corpus.affect).any(0))
    affect = [name for name, has in zip(AFFECT, with_labels, strict=True) if has]
    table = pl.concat(
        [
            corpus.index.select("window", "session", "subject", "trial", "start_s", "end_s"),
            pl.DataFrame({"actual": _actual_classes(corpus)}, {"actual": pl.String}),
            prediction_columns(predictions, corpus, affect, unusual),
            corpus.index.select(*AFFECT, "agreement"),
        ],
        how="horizontal",
    )
    predicted = table["confidence"].is_not_null()
    return table.filter(predicted).join(fold, on="subject", how="left", maintain_order="left")


def prediction_columns(
    predictions: PooledPredictions,
    corpus: Corpus,
    affect: Sequence[str],
    unusual: NDArray[np.bool_],
) -> pl.DataFrame:
    """Return the columns of N windows that describe their predictions; null without one.

    Parameters
    ----------
    predictions : PooledPredictions
        Of Z seeds, which are averaged as `scorer` averages runs.
    corpus : Corpus
    affect : sequence of str
        Of `AFFECT`, those that the model was trained to predict.
    unusual : ndarray of bool, shape (N, M)
        What `reference.unusual_windows` returned.
    """
    probability = geometric_mean(predictions.probability)
    confidence = probability.max(1)
    reliability = predictions.reliability.mean(0)
    columns: dict[str, Any] = {
        "predicted": [corpus.classes[k] for k in np.nan_to_num(probability).argmax(1)],
        "confidence": confidence,
        "prediction_set": _named_sets(probability, predictions.set_threshold.mean(0), corpus),
        **{f"p_{name}": probability[:, k] for k, name in enumerate(corpus.classes)},
        "vacuity": predictions.vacuity.mean(0),
        "coherence": predictions.coherence.mean(0),
        "verdict": _verdicts(reliability, confidence, corpus, unusual),
        **{
            f"reliability_{name}": np.where(corpus.available[:, m], reliability[:, m], np.nan)
            for m, name in enumerate(corpus.modalities)
        },
    }
    for name in affect:
        number = AFFECT.index(name)
        mean = predictions.affect_mean.mean(0)[:, number]
        half_width = predictions.affect_half_width.mean(0)[:, number]
        columns[f"predicted_{name}"] = mean
        columns[f"predicted_{name}_std"] = predictions.affect_std.mean(0)[:, number]
        columns[f"predicted_{name}_low"] = mean - half_width
        columns[f"predicted_{name}_high"] = mean + half_width
    return pl.DataFrame(columns).with_columns(pl.col(pl.Float64).fill_nan(None))


def _named_sets(probability: Array, threshold: Array, corpus: Corpus) -> list[str]:
    """Return the classes of every window's prediction set, joined by ``|``."""
    in_set = set_members(probability, threshold)
    return ["|".join(np.array(corpus.classes)[members].tolist()) for members in in_set]


def _actual_classes(corpus: Corpus) -> list[str | None]:
    """Return the most probable class of every window's soft label; None without a label."""
    labelled = np.all(np.isfinite(corpus.target), axis=1)
    leading = np.nan_to_num(corpus.target).argmax(1)
    return [
        corpus.classes[k] if has_label else None
        for k, has_label in zip(leading, labelled, strict=True)
    ]


def _verdicts(
    reliability: Array, confidence: Array, corpus: Corpus, unusual: NDArray[np.bool_]
) -> list[str | None]:
    """Return for every window which sensor is bad, or that the state is ambiguous, or neither.

    Bad is the least reliable sensor if its reliability is below `BAD_SENSOR`: it fails if its input
    is unusual; otherwise it contradicts the other sensors, as a mismatched one does. Ambiguous is a
    window whose sensors are all reliable and whose confidence is below `AMBIGUOUS`.
    """
    reliability = np.where(corpus.available, reliability, np.inf)
    least = reliability.argmin(1)
    rows = np.arange(len(least))
    unknown = np.asarray(np.isnan(reliability).any(1))  # the method returns no reliability
    is_bad = reliability[rows, least] < BAD_SENSOR
    several = corpus.available.sum(1) > 1
    kind = np.where(unusual[rows, least], "failing", np.where(several, "contradicting", "bad"))
    verdicts: list[str | None] = []
    for row in rows:
        if unknown[row]:
            verdicts.append(None)
        elif is_bad[row]:
            verdicts.append(f"{kind[row]} sensor: {corpus.modalities[least[row]]}")
        else:
            verdicts.append("ambiguous state" if confidence[row] < AMBIGUOUS else "clear")
    return verdicts


def recording_table(
    alone: Mapping[str, Array],
    prior: Array,
    corpus: Corpus,
    mismatch_prior: float,
    shifts: Mapping[str, Mapping[str, Shift]],
) -> pl.DataFrame:
    """Return the `RecordingCoherence` of a method: agreement of the sensors of each test session.

    Parameters
    ----------
    alone : mapping of str to ndarray, shape (N, K)
        Calibrated class probabilities by each modality alone; NaN where a window is not tested.
    prior : ndarray, shape (N, K)
        Of `training_frequencies`.
    corpus : Corpus
    mismatch_prior : float
    shifts : mapping of str to (mapping of str to Shift)
        By session and modality, of `recording_shifts`.
    """
    probability = np.stack([alone[name] for name in corpus.modalities], 1)
    available = corpus.available & np.isfinite(probability).all(-1)
    evidence = sensor_evidence(probability, available, prior)
    rows = [
        {"session": session, "subject": subject, **row}
        for (session, subject), positions in _sessions(corpus)
        for row in _sensor_rows(
            evidence.of_rows(positions),
            corpus.modalities,
            mismatch_prior,
            shifts.get(session, {}),
        )
    ]
    return frame_of(rows, RecordingCoherence)


def sensor_table(alone: Mapping[str, Array], corpus: Corpus) -> pl.DataFrame:
    """Return the `SensorPredictions` of a method: every test window by every available sensor.

    Parameters
    ----------
    alone : mapping of str to ndarray, shape (N, K)
        Calibrated class probabilities by each modality alone; NaN where a window is not tested.
    corpus : Corpus
    """
    windows = corpus.index["window"]
    tables = []
    for place, name in enumerate(corpus.modalities):
        predicted = corpus.available[:, place] & np.isfinite(alone[name]).all(1)
        probability = alone[name][predicted]
        tables.append(
            pl.DataFrame(
                {
                    "window": windows.filter(pl.Series(predicted)),
                    "sensor": pl.Series([name] * len(probability), dtype=pl.String),
                    # Six decimals: the table has a row per window and sensor.
                    "probability": pl.Series(
                        probability.round(6).tolist(), dtype=pl.List(pl.Float64)
                    ),
                }
            )
        )
    return pl.concat(tables)


def _sensor_rows(
    evidence: SensorEvidence,
    sensors: Sequence[str],
    mismatch_prior: float,
    shifts: Mapping[str, Shift],
) -> Iterator[dict[str, object]]:
    """Yield the columns of `RecordingCoherence` for each sensor of a session."""
    windows = evidence.comparable.sum(0)
    compared = np.flatnonzero(windows).tolist()
    llr = log_likelihood_ratios(evidence)[:, compared].sum(0)
    probability = mismatch_probability(llr, mismatch_prior)
    for place, m in enumerate(compared):
        shift = shifts.get(sensors[m])
        yield {
            "sensor": sensors[m],
            "windows": int(windows[m]),
            "llr": float(llr[place]),
            "probability": float(probability[place]),
            "named": bool(probability[place] > MOST_PROBABLE),
            "shift_s": shift and shift.delay_s,
            "shift_gain": shift and shift.gain,
        }


def sharpness_of_sensors(
    alone: Mapping[str, Array], prior: Array, corpus: Corpus
) -> dict[str, Array]:
    """Return `cross_fitted_sharpness` (N,) of each modality; see `recording_table`."""
    fold = np.full(len(corpus.index), -1)
    for number in corpus.folds:
        fold[corpus.members(number, "test")] = number
    target = corpus.target.astype(np.float64)
    return {
        name: cross_fitted_sharpness(probability, target, prior, fold)
        for name, probability in alone.items()
    }


def training_frequencies(corpus: Corpus, training: TrainingParams) -> Array:
    """Return the class frequencies (N, K) in the training of the fold that tests a window.

    Uniform for windows that no fold tests, without labels, and if the training balances classes.
    """
    frequencies = np.full(corpus.target.shape, 1 / len(corpus.classes))
    if training.balance_classes:
        return frequencies
    roles = ("train", "validation") if training.refit else ("train",)
    for fold in corpus.folds:
        target = corpus.target[corpus.members(fold, *roles)]
        target = target[np.isfinite(target).all(1)]
        if len(target):
            frequencies[corpus.members(fold, "test")] = target.mean(0, dtype=np.float64)
    return frequencies


def _sessions(corpus: Corpus) -> list[tuple[tuple[str, str], NDArray[np.int64]]]:
    """Return each session and its subject with the positions of its windows in order of time."""
    ordered = corpus.index.with_row_index("row").sort("session", "start_s", maintain_order=True)
    return [
        ((str(session), str(subject)), group["row"].to_numpy().astype(np.int64))
        for (session, subject), group in ordered.group_by("session", "subject", maintain_order=True)
    ]


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


def accuracy_table(resampled: Mapping[str, Resampled]) -> pl.DataFrame:
    """Return balanced accuracy with its 95 % interval by method and condition."""
    rows = []
    for method, scores in resampled.items():
        for number, condition in enumerate(scores.conditions):
            accuracy = scores.scores["balanced_accuracy"][:, number]
            estimate, low, high = interval(accuracy, scores.n_subjects)
            rows.append(
                {
                    "method": method,
                    "condition": condition.kind,
                    "modalities": "+".join(condition.modalities),
                    "n_modalities": len(condition.modalities),
                    "severity": condition.severity,
                    "balanced_accuracy": estimate,
                    "low": low,
                    "high": high,
                }
            )
    return pl.DataFrame(rows)


def noise_table(accuracies: pl.DataFrame) -> pl.DataFrame:
    """Return the accuracy curve of every modality and kind of corruption, from severity 0.

    Parameters
    ----------
    accuracies : polars.DataFrame
        Of `accuracy_table`.
    """
    full = pl.col("n_modalities") == pl.col("n_modalities").max()
    clean = accuracies.filter(pl.col("condition") == SUBSET).filter(full)
    not_a_corruption = [SUBSET, MISMATCH, MISSING, EVERYTHING]
    noise = accuracies.filter(~pl.col("condition").is_in(not_a_corruption))
    kinds = noise.select("modalities", "condition").unique(maintain_order=True)
    # Severity 0 of every curve is the same clean condition.
    clean = clean.drop("modalities", "condition").join(kinds, how="cross").select(noise.columns)
    return (
        pl.concat([clean, noise])
        .drop("n_modalities")
        .rename({"modalities": "modality", "condition": "kind"})
        .sort("method", "modality", "kind", "severity", maintain_order=True)
    )


def kind_table(resampled: Mapping[str, Resampled]) -> pl.DataFrame:
    """Return the estimates of `aggregate.by_kind` by method, modality and kind of corruption."""
    return pl.DataFrame(
        [
            {"method": method, "modality": modality, "kind": kind}
            | {name: float(values[0]) for name, values in metrics.items()}
            for method, scores in resampled.items()
            for (modality, kind), metrics in by_kind(scores).items()
        ]
    )


def plot_tables(
    evaluated: Mapping[str, Evaluated],
    resampled: Mapping[str, Resampled],
    windows: pl.DataFrame,
) -> dict[str, pl.DataFrame]:
    """Return the tables behind the plots, by name of their CSV file.

    Parameters
    ----------
    evaluated, resampled : mapping of method to scores
    windows : polars.DataFrame
        `window_table` of the method whose confusions are plotted.
    """
    accuracies = accuracy_table(resampled)
    of_kind = {
        kind: accuracies.filter(pl.col("condition") == kind).drop("condition")
        for kind in (SUBSET, MISMATCH, MISSING)
    }
    return {
        "subsets": of_kind[SUBSET].drop("severity").rename({"modalities": "subset"}),
        "noise": noise_table(accuracies),
        "kinds": kind_table(resampled),
        "mismatches": of_kind[MISMATCH]
        .drop("severity", "n_modalities")
        .rename({"modalities": "modality"}),
        "missing": of_kind[MISSING].drop("modalities", "n_modalities"),
        "reliability": pl.concat(
            [
                reliability_table(scores).insert_column(0, pl.lit(method).alias("method"))
                for method, scores in evaluated.items()
            ]
        ),
        "confusion": windows.select("actual", "predicted").drop_nulls(),
    }

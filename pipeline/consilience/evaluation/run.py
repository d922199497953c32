"""Evaluate every trained method of a project on the same windows."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
import polars as pl
from rich.console import Console

from consilience.core import circumstances
from consilience.core.errors import ConsilienceError
from consilience.core.files import atomic_folder, write_bytes, write_json
from consilience.evaluation.aggregate import corruption_error, summary, with_intervals
from consilience.evaluation.contradictions import RECORDINGS
from consilience.evaluation.metrics import Array
from consilience.evaluation.predict import LoadedModel, load_bundle, predict
from consilience.evaluation.recording_shifts import Shift, recording_shifts
from consilience.evaluation.scorer import Evaluated, Resampled, resample, score
from consilience.evaluation.summary import headline, short_table
from consilience.evaluation.tables import (
    plot_tables,
    recording_table,
    score_table,
    sensor_table,
    sharpness_of_sensors,
    training_frequencies,
    window_table,
)
from consilience.project import Project
from consilience.schema.params.plugins import DEFAULT_METHOD
from consilience.schema.params.robustness import RobustnessParams
from consilience.schema.tables import (
    Deviations,
    RecordingCoherence,
    Scores,
    SensorPredictions,
    csv_text,
    frame_of,
    write_parquet,
    write_table,
)
from consilience.training.conditioned import Prepared, load_windows
from consilience.training.recording_coherence import sharpened
from consilience.training.reference import cross_fitted_deviations, unusual_windows
from consilience.windows.conditions import SUBSET, Condition, conditions
from consilience.windows.store import Corpus, load_corpus

REFERENCE_METHOD = "concat"  # its errors are the unit of the corruption error
LEADS = ("all", "grid", "grid_nll", "grid_ece", "grid_aurc")  # also given as differences


class Evaluation(NamedTuple):
    """Scores of several methods on one corpus.

    Attributes
    ----------
    default : str
        The method whose predictions are listed window by window.
    metrics : dict of method to (dict of metric to float)
        With the ends of the 95 % intervals, ``<metric>_low`` and ``<metric>_high``.
    scores : polars.DataFrame
        `Scores`.
    windows : polars.DataFrame
        `tables.window_table` of the default method.
    recordings : polars.DataFrame
        `RecordingCoherence` of the default method.
    sensors : polars.DataFrame
        `SensorPredictions` of the default method.
    plots : dict of str to polars.DataFrame
        `tables.plot_tables`.
    deviations : polars.DataFrame
        `reference.cross_fitted_deviations`, which depend on no method.
    """

    default: str
    metrics: dict[str, dict[str, float]]
    scores: pl.DataFrame
    windows: pl.DataFrame
    recordings: pl.DataFrame
    sensors: pl.DataFrame
    plots: dict[str, pl.DataFrame]
    deviations: pl.DataFrame = frame_of([], Deviations)

    def write(self, folder: Path) -> None:
        """Write the metrics, the tables and ``plots/*.csv``.

        ``metrics.json`` has every metric; ``metrics/<method>.json`` the few that DVC shows.
        """
        with atomic_folder(folder) as aside:
            write_json(aside / "metrics.json", self.metrics)
            for method, values in self.metrics.items():
                write_json(aside / "metrics" / f"{method}.json", headline(values))
            write_table(aside / "scores.parquet", self.scores, Scores)
            write_parquet(aside / "windows.parquet", self.windows)
            write_table(aside / RECORDINGS, self.recordings, RecordingCoherence)
            write_table(aside / "sensors.parquet", self.sensors, SensorPredictions)
            write_table(aside / "deviations.parquet", self.deviations, Deviations)
            for name, table in self.plots.items():
                content = csv_text(table, float_precision=6)
                write_bytes(aside / "plots" / f"{name}.csv", content.encode())


def evaluate(project: Project) -> None:
    """Evaluate every method of a project, write ``data/evaluation`` and print a short table.

    Parameters
    ----------
    project : Project
        With feature frames, clocks, windows and models.
    """
    corpus = load_corpus(project.windows, project.corrupted)
    bundles = {method: project.model(method) for method in project.content["methods"]}
    params = project.section(RobustnessParams)
    shifts = recording_shifts(project, corpus, params)
    evaluation = evaluate_models(corpus, bundles, params, shifts)
    evaluation = evaluation._replace(deviations=cross_fitted_deviations(corpus))
    for line in _without_score(evaluation.scores):
        print(f"evaluate: {line}", file=sys.stderr)
    evaluation.write(project.evaluation)
    Console().print(short_table(evaluation.metrics, len(corpus.classes), evaluation.default))


def evaluate_models(
    corpus: Corpus,
    bundles: Mapping[str, Path],
    params: RobustnessParams,
    shifts: Mapping[str, Mapping[str, Shift]],
) -> Evaluation:
    """Score trained models under every condition that the corpus allows.

    Parameters
    ----------
    corpus : Corpus
    bundles : mapping of method to Path
        Folders with ``model.safetensors`` and ``card.json``, at least one.
    params : RobustnessParams
    shifts : mapping of str to (mapping of str to Shift)
        By session and modality, of `recording_shifts`.

    Raises
    ------
    ConsilienceError
        If a bundle is missing or does not match the corpus, or no test window has a class.
    """
    tested = conditions(corpus)
    prepared = load_windows(corpus, tested)
    default = DEFAULT_METHOD if DEFAULT_METHOD in bundles else next(iter(bundles))
    alone = {name: Condition(SUBSET, (name,)) for name in corpus.modalities}
    evaluated: dict[str, Evaluated] = {}
    resampled: dict[str, Resampled] = {}
    scores: list[pl.DataFrame] = []
    for method, bundle in bundles.items():
        model = load_bundle(bundle, prepared)
        _note_speed(method, model, corpus, prepared, tested[0])
        # Memory: window by window, only what the default method's tables show.
        keep = {tested[0], *alone.values()} if method == default else set()
        if method == default:
            prior = training_frequencies(corpus, model.training)
            unusual = unusual_windows(model.references, corpus)
        evaluated[method] = score(
            [model], corpus, prepared, tested, params.calibration_bins, keep=keep
        )
        scores.append(score_table(method, evaluated[method], corpus))
        resampled[method] = resample(evaluated[method], params.bootstrap)
    predictions = evaluated[default].predictions
    windows = window_table(predictions[tested[0]], corpus, unusual)
    by_sensor = {
        name: predictions[condition].probability.mean(0) for name, condition in alone.items()
    }
    sharpness = sharpness_of_sensors(by_sensor, prior, corpus)
    by_sensor = {name: sharpened(values, sharpness[name]) for name, values in by_sensor.items()}
    return Evaluation(
        default,
        _metrics(_summaries(resampled), default, resampled[default].n_subjects),
        pl.concat(scores),
        windows,
        recording_table(by_sensor, prior, corpus, params.mismatch_prior, shifts),
        sensor_table(by_sensor, corpus),
        plot_tables(evaluated, resampled, windows),
    )


def _note_speed(
    method: str, model: LoadedModel, corpus: Corpus, prepared: Prepared, condition: Condition
) -> None:
    """Record how long a network takes for a window; no result depends on it."""
    start = time.perf_counter()
    predictions = predict([model], corpus, prepared, condition)
    milliseconds = 1000 * (time.perf_counter() - start)
    # Windows of all runs: each is predicted by the networks that held its person out.
    n_windows = int(np.isfinite(predictions.logits).all(-1).sum())
    circumstances.note(f"{method}, ms per window", milliseconds / max(1, n_windows))


def _without_score(scores: pl.DataFrame) -> list[str]:
    """Return a line on the conditions that no test window has: no figure averages over them."""
    accuracy = scores.filter(pl.col("metric") == "balanced_accuracy")
    by_condition = accuracy.group_by("condition", "modalities", "severity", maintain_order=True)
    lacking = by_condition.agg(pl.col("value").count()).filter(pl.col("value") == 0)
    if not lacking.height:
        return []
    kind, names, severity, _ = lacking.row(0)
    return [
        f"no test window under {lacking.height} conditions, such as {kind} {names} {severity}: "
        "figures that average over them are left out"
    ]


def _summaries(resampled: Mapping[str, Resampled]) -> dict[str, dict[str, Array]]:
    """Return `aggregate.summary` of every method, with the corruption error where possible."""
    summaries = {method: summary(scores) for method, scores in resampled.items()}
    for method, figures in summaries.items():
        if "all" not in figures:
            raise ConsilienceError(
                f"no score of method '{method}' with all modalities",
                "evaluation",
                "no window of the test subjects has a class: see data/labels/summary.json",
            )
    if "noise" in summaries.get(REFERENCE_METHOD, {}):
        reference = resampled[REFERENCE_METHOD]
        for method, scores in resampled.items():
            summaries[method]["corruption_error"] = corruption_error(scores, reference)
    return summaries


def _metrics(
    summaries: Mapping[str, Mapping[str, Array]], default: str, n_subjects: int
) -> dict[str, dict[str, float]]:
    """Return every figure with its interval, and the default method's lead over each other."""
    metrics = {
        method: with_intervals(figures, list(figures), n_subjects)
        for method, figures in summaries.items()
    }
    for method, values in summaries.items():
        if method != default:
            # Differences are resampled as such: their interval is narrower than the methods' own.
            leads = {
                f"{name}_over_{method}": summaries[default][name] - values[name]
                for name in LEADS
                if name in values
            }
            metrics[default] |= with_intervals(leads, list(leads), n_subjects)
    return metrics

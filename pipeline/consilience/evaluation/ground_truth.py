"""Score alignment and labels of a synthetic corpus against its ground truth."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from consilience.alignment.clock import Line, clocks_from_pieces
from consilience.alignment.clock_score import ClockPair, score_clocks
from consilience.annotation.label_consensus import label_windows
from consilience.annotation.label_score import accuracy, brier_score, true_states, value_concordance
from consilience.core import registry
from consilience.core.errors import ConsilienceError
from consilience.core.files import atomic_folder, write_bytes, write_json
from consilience.project import Project
from consilience.schema.params.annotation import AnnotationParams
from consilience.schema.params.dataset import DatasetParams
from consilience.schema.tables import (
    Alignment,
    Annotations,
    Labels,
    Pieces,
    Recordings,
    Trials,
    csv_text,
    read_table,
)
from consilience.windows.layout import Window


def score(project: Project, corpus: str, emit: Callable[[str], None] = print) -> None:
    """Compare alignment and labels with the truth, and write ``data/score/<corpus>``.

    Parameters
    ----------
    project : Project
        Labelled.
    corpus : str
        The synthetic corpus the project ran on.
    emit : callable
        Receives the lines of the summary.

    Raises
    ------
    ConsilienceError
        If the project ran on another dataset.
    """
    dataset = project.section(DatasetParams).name
    if dataset != corpus:
        raise ConsilienceError(
            f"the pipeline ran on '{dataset}', not on '{corpus}'",
            "params.yaml: dataset.synthetic",
            f"leave out '{corpus}', or 'consilience use {corpus}'",
        )
    alignment = read_table(project.alignment / "alignment.parquet", Alignment)
    pairs = _clock_pairs(project, alignment, project.truth(corpus) / "clocks.csv")
    clocks: dict[str, Any] = {
        "recordings": alignment.height,
        "scored": len(pairs),
        **score_clocks(list(pairs.values()), _rates_hz(project, alignment)),
    }
    states = pl.read_csv(project.truth(corpus) / "state.csv")
    labels = _score_labels(project, states, registry.get("datasets", corpus).classes)
    with atomic_folder(project.score(corpus)) as folder:
        write_json(folder / "alignment.json", clocks)
        write_json(folder / "labels.json", labels)
        write_json(folder / "metrics.json", _headline(clocks, labels))
        write_bytes(folder / "alignment.csv", csv_text(_plot(alignment, pairs)).encode())
    _summarise(clocks, labels, emit)


def _catalog(project: Project, modality: str) -> pl.DataFrame:
    return read_table(project.recordings_table(modality), Recordings)


def _rates_hz(project: Project, alignment: pl.DataFrame) -> dict[str, float]:
    rates = {
        name: _catalog(project, name)["rate_hz"].median() for name in alignment["modality"].unique()
    }
    return {name: float(rate) for name, rate in rates.items() if isinstance(rate, float)}


def _clock_pairs(project: Project, alignment: pl.DataFrame, path: Path) -> dict[str, ClockPair]:
    """Return estimated and true clocks of the aligned recordings that have a true one."""
    truth = pl.read_csv(path).rename({"offset_s": "true_s", "drift_ppm": "true_ppm"})
    aligned = alignment.filter(pl.col("status") == "aligned").join(truth, on="recording")
    clocks = clocks_from_pieces(read_table(project.alignment / "pieces.parquet", Pieces))
    durations = {
        recording: duration_s
        for modality in alignment["modality"].unique()
        for recording, duration_s in _catalog(project, modality)
        .select("recording", "duration_s")
        .rows()
    }
    return {
        row["recording"]: ClockPair(
            row["session"],
            row["modality"],
            clocks[row["recording"]],
            Line(row["true_s"], row["true_ppm"]),
            durations[row["recording"]] or 0.0,
        )
        for row in aligned.iter_rows(named=True)
    }


def _plot(alignment: pl.DataFrame, pairs: dict[str, ClockPair]) -> pl.DataFrame:
    """Return one row per recording with its error, empty without one."""
    errors = {recording: np.abs(pair.error_ms()) for recording, pair in pairs.items()}
    rows = [
        (recording, float(np.median(error)), float(error.max()))
        for recording, error in errors.items()
    ]
    schema = {"recording": pl.String, "error_ms": pl.Float64, "max_error_ms": pl.Float64}
    table = alignment.select("recording", "session", "modality", "status", "residual_ms")
    return table.join(pl.DataFrame(rows, schema, orient="row"), on="recording", how="left").sort(
        "modality", "recording"
    )


def _score_labels(
    project: Project, truth: pl.DataFrame, classes: tuple[str, ...]
) -> dict[str, Any]:
    """Score the labels as they are, and valence and arousal also without the reaction lag."""
    choice = project.section(AnnotationParams)
    annotations = read_table(project.catalog / "annotations.parquet", Annotations)
    trials = read_table(project.catalog / "trials.parquet", Trials)
    table = read_table(project.labels / "labels.parquet", Labels).select(
        "session", "trial", "start_s", "end_s"
    )
    windows = [Window(*row) for row in table.iter_rows()]
    states = true_states(truth, windows)
    late = choice.model_copy(update={"reaction_lag_s": 0.0})
    labels, unshifted = (
        label_windows(annotations, windows, trials, classes, how).labels for how in (choice, late)
    )
    probabilities = labels["class_probability"].to_list()
    votes = labels["vote_share"].to_list()
    return {
        "windows": len(windows),
        "accuracy": accuracy(probabilities, states, classes),
        "accuracy_of_most_votes": accuracy(votes, states, classes),
        "brier": brier_score(probabilities, states, classes),
        "brier_of_votes": brier_score(votes, states, classes),
        "ccc": value_concordance(labels, states),
        "ccc_without_lag_correction": value_concordance(unshifted, states),
    }


def _headline(clocks: dict[str, Any], labels: dict[str, Any]) -> dict[str, Any]:
    """Return the few scores that DVC shows."""
    return {
        **{f"{name}_clock_error_ms": error["median"] for name, error in clocks["error_ms"].items()},
        "label_accuracy": labels["accuracy"],
        **{f"{name}_ccc": value for name, value in labels["ccc"].items()},
    }


def _summarise(clocks: dict[str, Any], labels: dict[str, Any], emit: Callable[[str], None]) -> None:
    for key, what in (("error_ms", "clock error"), ("between_ms", "out of step")):
        for name, error in clocks[key].items():
            if error["median"] is not None:
                emit(
                    f"score {name}: {what} {error['median']:.2f} ms median, "
                    f"{error['p95']:.2f} ms 95th percentile"
                )
    ccc = ", ".join(f"{name} {value:.3f}" for name, value in labels["ccc"].items() if value)
    emit(f"score labels: accuracy {labels['accuracy'] or 0:.3f}, concordance {ccc}")

"""Stage ``score``: ``python -m consilience.stages.score CORPUS``.

The one stage that reads a ground truth.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from consilience import params, stages
from consilience.alignment.clock import Line, clocks_from_pieces
from consilience.alignment.clock_score import ClockPair, score_clocks
from consilience.annotation.label_consensus import label_windows
from consilience.annotation.label_score import accuracy, brier_score, true_states, value_concordance
from consilience.core import registry
from consilience.core.errors import ConsilienceError
from consilience.core.files import atomic_folder, write_bytes, write_json
from consilience.schema.params.annotation import AnnotationParams
from consilience.schema.tables import (
    Alignment,
    Annotations,
    Labels,
    Pieces,
    Recordings,
    Trials,
    read_table,
)
from consilience.windows.layout import Window

TRUTH = Path("data/truth")
CATALOG = Path("data/catalog")
ALIGNMENT = Path("data/alignment")
LABELS = Path("data/labels/labels.parquet")
OUTPUT = Path("data/score")


def main(corpus: str) -> None:
    """Compare alignment and labels of a synthetic corpus with its ground truth."""
    settings = params.load()
    if settings.dataset.name != corpus:
        raise ConsilienceError(
            f"the pipeline ran on '{settings.dataset.name}', not on '{corpus}'",
            "params.yaml: dataset.synthetic",
            f"leave out '{corpus}', or 'consilience use {corpus}'",
        )
    alignment = read_table(ALIGNMENT / "alignment.parquet", Alignment)
    pairs = _clock_pairs(alignment, TRUTH / corpus / "clocks.csv")
    clocks: dict[str, Any] = {
        "recordings": alignment.height,
        "scored": len(pairs),
        **score_clocks(list(pairs.values()), _rates_hz(alignment)),
    }
    labels = _score_labels(
        pl.read_csv(TRUTH / corpus / "state.csv"),
        registry.get("datasets", corpus).classes,
        settings.annotation,
    )
    with atomic_folder(OUTPUT / corpus) as folder:
        write_json(folder / "alignment.json", clocks)
        write_json(folder / "labels.json", labels)
        write_bytes(folder / "alignment.csv", _plot(alignment, pairs).write_csv().encode())
    _tell(clocks, labels)


def _catalog(modality: str) -> pl.DataFrame:
    return read_table(CATALOG / "recordings" / f"{modality}.parquet", Recordings)


def _rates_hz(alignment: pl.DataFrame) -> dict[str, float]:
    rates = {name: _catalog(name)["rate_hz"].median() for name in alignment["modality"].unique()}
    return {name: float(rate) for name, rate in rates.items() if isinstance(rate, float)}


def _clock_pairs(alignment: pl.DataFrame, path: Path) -> dict[str, ClockPair]:
    """Return found and true clocks of the aligned recordings that have a true one."""
    truth = pl.read_csv(path).rename({"offset_s": "true_s", "drift_ppm": "true_ppm"})
    aligned = alignment.filter(pl.col("status") == "aligned").join(truth, on="recording")
    clocks = clocks_from_pieces(read_table(ALIGNMENT / "pieces.parquet", Pieces))
    durations = {
        recording: duration_s
        for modality in alignment["modality"].unique()
        for recording, duration_s in _catalog(modality).select("recording", "duration_s").rows()
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
    """Return one row per recording with its error, empty where there is none."""
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
    truth: pl.DataFrame, classes: tuple[str, ...], choice: AnnotationParams
) -> dict[str, Any]:
    """Score the labels as they are, and valence and arousal also without the reaction lag."""
    annotations = read_table(CATALOG / "annotations.parquet", Annotations)
    trials = read_table(CATALOG / "trials.parquet", Trials)
    table = read_table(LABELS, Labels).select("session", "trial", "start_s", "end_s")
    windows = [Window(*row) for row in table.iter_rows()]
    states = true_states(truth, windows)
    late = choice.model_copy(update={"reaction_lag_s": 0.0})
    labels, unshifted = (
        label_windows(annotations, windows, trials, classes, how).labels for how in (choice, late)
    )
    probabilities = [label.class_probability for label in labels]
    votes = [label.vote_share for label in labels]
    return {
        "windows": len(windows),
        "accuracy": accuracy(probabilities, states, classes),
        "accuracy_of_most_votes": accuracy(votes, states, classes),
        "brier": brier_score(probabilities, states, classes),
        "brier_of_votes": brier_score(votes, states, classes),
        "ccc": value_concordance(labels, states),
        "ccc_without_lag_correction": value_concordance(unshifted, states),
    }


def _tell(clocks: dict[str, Any], labels: dict[str, Any]) -> None:
    for key, what in (("error_ms", "clock error"), ("between_ms", "out of step")):
        for name, error in clocks[key].items():
            if error["median"] is not None:
                print(
                    f"score {name}: {what} {error['median']:.2f} ms median, "
                    f"{error['p95']:.2f} ms 95th percentile"
                )
    ccc = ", ".join(f"{name} {value:.3f}" for name, value in labels["ccc"].items() if value)
    print(f"score labels: accuracy {labels['accuracy'] or 0:.3f}, concordance {ccc}")


if __name__ == "__main__":
    stages.run(main)

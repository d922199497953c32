"""Files of predictions."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from consilience.core.errors import ConsilienceError
from consilience.core.files import write_bytes
from consilience.core.wording import counted
from consilience.prediction.run import NO_SENSOR, Predicted
from consilience.schema.tables import csv_text, write_parquet

MOST_WARNINGS = 10
SUFFIXES = (".parquet", ".csv")


def check_output(path: Path) -> None:
    """Raise if no table of predictions can be written to a path.

    Raises
    ------
    ConsilienceError
        If the ending is neither ``.parquet`` nor ``.csv``.
    """
    if path.suffix not in SUFFIXES:
        raise ConsilienceError(
            f"unsupported ending '{path.suffix}'", str(path), "name a .parquet or .csv file"
        )


def write_predictions(predicted: Predicted, path: Path) -> list[str]:
    """Write the tables of windows and of recordings, and return lines that summarise them.

    The table of recordings lies beside the other: ``predictions.recordings.parquet``.
    """
    beside = path.with_suffix(f".recordings{path.suffix}")
    _write(path, predicted.windows)
    _write(beside, predicted.recordings)
    return [
        *_warnings(predicted),
        *_counts(predicted.windows),
        f"predictions: {path}; recordings: {beside}",
    ]


def _write(path: Path, table: pl.DataFrame) -> None:
    if path.suffix == ".csv":
        write_bytes(path, csv_text(table).encode())
    else:
        write_parquet(path, table)


def _warnings(predicted: Predicted) -> list[str]:
    uncovered = predicted.windows.filter(verdict=NO_SENSOR).height
    lines = [
        f"warning: {recording}: {sensor} differs from the recordings of the training "
        f"({deviation:.1f} standard deviations): do not rely on its predictions"
        for recording, sensor, deviation in predicted.recordings.filter("differs")
        .sort("deviation", descending=True)
        .select("recording", "sensor", "deviation")
        .head(MOST_WARNINGS)
        .rows()
    ]
    further = predicted.recordings["differs"].sum() - len(lines)
    if further > 0:
        lines.append(f"warning: {further} further recordings of sensors differ")
    if uncovered:
        lines.append(
            f"{counted(uncovered, 'window')} without any sensor: vacuity 1, no class is preferred"
        )
    if predicted.held_out:
        lines.append(
            f"recordings of these subjects were in the training: {', '.join(predicted.held_out)}; "
            "each is predicted only by the runs that held it out"
        )
    if predicted.seen:
        lines.append(
            f"warning: the model was trained on recordings of {', '.join(predicted.seen)}: these "
            "predictions are better than those of other recordings"
        )
    return lines


def _counts(windows: pl.DataFrame) -> list[str]:
    counts = windows["verdict"].value_counts(sort=True)
    of_verdicts = ", ".join(f"{n} {verdict}" for verdict, n in counts.rows() if verdict)
    n_sessions = windows["session"].n_unique()
    return [
        f"{counted(windows.height, 'window')} of {counted(n_sessions, 'session')}: {of_verdicts}"
    ]

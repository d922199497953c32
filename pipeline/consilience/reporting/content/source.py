"""Tables of the stages that only some sections read, and where the windows lie in the files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import polars as pl

from consilience.alignment.clock import clocks_from_pieces
from consilience.core.files import read_json
from consilience.project import Project
from consilience.reporting.results import Results
from consilience.schema.tables import (
    Deviations,
    Pieces,
    Recordings,
    SensorPredictions,
    Subjects,
    Table,
    read_table,
)

# Of the sensors whose file shows a person best what happened, the first that a session has.
FOR_PEOPLE = ("video", "audio", "voice_embedding")


def subjects_of(project: Project, results: Results) -> pl.DataFrame:
    """Return the table `Subjects`."""
    return results.names.mapped(read_table(project.catalog / "subjects.parquet", Subjects))


def description_of(project: Project) -> dict[str, str]:
    """Return what the dataset states about itself; see `readers.participants`."""
    description: dict[str, str] = read_json(project.catalog / "description.json")
    return description


def sensor_predictions(project: Project, results: Results) -> pl.DataFrame:
    """Return the table `SensorPredictions` of the default method."""
    path = project.evaluation / "sensors.parquet"
    return results.names.mapped(read_table(path, SensorPredictions))


def deviations(project: Project, results: Results) -> pl.DataFrame:
    """Return the table `Deviations`."""
    path = project.evaluation / "deviations.parquet"
    return results.names.mapped(read_table(path, Deviations))


def from_query(path: Path, schema: type[Table], results: Results) -> pl.DataFrame | None:
    """Return a table of the stage `query`; None if the stage was not run.

    Columns with names that have no pseudonym of their own are left out.
    """
    if not path.is_file():
        return None
    return results.names.mapped(read_table(path, schema).drop("item", "files"))


def file_places(project: Project, results: Results, windows: pl.DataFrame) -> pl.DataFrame:
    """Return in which file, and at which second of it, windows begin.

    Parameters
    ----------
    project : Project
    results : Results
    windows : polars.DataFrame
        With ``window``, ``session`` and ``start_s`` in session time.

    Returns
    -------
    polars.DataFrame
        ``window``, ``file`` (relative to the dataset's root) and ``file_s`` on the recording's own
        clock, of the usable recording that comes first in `FOR_PEOPLE`, else in the order of the
        sensors. Null for windows without one.
    """
    tables = [
        read_table(project.recordings_table(name), Recordings).select(
            "recording", "session", file="path"
        )
        for name in _preferred(results.meta["modalities"])
    ]
    files = results.names.mapped(pl.concat(tables))
    usable = results.recordings.filter(pl.col("status") == "usable")["recording"]
    files = files.filter(pl.col("recording").is_in(usable.implode()))
    files = files.unique("session", keep="first", maintain_order=True)
    clocks = {
        results.names.recording(name): clock
        for name, clock in clocks_from_pieces(
            read_table(project.alignment / "pieces.parquet", Pieces)
        ).items()
    }
    placed = windows.select("window", "session", "start_s").join(
        files, on="session", how="left", maintain_order="left"
    )
    seconds = [
        clocks[name].to_native(float(start_s)) if name in clocks else None
        for name, start_s in placed.select("recording", "start_s").iter_rows()
    ]
    on_own_clock = pl.Series("file_s", seconds, pl.Float64).fill_nan(None)
    return placed.select("window", "file").with_columns(on_own_clock)


def _preferred(names: Sequence[str]) -> list[str]:
    first = [name for name in FOR_PEOPLE if name in names]
    return [*first, *(name for name in names if name not in first)]


def spread(n: int, most: int) -> list[int]:
    """Return at most `most` of n positions, evenly spread."""
    if not n:
        return []
    positions: list[int] = np.unique(
        np.linspace(0, n - 1, min(n, most)).round().astype(int)
    ).tolist()
    return positions

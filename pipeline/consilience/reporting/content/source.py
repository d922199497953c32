"""Tables of the stages that only some sections read, and where the windows lie in the files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl

from consilience.core.files import read_json
from consilience.project import Project
from consilience.reporting.results import Results
from consilience.schema.tables import (
    Deviations,
    SensorPredictions,
    Subjects,
    Table,
    read_table,
)
from consilience.windows.places import places, session_sources


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
        clock, of the first of `windows.places`. Null for windows without one.
    """
    names = results.names
    sources = session_sources(project, results.meta["modalities"])
    of_sessions = {names.session(session): listed for session, listed in sources.items()}
    rows: list[tuple[str, str | None, float | None]] = []
    for window, session, start_s in windows.select("window", "session", "start_s").iter_rows():
        first = next(iter(places(of_sessions.get(session, ()), start_s)), None)
        rows.append(
            (window, names.file(first.path), first.second_s) if first else (window, None, None)
        )
    types = {"window": pl.String, "file": pl.String, "file_s": pl.Float64}
    return pl.DataFrame(rows, types, orient="row")


def spread(n: int, most: int) -> list[int]:
    """Return at most `most` of n positions, evenly spread."""
    if not n:
        return []
    positions: list[int] = np.unique(
        np.linspace(0, n - 1, min(n, most)).round().astype(int)
    ).tolist()
    return positions

"""Annotations that were collected for a study: every ``*.csv`` in ``data/annotations``.

They have the columns of table `Annotations` and count as further annotators of the dataset.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from consilience.core.errors import ConsilienceError
from consilience.datasets.tables import check_annotations, read_table, validated
from consilience.project import Project
from consilience.readers.text_table import Problem
from consilience.schema.tables import Annotations, frame_of

REMEDY = "correct the table, or import it again with 'consilience annotate import'"


def collected_annotations(project: Project, classes: Sequence[str] = ()) -> pl.DataFrame:
    """Read the annotations that were collected for a study.

    Parameters
    ----------
    project : Project
    classes : sequence of str
        Permitted classes; empty permits any.

    Returns
    -------
    polars.DataFrame
        Table `Annotations`, one file after the other in the order of their names.

    Raises
    ------
    ConsilienceError
        If a file is not such a table, or a row is invalid.
    """
    tables = [read_collected(path, classes) for path in collected_files(project)]
    return pl.concat([frame_of([], Annotations), *tables])


def read_collected(path: Path, classes: Sequence[str] = ()) -> pl.DataFrame:
    """Read one table of annotations; see `collected_annotations`.

    Classes must be spelt as the dataset's. Ratings are from -1 to 1.
    """
    problems: list[Problem] = []
    table = read_table(path, path.parent, Annotations, problems)
    table = check_annotations(table, path.name, (), problems)
    if problems:
        where, what, _ = problems[0]
        raise ConsilienceError(what, f"data/annotations/{where}", REMEDY)
    is_emotion = pl.col("target") == "emotion"
    unknown = table.filter(is_emotion, ~pl.col("label").is_in(list(classes)))
    if classes and unknown.height:
        raise ConsilienceError(
            f"unknown class '{unknown['label'][0]}'",
            f"data/annotations/{path.name} line {unknown['line'][0]}",
            f"the dataset's classes are {', '.join(classes)}",
        )
    beyond = table.filter(~is_emotion, pl.col("value").abs() > 1)
    if beyond.height:
        raise ConsilienceError(
            f"{beyond['target'][0]} {beyond['value'][0]:g} is not from -1 to 1",
            f"data/annotations/{path.name} line {beyond['line'][0]}",
            REMEDY,
        )
    return validated(table, Annotations)


def collected_files(project: Project) -> list[Path]:
    """Return the tables in ``data/annotations``, sorted by name."""
    folder = project.annotations
    return sorted(folder.glob("*.csv")) if folder.is_dir() else []


def answered_windows(project: Project, index: pl.DataFrame) -> NDArray[np.bool_]:
    """Return which windows a collected annotation overlaps.

    Parameters
    ----------
    project : Project
    index : polars.DataFrame
        Table `Labels`.

    Returns
    -------
    ndarray of bool, shape (N,)
    """
    answers = collected_annotations(project).select("session", from_s="start_s", until_s="end_s")
    windows = index.select("session", "start_s", "end_s").with_row_index("row")
    both = windows.join(answers.unique(), on="session").filter(
        pl.col("from_s") < pl.col("end_s"), pl.col("until_s") > pl.col("start_s")
    )
    answered = np.zeros(index.height, bool)
    answered[both["row"].unique().to_numpy()] = True
    return answered

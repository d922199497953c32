"""Tables of trials and annotations in text files, checked row by row.

Rows that cannot be used are appended to a list of problems: where, what, remedy.
"""

from __future__ import annotations

import unicodedata
from pathlib import Path

import polars as pl

from consilience.core.errors import ConsilienceError
from consilience.readers.text_table import LINE, Problem, filter_rows, read_text, text_frame
from consilience.schema.tables import Annotations, Table, frame_of

MAX_TRIAL_S = 86_400.0  # a longer trial is a mistake of units, and would give endless windows
RATINGS = ("valence", "arousal")
# A label without what distinguishes no classes: case, spaces, composition of Unicode.
SPELLING = pl.col("label").str.normalize("NFKC").str.to_lowercase().str.replace_all(r"\s+", "")


def spelling(label: str) -> str:
    """Return a label without what distinguishes no classes, as `SPELLING` does."""
    return "".join(unicodedata.normalize("NFKC", label).lower().split())


def read_table(
    path: Path, root: Path, schema: type[Table], problems: list[Problem], delimiter: str = ","
) -> pl.DataFrame:
    """Read a text table with the column types of a schema.

    Parameters
    ----------
    path, root, delimiter
        As in `read_text`.
    schema : type of Table
        Columns that may be null may also be missing.
    problems : list of (where, what, remedy)
        Rows that do not fit are appended, and the file if it is not such a table.

    Returns
    -------
    polars.DataFrame
        Columns of the schema and the column ``line``; empty if the file cannot be read.
    """
    types = frame_of([], schema).schema
    nullable = {name for name, column in schema.to_schema().columns.items() if column.nullable}
    required = tuple(name for name in types if name not in nullable)
    try:
        text = read_text(path, root, required, problems, delimiter)
    except ConsilienceError as error:
        problems.append((error.where, error.what, f"{error.remedy}; read as empty"))
        text = text_frame([], [*types])
    text = text.with_columns(
        pl.lit(None, pl.String).alias(name) for name in types if name not in text.columns
    )
    typed = text.select(LINE, *(pl.col(n).cast(dtype, strict=False) for n, dtype in types.items()))
    # A text that is not a number is null after the cast; "nan" is a number to Polars.
    invalid = pl.any_horizontal(
        pl.col(name).is_null() | (pl.col(name).is_nan() if types[name].is_float() else False)
        for name in required
    )
    return filter_rows(typed, ~invalid, path.name, "a cell is empty or not a number", problems)


def check_times(table: pl.DataFrame, name: str, problems: list[Problem]) -> pl.DataFrame:
    """Return the rows whose ``start_s`` is finite and before ``end_s``."""
    forward = pl.col("start_s").is_finite() & (pl.col("end_s") > pl.col("start_s"))
    return filter_rows(table, forward, name, "end_s is not after start_s", problems)


def check_trials(table: pl.DataFrame, name: str, problems: list[Problem]) -> pl.DataFrame:
    """Return the trials that end after they start, and within a day."""
    table = check_times(table, name, problems)
    possible = (pl.col("end_s") - pl.col("start_s")) <= MAX_TRIAL_S
    what = f"a trial of more than {MAX_TRIAL_S:g} s"
    remedy = "times are in seconds; the row is left out"
    return filter_rows(table, possible, name, what, problems, remedy)


def check_annotations(
    table: pl.DataFrame, name: str, classes: tuple[str, ...], problems: list[Problem]
) -> pl.DataFrame:
    """Return the rows that name a class, or rate valence or arousal by a number.

    Parameters
    ----------
    table : polars.DataFrame
        `Annotations` and the column ``line``.
    name : str
        The file, for the problems.
    classes : tuple of str
        Permitted classes, in any spelling; empty permits any.
    problems : list of (where, what, remedy)
        The other rows are appended.
    """
    table = check_times(table, name, problems)
    is_emotion = pl.col("target") == "emotion"
    targets = ("emotion", *RATINGS)
    what = f"target is not one of {', '.join(targets)}"
    table = filter_rows(table, pl.col("target").is_in(targets), name, what, problems)
    has_label = ~is_emotion | pl.col("label").is_not_null()
    table = filter_rows(table, has_label, name, "no label", problems)
    is_number = is_emotion | pl.col("value").is_finite()
    table = filter_rows(table, is_number, name, "value is not a number", problems)
    if not classes:
        return table
    what = f"label is not one of {', '.join(classes)}"
    permitted = ~is_emotion | SPELLING.is_in([spelling(name) for name in classes])
    return filter_rows(table, permitted, name, what, problems)


def validated(table: pl.DataFrame, schema: type[Table]) -> pl.DataFrame:
    """Return a table without the column ``line``, validated against its schema."""
    checked: pl.DataFrame = schema.validate(table.drop(LINE))
    return checked


def annotation(
    session: str,
    annotator: str,
    target: str,
    value: str | float,
    start_s: float = 0.0,
    end_s: float = float("inf"),
) -> dict[str, object]:
    """Return a row of `Annotations`.

    Parameters
    ----------
    session, annotator : str
    target : str
        ``"emotion"``, ``"valence"`` or ``"arousal"``.
    value : str or float
        A class as text, or a rating from -1 to 1.
    start_s, end_s : float
        On the session's clock; the whole session by default.
    """
    is_class = isinstance(value, str)
    return {
        "session": session,
        "annotator": annotator,
        "target": target,
        "start_s": start_s,
        "end_s": end_s,
        "label": value if is_class else None,
        "value": None if is_class else value,
    }


def annotations_of(rows: list[dict[str, object]]) -> pl.DataFrame:
    """Return rows as the table `Annotations`."""
    return frame_of(rows, Annotations)

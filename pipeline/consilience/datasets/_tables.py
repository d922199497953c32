"""Text tables of datasets: read row by row, so that a bad row costs itself alone.

Every reader here adds what it left out to a list of problems: file, what is wrong, what to do.
"""

from __future__ import annotations

import csv
import gzip
import io
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import polars as pl

from consilience.core.errors import ConsilienceError, one_line
from consilience.schema.tables import Annotations, Table, frame_of

Problem = tuple[str, str, str]

LINE = "line"  # the column that says where in the file a row stood
CORRECT = "correct or remove it; the row is left out"
MAX_TOLD = 20  # of each kind of bad row: a million bad rows must not bury the other problems
MAX_LINE = 2**20  # characters; more is no line of a table
MAX_ROWS = 5_000_000
MAX_TRIAL_S = 86_400.0  # longer ones are a mistake of units, and would be cut into endless windows
CHUNK = 50_000
RATED = ("valence", "arousal")


def read_text(
    path: Path, root: Path, columns: tuple[str, ...], problems: list[Problem], delimiter: str = ","
) -> pl.DataFrame:
    """Read a table as text.

    Parameters
    ----------
    path : Path
        UTF-8 text with a header, gzip if its name ends in ``.gz``.
    root : Path
        The dataset's folder, which the file must not lie outside of (by a link).
    columns : tuple of str
        Those it must have.
    problems : list of (where, what, remedy)
        Rows that have more cells than the header are added here.
    delimiter : str
        What stands between cells.

    Returns
    -------
    polars.DataFrame
        Columns of type String, an empty cell null, and an integer column ``line``.

    Raises
    ------
    ConsilienceError
        If the file is no such table or lacks a column.
    """
    name = path.name
    if not path.is_file():
        what = "a folder or device, no file" if path.exists() else "the table is missing"
        raise ConsilienceError(what, name, "see docs/datasets.md for the layout")
    if not path.resolve().is_relative_to(root.resolve()):
        raise ConsilienceError("the path leads out of the dataset", name, "copy the file into it")
    try:
        with _open(path) as file:
            rows = csv.reader(_lines(file, name), delimiter=delimiter)
            header = _header(next(rows, []), columns, name)
            chunks = list(_chunks(rows, header, name, problems))
    except (csv.Error, UnicodeError, OSError, EOFError, gzip.BadGzipFile) as error:
        line = " ".join(str(error).split())[:150]
        raise ConsilienceError(
            f"not a UTF-8 text table: {line}", name, "export it again as UTF-8"
        ) from None
    return pl.concat(chunks) if chunks else _frame([], header)


def _open(path: Path) -> io.TextIOBase:
    opener = gzip.open if path.suffix.lower() == ".gz" else open
    file: io.TextIOBase = opener(path, "rt", encoding="utf-8-sig", newline="")
    return file


def _lines(file: io.TextIOBase, name: str) -> Iterator[str]:
    while line := file.readline(MAX_LINE):
        if len(line) >= MAX_LINE:
            raise ConsilienceError(
                f"a line of over {MAX_LINE} characters", name, "export it again as a text table"
            )
        yield line


def _header(cells: list[str], columns: tuple[str, ...], name: str) -> list[str]:
    header = [cell.strip() for cell in cells]
    lacking = [column for column in columns if column not in header]
    if lacking:
        raise ConsilienceError(
            f"it has no column {', '.join(lacking)}",
            name,
            f"the first line is read as: {one_line(' | '.join(header)[:100]) or 'nothing'}",
        )
    named = [cell for cell in header if cell]
    twice = sorted({cell for cell in named if named.count(cell) > 1} | ({LINE} & set(named)))
    if twice:
        raise ConsilienceError(
            f"column '{one_line(twice[0])}' cannot stand there", name, "rename it"
        )
    return header


def _chunks(
    rows: Iterator[list[str]], header: list[str], name: str, problems: list[Problem]
) -> Iterator[pl.DataFrame]:
    numbered = ((rows.line_num, row) for row in rows)  # type: ignore[attr-defined]
    width, long, count = len(header), 0, 0
    while chunk := list(islice(numbered, CHUNK)):
        count += len(chunk)
        if count > MAX_ROWS:
            raise ConsilienceError(f"more than {MAX_ROWS} rows", name, "split the dataset")
        good = []
        for line, row in chunk:
            if any(row[width:]):
                long += 1
                if long <= MAX_TOLD:
                    what = f"{len(row)} cells where the header has {width}"
                    problems.append((f"{name} line {line}", what, "quote cells that hold a comma"))
            elif any(cell.strip() for cell in row):
                good.append([line, *row[:width], *[""] * (width - len(row))])
        yield _frame(good, header)
    if long > MAX_TOLD:
        problems.append((name, f"{long - MAX_TOLD} more rows with too many cells", CORRECT))


def _frame(rows: list[list[object]], header: list[str]) -> pl.DataFrame:
    columns = list(zip(*rows, strict=True)) or [() for _ in range(len(header) + 1)]
    texts = {
        column: pl.Series(cells, dtype=pl.String).str.strip_chars().replace("", None)
        for column, cells in zip(header, columns[1:], strict=True)
    }
    return pl.DataFrame({LINE: pl.Series(columns[0], dtype=pl.Int64), **texts})


def read_table(
    path: Path, root: Path, schema: type[Table], problems: list[Problem], delimiter: str = ","
) -> pl.DataFrame:
    """Read a table and type it as its schema wants; rows that do not fit become problems.

    Columns that may be null may also be missing. The result still has the column ``line``. A file
    that is no such table is a problem too, and taken as empty.
    """
    types = frame_of([], schema).schema
    nullable = {name for name, column in schema.to_schema().columns.items() if column.nullable}
    needed = tuple(name for name in types if name not in nullable)
    try:
        text = read_text(path, root, needed, problems, delimiter)
    except ConsilienceError as error:
        problems.append((error.where, error.what, f"{error.remedy}; taken as empty"))
        text = _frame([], [*types])
    text = text.with_columns(
        pl.lit(None, pl.String).alias(name) for name in types if name not in text.columns
    )
    typed = text.select(LINE, *(pl.col(n).cast(dtype, strict=False) for n, dtype in types.items()))
    no_number = pl.any_horizontal(
        pl.col(name).is_null() | (pl.col(name).is_nan() if types[name].is_float() else False)
        for name in needed
    )
    return keep(typed, ~no_number, path.name, "a cell is empty or no number", problems)


def keep(
    table: pl.DataFrame,
    good: pl.Expr,
    name: str,
    what: str,
    problems: list[Problem],
    remedy: str = CORRECT,
) -> pl.DataFrame:
    """Drop the rows that are not good, telling each, or how many if they are very many."""
    fits = good.fill_null(False)
    bad = table.filter(~fits)
    for row in bad.head(MAX_TOLD).iter_rows(named=True):
        cells = ", ".join(str(cell) for column, cell in row.items() if column != LINE)[:150]
        problems.append((f"{name} line {row[LINE]}", f"{what}: {cells}", remedy))
    if bad.height > MAX_TOLD:
        problems.append((name, f"{bad.height - MAX_TOLD} more such rows: {what}", remedy))
    return table.filter(fits)


def check_times(table: pl.DataFrame, name: str, problems: list[Problem]) -> pl.DataFrame:
    """Keep stretches of time that run forward from a finite start."""
    forward = pl.col("start_s").is_finite() & (pl.col("end_s") > pl.col("start_s"))
    return keep(table, forward, name, "end_s is not after start_s", problems)


def check_trials(table: pl.DataFrame, name: str, problems: list[Problem]) -> pl.DataFrame:
    """Keep trials that run forward and are no longer than a day."""
    table = check_times(table, name, problems)
    possible = (pl.col("end_s") - pl.col("start_s")) <= MAX_TRIAL_S
    what = f"a trial of more than {MAX_TRIAL_S:g} s"
    return keep(table, possible, name, what, problems, "times are seconds; the row is left out")


def check_annotations(
    table: pl.DataFrame, name: str, classes: tuple[str, ...], problems: list[Problem]
) -> pl.DataFrame:
    """Keep what names a class or rates valence or arousal from -1 to 1, over some time.

    Parameters
    ----------
    table : polars.DataFrame
        `Annotations` and the column ``line``.
    name : str
        The file, for the problems.
    classes : tuple of str
        The known classes; empty if any is welcome.
    problems : list of (where, what, remedy)
    """
    table = check_times(table, name, problems)
    emotion = pl.col("target") == "emotion"
    targets = ("emotion", *RATED)
    what = f"target is none of {', '.join(targets)}"
    table = keep(table, pl.col("target").is_in(targets), name, what, problems)
    table = keep(table, ~emotion | pl.col("label").is_not_null(), name, "no label", problems)
    rated = emotion | pl.col("value").is_between(-1, 1)
    what = "value is no number from -1 to 1"
    remedy = "rescale the ratings, (v - 5) / 4 for a scale of 1 to 9; the row is left out"
    table = keep(table, rated, name, what, problems, remedy)
    if not classes:
        return table
    what = f"label is none of {', '.join(classes)}"
    return keep(table, ~emotion | pl.col("label").is_in(classes), name, what, problems)


def of_schema(table: pl.DataFrame, schema: type[Table]) -> pl.DataFrame:
    """Return a table without the column ``line``, checked to be of the schema."""
    checked: pl.DataFrame = schema.validate(table.drop(LINE))
    return checked


def annotation(
    session: str,
    annotator: str,
    target: str,
    said: str | float,
    start_s: float = 0.0,
    end_s: float = float("inf"),
) -> dict[str, object]:
    """Return a row of `Annotations`: a class as text or a rating as a number."""
    label, value = (said, None) if isinstance(said, str) else (None, said)
    return {
        "session": session,
        "annotator": annotator,
        "target": target,
        "start_s": start_s,
        "end_s": end_s,
        "label": label,
        "value": value,
    }


def annotations_of(rows: list[dict[str, object]]) -> pl.DataFrame:
    """Return the table `Annotations` of some rows."""
    return frame_of(rows, Annotations)

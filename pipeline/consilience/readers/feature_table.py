"""Tables of features: a table of rows, and tables with numbers for each of these rows.

The table of rows names the subject of every row, and its label or ratings. Its first column is the
key by which the other tables state numbers for the same row. Both kinds may be CSV, TSV or Parquet.
Rows and cells that cannot be used become problems: where, what, remedy.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from consilience.core.errors import ConsilienceError, unreadable
from consilience.core.file_names import is_side_file
from consilience.core.files import cached_per_file
from consilience.core.wording import counted
from consilience.readers.participants import people_of
from consilience.readers.text_table import (
    LINE,
    MAX_CELLS,
    MAX_COLUMNS,
    MAX_LINE,
    MAX_ROWS,
    Problem,
    filter_rows,
    read_text,
)

Array = NDArray[np.float64]

SUFFIXES = (".csv", ".tsv", ".parquet")
DELIMITERS = ",;\t"
USUAL_NAME = "rows"  # of the table of rows, where several tables could be it
LABELS = ("label", "valence", "arousal")
POSITIONS = ("time_s", "order")
TRIALS = ("trial", "task")
MISSING = ("", "na", "n/a", "nan", "null", "none", "-", "?")
DECIMAL_COMMA = r"^([+-]?\d*),(\d+(?:[eE][+-]?\d+)?)$"
SAFE_SUBJECT = r"^[^./\\\p{C}][^/\\\p{C}]*$"  # part of file names
SAFE_SESSION = r"^[^/\\\p{C}]+$"
# A damaged file of Parquet can also stop the library's own checks.
UNREADABLE = (pl.exceptions.PolarsError, pl.exceptions.PanicException, OSError)
MAX_VALUE = 1e18  # so that squares are finite in single precision
MOST_LISTED = 5  # rows or columns named in a problem
PLACE = "place"  # column of a row's number within its session, from 0


@dataclass(frozen=True, eq=False)
class RowTable:
    """The table of rows.

    Attributes
    ----------
    path : Path
    key : str
        Name of the first column.
    columns : tuple of str
        All columns of the file.
    rows : polars.DataFrame
        Columns ``line``, ``key``, ``subject``, ``session``, ``place``, ``trial``, and text columns
        ``label``, ``valence`` and ``arousal``; sorted by session and place.
    problems : tuple of (where, what, remedy)
    people : polars.DataFrame
        Table `Subjects`: what the rows state about their subjects.
    """

    path: Path
    key: str
    columns: tuple[str, ...]
    rows: pl.DataFrame
    problems: tuple[Problem, ...]
    people: pl.DataFrame

    @property
    def ordered(self) -> bool:
        """Whether a column states the order of the rows."""
        return any(name in self.columns for name in POSITIONS)


@dataclass(frozen=True, eq=False)
class SensorTable:
    """Numbers of one table for the rows of a `RowTable`.

    Attributes
    ----------
    columns : tuple of str
        Columns with at least two different numbers.
    values : ndarray of float64, shape (n_rows, n_columns)
        In the order of `RowTable.rows`; NaN where the table has no number.
    problems : tuple of (where, what, remedy)
    notes : tuple of (where, what)
    """

    columns: tuple[str, ...]
    values: Array
    problems: tuple[Problem, ...]
    notes: tuple[tuple[str, str], ...]


def tables_of(folder: Path) -> list[Path]:
    """Return the tables of a folder, without its subfolders, in the order of their names."""
    return sorted(
        path
        for path in folder.iterdir()
        if path.suffix.lower() in SUFFIXES and path.is_file() and not is_side_file(path)
    )


def find_rows(folder: Path) -> tuple[Path, list[Problem]]:
    """Return the table of rows of a folder, and the tables whose header cannot be read.

    Raises
    ------
    ConsilienceError
        If no table has the columns ``subject`` and ``label``, ``valence`` or ``arousal``, or
        several have, none of which is called ``rows``.
    """
    problems: list[Problem] = []
    tables = {}
    for path in tables_of(folder):
        try:
            tables[path] = header_of(path)
        except ConsilienceError as error:
            problems.append((error.where, error.what, f"{error.remedy}; the table is left out"))
    candidates = [
        path
        for path, header in tables.items()
        if "subject" in header and any(name in header for name in LABELS)
    ]
    usual = [path for path in candidates if path.stem == USUAL_NAME]
    if not candidates:
        names = ", ".join(path.name for path in tables) or "none"
        raise ConsilienceError(
            "no table of rows: it needs a column 'subject' and 'label', 'valence' or 'arousal'",
            str(folder),
            f"tables in the folder: {names}",
        )
    if len(candidates) > 1 and len(usual) != 1:
        names = " and ".join(path.name for path in candidates[:MOST_LISTED])
        raise ConsilienceError(
            f"several tables could be the table of rows: {names}",
            str(folder),
            f"call it {USUAL_NAME}.csv, or remove subject or labels from the others",
        )
    return (usual or candidates)[0], problems


def header_of(path: Path) -> list[str]:
    """Return the names of the columns of a table. Raises ConsilienceError."""
    _check_inside(path)
    if path.suffix.lower() == ".parquet":
        return list(_parquet_schema(path))
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            line = file.readline(MAX_LINE)
        cells = next(csv.reader([line], delimiter=_delimiter(line)), [])
    except (UnicodeError, csv.Error, OSError) as error:
        raise ConsilienceError(
            f"not a UTF-8 text table: {unreadable(error)}", path.name, "export it again as UTF-8"
        ) from None
    return [cell.strip() for cell in cells]


@cached_per_file(4)
def read_rows(path: Path) -> RowTable:
    """Read the table of rows; a row without key, subject or position becomes a problem.

    Raises
    ------
    ConsilienceError
        If it cannot be read, or lacks its columns.
    """
    problems: list[Problem] = []
    cells = _read(path, problems)
    columns = tuple(name for name in cells.columns if name != LINE)
    key = columns[0] if columns else ""
    if not key or "subject" not in columns or key in ("subject", *LABELS):
        raise ConsilienceError(
            "not a table of rows: it needs a first column with a key, and a column 'subject'",
            path.name,
            f"its columns are {', '.join(columns[:MOST_LISTED]) or 'none'}",
        )
    cells = cells.with_columns(pl.exclude(LINE).cast(pl.String))
    table = cells.select(
        LINE,
        pl.col(key).alias("key"),
        "subject",
        _first_of(columns, ("session",)).alias("session"),
        _first_of(columns, POSITIONS).cast(pl.Float64, strict=False).alias("position"),
        pl.coalesce(_first_of(columns, TRIALS), pl.col(key)).alias("trial"),
        *(_first_of(columns, (name,)).alias(name) for name in LABELS),
    )
    table = _usable_rows(table, columns, path.name, problems)
    # Sessions of one row each would hide in which order the rows of a subject were recorded.
    several = table.select(pl.struct("subject", "session").n_unique()).item() < table.height
    placed = _placed(table, "session" in columns and several)
    people = people_of(cells, path.name, problems)
    return RowTable(path, key, columns, placed, tuple(problems), people)


@cached_per_file(32)
def read_sensor(path: Path, rows: RowTable) -> SensorTable:
    """Read the numbers of a table for the rows of the table of rows.

    A row whose key is a duplicate or not in the table of rows, or whose subject is another one, is
    left out; a cell that is not a finite number is missing.

    Raises
    ------
    ConsilienceError
        If it cannot be read, lacks the key, or has no column of numbers.
    """
    problems: list[Problem] = []
    notes: list[tuple[str, str]] = []
    table = _read(path, problems)
    if rows.key not in table.columns:
        raise ConsilienceError(
            f"no column '{rows.key}', the key of {rows.path.name}", path.name, "add it"
        )
    table = table.with_columns(pl.col(rows.key).cast(pl.String))
    table = _matching(table, rows, path.name, problems)
    # Columns of the table of rows are not features: a label among them would leak.
    names = [name for name in table.columns if name and name not in (LINE, *rows.columns)]
    numbers = _numbers(table, names, path, problems, notes)
    if not numbers.columns:
        raise ConsilienceError(
            "no column of different numbers beside those of the table of rows",
            path.name,
            "add features",
        )
    keyed = numbers.with_columns(table[rows.key].alias(rows.key))
    aligned = rows.rows.select(pl.col("key").alias(rows.key)).join(
        keyed, on=rows.key, how="left", maintain_order="left"
    )
    values = aligned.select(numbers.columns).to_numpy().astype(np.float64)
    return SensorTable(tuple(numbers.columns), values, tuple(problems), tuple(notes))


def _first_of(columns: Sequence[str], names: Sequence[str]) -> pl.Expr:
    """Return the first column that exists of some names; null without any."""
    return next((pl.col(name) for name in names if name in columns), pl.lit(None, pl.String))


def _usable_rows(
    table: pl.DataFrame, columns: Sequence[str], name: str, problems: list[Problem]
) -> pl.DataFrame:
    """Return the rows with a unique key, a subject and, if there is a column of it, a position."""
    checks = [
        (pl.col("key").is_not_null(), "the key is empty"),
        (pl.col("key").is_first_distinct(), "duplicate key"),
        (
            pl.col("subject").str.contains(SAFE_SUBJECT),
            "the subject is empty or not valid as part of a file name",
        ),
    ]
    if "session" in columns:
        valid = pl.col("session").str.contains(SAFE_SESSION)
        checks.append((valid, "the session is empty or not valid as part of a file name"))
    for position in POSITIONS:
        if position in columns:
            checks.append((pl.col("position").is_finite(), f"{position} is not a number"))
            break
    for valid, what in checks:
        table = filter_rows(table, valid, name, what, problems)
    return table


def _placed(table: pl.DataFrame, with_sessions: bool) -> pl.DataFrame:
    """Return the rows with names of sessions that are unique, sorted by them and by position."""
    if with_sessions:
        first = (
            table.select("subject", "session")
            .unique(maintain_order=True)
            .with_columns(number=pl.int_range(1, pl.len() + 1).over("subject"))
        )
        # The sessions of a subject in the order of their names are those in the table's order.
        width = max(2, len(str(first["number"].max() or 0)))
        number = pl.col("number").cast(pl.String).str.zfill(width)
        named = first.with_columns(pl.format("{}_{}_{}", "subject", number, "session").alias("id"))
        table = table.join(
            named.drop("number"), on=("subject", "session"), how="left", maintain_order="left"
        ).with_columns(session=pl.col("id"))
    else:
        table = table.with_columns(session=pl.col("subject"))
    table = table.sort("session", "position", maintain_order=True)
    place = pl.int_range(pl.len()).over("session").alias(PLACE)
    return table.with_columns(place).select(
        LINE, "key", "subject", "session", PLACE, "trial", *LABELS
    )


def _matching(
    table: pl.DataFrame, rows: RowTable, name: str, problems: list[Problem]
) -> pl.DataFrame:
    """Return the rows of a table that belong to a row of the table of rows, each once."""
    table = table.filter(pl.col(rows.key).is_not_null())
    identity = [column for column in (LINE, rows.key, "subject") if column in table.columns]
    small = table.select(identity)  # so that a problem does not list all numbers of a row
    expected = rows.rows.select(pl.col("key").alias(rows.key), pl.col("subject").alias("expected"))
    small = small.join(expected, on=rows.key, how="left", maintain_order="left")
    other = small.filter(pl.col("expected").is_null())
    if other.height:
        where, row = f"{name} line {other[LINE][0]}", other[rows.key][0]
        what = f"{counted(other.height, 'row')}, such as '{row}', not in {rows.path.name}"
        problems.append((where, what, "add them there or remove them; they are left out"))
    small = small.filter(pl.col("expected").is_not_null())
    unique = pl.col(rows.key).is_first_distinct()
    small = filter_rows(small, unique, name, f"duplicate {rows.key}", problems)
    if "subject" in identity:
        same = pl.col("subject").cast(pl.String) == pl.col("expected")
        what = f"another subject than in {rows.path.name}"
        small = filter_rows(small, same, name, what, problems)
    return table.join(small.select(LINE), on=LINE, how="semi", maintain_order="left")


def _numbers(
    table: pl.DataFrame,
    names: Sequence[str],
    path: Path,
    problems: list[Problem],
    notes: list[tuple[str, str]],
) -> pl.DataFrame:
    """Return the columns that have different numbers, missing cells null."""
    columns, empty, text, constant = [], [], [], []
    commas = path.suffix.lower() != ".parquet" and _delimiter_of(path) == ";"
    for name in names:
        cells = table[name]
        numbers = _cast(cells, commas)
        if numbers is None or (not numbers.is_not_null().any() and _present(cells).any()):
            text.append(name)
            continue
        problems.extend(_bad_cells(table[LINE], cells, numbers, f"{path.name} column '{name}'"))
        usable = numbers.is_finite() & (numbers.abs() <= MAX_VALUE)
        numbers = numbers.set(~usable.fill_null(False), None)
        if not numbers.drop_nulls().len():
            empty.append(name)
            continue
        if numbers.drop_nulls().n_unique() == 1:
            constant.append(name)
            continue
        columns.append(numbers.alias(name))
    for kind, group in (("empty", empty), ("not of numbers", text), ("constant", constant)):
        if group:
            notes.append((path.name, f"{_listed(group)} {kind}: left out"))
    return pl.DataFrame(columns)


def _cast(cells: pl.Series, commas: bool) -> pl.Series | None:
    """Return cells as numbers, null where they are not; None for a column of another type."""
    if cells.dtype.is_numeric() or cells.dtype == pl.Boolean:
        return cells.cast(pl.Float64)
    if cells.dtype != pl.String:
        return None
    if commas:  # common where the semicolon separates cells
        cells = cells.str.replace(DECIMAL_COMMA, "$1.$2")
    return cells.cast(pl.Float64, strict=False)


def _present(cells: pl.Series) -> pl.Series:
    """Return which cells state something, be it a number or not."""
    if cells.dtype != pl.String:
        return cells.is_not_null()
    return cells.is_not_null() & ~cells.str.to_lowercase().is_in(list(MISSING))


def _bad_cells(
    lines: pl.Series, cells: pl.Series, numbers: pl.Series, where: str
) -> Iterator[Problem]:
    """Yield a problem for the cells of a column that are not numbers, and for those too large."""
    no_number = _present(cells) & numbers.is_null()
    large = (~numbers.is_nan() & (numbers.abs() > MAX_VALUE)).fill_null(False)
    for bad, what in (
        (no_number, "without a number"),
        (large, f"infinite or beyond {MAX_VALUE:g}"),
    ):
        if bad.any():
            first = bad.arg_true()[0]
            example = f"such as '{str(cells[first])[:30]}' in line {lines[first]}"
            remedy = "correct them; they are read as missing"
            yield where, f"{counted(int(bad.sum()), 'cell')} {what}, {example}", remedy


def _listed(names: Sequence[str]) -> str:
    first = ", ".join(f"'{name}'" for name in names[:MOST_LISTED])
    further = (
        f" and {counted(len(names) - MOST_LISTED, 'other')}" if len(names) > MOST_LISTED else ""
    )
    return f"columns {first}{further} are" if len(names) > 1 else f"column {first} is"


def _read(path: Path, problems: list[Problem]) -> pl.DataFrame:
    """Read a table with the column ``line``: text as text, and Parquet with its types."""
    if path.suffix.lower() != ".parquet":
        return read_text(path, path.parent, (), problems, _delimiter_of(path))
    _check_inside(path)
    schema = _parquet_schema(path)
    if LINE in schema:
        raise ConsilienceError(f"reserved column name: '{LINE}'", path.name, "rename it")
    try:
        n_rows = pl.scan_parquet(path).select(pl.len()).collect().item()
        if n_rows > MAX_ROWS or n_rows * len(schema) > MAX_CELLS or len(schema) > MAX_COLUMNS:
            raise ConsilienceError(
                f"more than {MAX_ROWS} rows, {MAX_COLUMNS} columns or {MAX_CELLS} cells",
                path.name,
                "split the dataset",
            )
        table = pl.read_parquet(path)
    except UNREADABLE as error:
        raise ConsilienceError(unreadable(error), path.name, "export it again") from None
    return table.with_row_index(LINE, 1).with_columns(pl.col(LINE).cast(pl.Int64))


def _check_inside(path: Path) -> None:
    if not path.resolve().is_relative_to(path.parent.resolve()):
        raise ConsilienceError(
            "the path leads out of the dataset", path.name, "copy the file into it"
        )


def _parquet_schema(path: Path) -> dict[str, pl.DataType]:
    try:
        return dict(pl.read_parquet_schema(path))
    except UNREADABLE as error:
        raise ConsilienceError(unreadable(error), path.name, "export it again") from None


def _delimiter(line: str) -> str:
    return max(DELIMITERS, key=line.count)


def _delimiter_of(path: Path) -> str:
    """Return the character that separates the cells of a text table's first line."""
    try:
        with path.open(encoding="utf-8-sig", newline="", errors="replace") as file:
            return _delimiter(file.readline(MAX_LINE))
    except OSError:  # reading the table reports it
        return DELIMITERS[0]

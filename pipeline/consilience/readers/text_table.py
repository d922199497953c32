"""Text tables (CSV, TSV), read row by row, so that an invalid row does not affect the others.

Rows and tables that cannot be used are appended to a list of problems: where, what, remedy.
"""

from __future__ import annotations

import csv
import gzip
import io
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path

import polars as pl

from consilience.core.errors import ConsilienceError, one_line
from consilience.core.wording import counted

Problem = tuple[str, str, str]

LINE = "line"  # column with the line number of each row in the file
CORRECT = "correct or remove it; the row is left out"
MAX_REPORTED = 20  # rows of each kind: a million invalid rows must not bury the other problems
MAX_LINE = 2**20  # characters
MAX_ROWS = 5_000_000
MAX_COLUMNS = 5_000
MAX_CELLS = 200_000_000
MAX_SMALL_BYTES = 2**20  # of a file that is not a table, such as classes.txt
CHUNK_ROWS = 50_000
CHUNK_CELLS = 2_000_000


def read_text(
    path: Path, root: Path, columns: tuple[str, ...], problems: list[Problem], delimiter: str = ","
) -> pl.DataFrame:
    """Read a table as text.

    Parameters
    ----------
    path : Path
        UTF-8 text with a header line; gzip if the name ends in ``.gz``.
    root : Path
        Folder of the dataset, which must contain the file, also after following links.
    columns : tuple of str
        Required columns.
    problems : list of (where, what, remedy)
        Rows with more cells than the header are appended.
    delimiter : str
        Character between cells.

    Returns
    -------
    polars.DataFrame
        Columns of type String, empty cells null, and an integer column ``line``.

    Raises
    ------
    ConsilienceError
        If the file is not such a table, or lacks a column.
    """
    name = path.name
    if not path.is_file():
        what = "a folder or device, not a file" if path.exists() else "the table is missing"
        raise ConsilienceError(what, name, "see docs/datasets.md for the layout")
    if not path.resolve().is_relative_to(root.resolve()):
        raise ConsilienceError("the path leads out of the dataset", name, "copy the file into it")
    try:
        with _open(path) as file:
            rows = csv.reader(_lines(file, name), delimiter=delimiter)
            header = _header(next(rows, []), columns, name)
            chunks = list(_chunks(rows, header, name, problems))
    except (csv.Error, UnicodeError, OSError, EOFError, gzip.BadGzipFile) as error:
        reason = " ".join(str(error).split())[:150]
        raise ConsilienceError(
            f"not a UTF-8 text table: {reason}", name, "export it again as UTF-8"
        ) from None
    return pl.concat(chunks) if chunks else text_frame([], header)


def read_small_text(path: Path, root: Path) -> str:
    """Read a UTF-8 file of at most `MAX_SMALL_BYTES` that lies in the dataset.

    Raises
    ------
    ConsilienceError
        If it is larger, not UTF-8 text, or its path leads out of the dataset.
    """
    if not path.resolve().is_relative_to(root.resolve()):
        raise ConsilienceError(
            "the path leads out of the dataset", path.name, "copy the file into it"
        )
    try:
        if path.stat().st_size > MAX_SMALL_BYTES:
            raise ConsilienceError(f"more than {MAX_SMALL_BYTES} bytes", path.name, "shorten it")
        return path.read_text("utf-8-sig")
    except (OSError, UnicodeError):
        raise ConsilienceError("not UTF-8 text", path.name, "write it as UTF-8") from None


def text_frame(rows: Sequence[Sequence[object]], header: list[str]) -> pl.DataFrame:
    """Return rows of a line number and cells as a table of text with the column ``line``."""
    columns = list(zip(*rows, strict=True)) or [() for _ in range(len(header) + 1)]
    texts = {
        column: pl.Series(cells, dtype=pl.String).str.strip_chars().replace("", None)
        for column, cells in zip(header, columns[1:], strict=True)
    }
    return pl.DataFrame({LINE: pl.Series(columns[0], dtype=pl.Int64), **texts})


def filter_rows(
    table: pl.DataFrame,
    valid: pl.Expr,
    name: str,
    what: str,
    problems: list[Problem],
    remedy: str = CORRECT,
) -> pl.DataFrame:
    """Return the rows for which an expression is true; the others become problems.

    Parameters
    ----------
    table : polars.DataFrame
        With the column ``line``.
    valid : polars.Expr
        Boolean; null counts as false.
    name : str
        The file, for the problems.
    what : str
        What is wrong with the other rows.
    problems : list of (where, what, remedy)
        One is appended for each of the first `MAX_REPORTED` rows, and one with the number of the
        rest.
    remedy : str
    """
    valid = valid.fill_null(False)
    invalid = table.filter(~valid)
    for row in invalid.head(MAX_REPORTED).iter_rows(named=True):
        cells = ", ".join(
            "empty" if cell is None else str(cell) for column, cell in row.items() if column != LINE
        )[:150]
        problems.append((f"{name} line {row[LINE]}", f"{what}: {cells}", remedy))
    if invalid.height > MAX_REPORTED:
        problems.append(
            (name, f"{counted(invalid.height - MAX_REPORTED, 'more such row')}: {what}", remedy)
        )
    return table.filter(valid)


def _open(path: Path) -> io.TextIOBase:
    opener = gzip.open if path.suffix.lower() == ".gz" else open
    file: io.TextIOBase = opener(path, "rt", encoding="utf-8-sig", newline="")
    return file


def _lines(file: io.TextIOBase, name: str) -> Iterator[str]:
    # A limited readline, because a file without line breaks would be read into memory at once.
    while line := file.readline(MAX_LINE):
        if len(line) >= MAX_LINE:
            raise ConsilienceError(
                f"a line of over {MAX_LINE} characters", name, "export it again as a text table"
            )
        yield line


def _header(cells: list[str], columns: tuple[str, ...], name: str) -> list[str]:
    if len(cells) > MAX_COLUMNS:
        raise ConsilienceError(f"more than {MAX_COLUMNS} columns", name, "split the table")
    header = [cell.strip() for cell in cells]
    lacking = [column for column in columns if column not in header]
    if lacking:
        raise ConsilienceError(
            f"no column {', '.join(lacking)}",
            name,
            f"the first line is read as: {one_line(' | '.join(header)[:100]) or 'nothing'}",
        )
    named = [cell for cell in header if cell]
    repeated = sorted({cell for cell in named if named.count(cell) > 1})
    if repeated or LINE in named:
        what = "duplicate column" if repeated else "reserved column name"
        column = one_line(repeated[0] if repeated else LINE)
        raise ConsilienceError(f"{what}: '{column}'", name, "rename it")
    return header


def _chunks(
    rows: Iterator[list[str]], header: list[str], name: str, problems: list[Problem]
) -> Iterator[pl.DataFrame]:
    numbered = ((rows.line_num, row) for row in rows)  # type: ignore[attr-defined]
    width, n_long, n_rows = len(header), 0, 0
    n_at_once = max(1, min(CHUNK_ROWS, CHUNK_CELLS // max(1, width)))
    while chunk := list(islice(numbered, n_at_once)):
        n_rows += len(chunk)
        if n_rows > MAX_ROWS or n_rows * width > MAX_CELLS:
            what = f"more than {MAX_ROWS} rows or {MAX_CELLS} cells"
            raise ConsilienceError(what, name, "split the dataset")
        # Rows of another width are rare; to look at each of a million rows takes seconds.
        if any(len(row) != width for _, row in chunk):
            chunk, n_more = _of_width(chunk, width, name, problems, MAX_REPORTED - n_long)
            n_long += n_more
        frame = text_frame([(line, *row) for line, row in chunk], header)
        yield frame.filter(pl.any_horizontal(pl.exclude(LINE).is_not_null()))
    if n_long > MAX_REPORTED:
        problems.append(
            (name, f"{counted(n_long - MAX_REPORTED, 'more row')} with too many cells", CORRECT)
        )


def _of_width(
    rows: list[tuple[int, list[str]]],
    width: int,
    name: str,
    problems: list[Problem],
    max_reported: int,
) -> tuple[list[tuple[int, list[str]]], int]:
    """Return the rows padded to a width, and the number of rows with more cells, left out."""
    padded, n_long = [], 0
    for line, row in rows:
        if any(row[width:]):
            n_long += 1
            if n_long <= max_reported:
                what = f"{counted(len(row), 'cell')} where the header has {width}"
                remedy = "quote cells that contain a comma"
                problems.append((f"{name} line {line}", what, remedy))
        else:
            padded.append((line, row[:width] + [""] * (width - len(row))))
    return padded, n_long

"""Signals in text tables, as wearables export them: one row per sample, one column per channel.

`table_head` lists the layouts. The rate is the stated one, or else that of the time stamps, or
else the one behind ``@`` in the item (see `parse_item`). Gaps in the time stamps are gaps in the
recording, and cells that hold no number are missing values.
"""

from __future__ import annotations

import codecs
import csv
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from consilience.core.errors import RecordingError, one_line
from consilience.core.files import cached_per_file
from consilience.core.wording import counted
from consilience.readers.packet_counter import count
from consilience.readers.stamps import even_times
from consilience.readers.table_head import COUNTER, EPOCH_S, MAX_ROWS, Head, number, read_head

Array = NDArray[np.float64]

SUFFIXES: Final = (".csv", ".tsv", ".txt")
MAX_BYTES: Final = 2**30
MAX_HEAD: Final = 2**20  # characters
BLOCK: Final = 50_000  # rows whose cells are held as text
MAX_WRONG: Final = 0.01  # share of a column's cells that may hold no number
RATE_AGREES: Final = 0.05  # relative: a stated rate and that of regular time stamps
STAMPS_PER_S: Final = {
    **dict.fromkeys(("s", "sec", "secs", "second", "seconds"), 1.0),
    **dict.fromkeys(("ms", "msec", "msecs", "millisecond", "milliseconds"), 1e3),
    **dict.fromkeys(("us", "µs"), 1e6),
    "ns": 1e9,
}

_EMPTY = frozenset(("", "nan", "na", "n/a", "null", "none"))
_STAMPS = re.compile(r"time|(?<![a-z])(unix|lsl|date)(?![a-z])|^t$", re.IGNORECASE)
_ANONYMOUS = re.compile(r"(exg|eeg|ch|chan|channel)[ _]*(channel)?[ _]*[0-9]+", re.IGNORECASE)


@dataclass(frozen=True)
class SignalTable:
    """A table of samples.

    Attributes
    ----------
    names, units : tuple of str
        One per channel; the unit is empty if it is not stated.
    values : ndarray of float64, shape (n_samples, n_channels)
        In these units; NaN where a cell holds no number.
    rate_hz : float
    times_s : ndarray of float64, shape (n_samples,)
        From the first sample.
    stamped : bool
        Whether the times are from time stamps.
    start_time : str or None
        ISO 8601 time of the first sample.
    notes : tuple of str
        What is unusual about the table.
    selected : bool
        Whether there is one channel, which the item names or nothing does.
    """

    names: tuple[str, ...]
    units: tuple[str, ...]
    values: Array
    rate_hz: float
    times_s: Array
    stamped: bool
    start_time: str | None
    notes: tuple[str, ...]
    selected: bool


class _Column(NamedTuple):
    """Cells of a column.

    Attributes
    ----------
    name : str
    numbers : ndarray of float64, shape (n_rows,)
        NaN where a cell holds none.
    text : list of str
        The cells, of columns that may hold dates.
    wrong : list of (int, str)
        Row and content of the cells that are not empty and hold no number.
    """

    name: str
    numbers: Array
    text: list[str]
    wrong: list[tuple[int, str]]

    @property
    def is_text(self) -> bool:
        """Whether no cell holds a number."""
        return bool(np.isnan(self.numbers).all())


class _Clock(NamedTuple):
    rate_hz: float
    times_s: Array
    stamped: bool
    start_time: str | None
    notes: list[str]


def parse_item(item: str | None) -> tuple[str, float | None]:
    """Return the columns and the rate in Hz that an item states: ``EDA``, ``EDA@4``, ``@4``."""
    columns, _, rate = (item or "").rpartition("@")
    try:
        rate_hz = float(rate)
    except ValueError:
        return (item or "").strip(), None
    return (columns.strip(), rate_hz) if 0 < rate_hz < np.inf else ((item or "").strip(), None)


@cached_per_file(2)
def read(path: Path, item: str | None) -> SignalTable:
    """Read a table of samples.

    Parameters
    ----------
    path : Path
    item : str or None
        The column to read, or the names of the anonymous channels, such as those of OpenBCI, in
        their order and separated by spaces; behind ``@`` the rate, if the file states none.

    Raises
    ------
    RecordingError
        If the file is not such a table, many cells of a column hold no number, or no rate is
        known.
    """
    size = path.stat().st_size
    if size > MAX_BYTES:
        raise RecordingError(f"a text table of {size / 1e9:.1f} GB", str(path), "divide it")
    text = _text(path)
    lines = text[:MAX_HEAD].splitlines()[: MAX_ROWS + 1]
    head = read_head(lines[:-1] if len(lines) > 1 and len(text) > MAX_HEAD else lines, path)
    notes: list[str] = []
    columns = _columns(_body(text, head, notes), head, path)
    selection, declared_hz = parse_item(item)
    stamps = [column for column in columns if _STAMPS.search(column.name)]
    channels = _channels(
        [column for column in columns if not _STAMPS.search(column.name)], head, path, notes
    )
    received: NDArray[np.bool_] = np.ones(len(columns[0].numbers), bool)
    if stamps:  # without time stamps, an empty row holds the place of a lost sample
        present = np.isfinite(np.column_stack(list(channels.values())))
        received = np.count_nonzero(present, axis=1) > 0
    packets = count(channels[COUNTER][received]) if COUNTER in channels else None
    positions = np.arange(np.count_nonzero(received)) if packets is None else packets.position
    clock = _clock(stamps, received, positions, head, declared_hz, path)
    names = _select(tuple(channels), selection, path)
    return SignalTable(
        tuple(names.values()),
        tuple(head.units.get(name, "") for name in names),
        np.column_stack([channels[name] for name in names])[received],
        clock.rate_hz,
        clock.times_s,
        clock.stamped,
        clock.start_time,
        (*notes, *clock.notes),
        len(names) == 1 and (bool(selection) or not head.named),
    )


def _text(path: Path) -> str:
    content = path.read_bytes()
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return content.decode("utf-16", "replace")
    if b"\0" in content[:MAX_HEAD]:
        raise RecordingError("not a text table", str(path), "export it as CSV")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return content.decode("cp1252", "replace")


def _body(text: str, head: Head, notes: list[str]) -> list[str]:
    """Return the lines of the samples."""
    body = text.splitlines(keepends=True)[head.n_lines :]
    if len(body) > 1 and not body[-1].endswith(("\n", "\r")):
        notes.append("the last line has no end: it is left out, because the file may be cut there")
        body.pop()
    while len(body) > 1 and not body[-1].strip():
        body.pop()
    return body


def _columns(body: Sequence[str], head: Head, path: Path) -> list[_Column]:
    """Return the columns of a table. Raises RecordingError if a row has too many cells."""
    columns = [_Column(name, np.empty(0), [], []) for name in head.names]
    blocks: list[list[Array]] = [[] for _ in columns]
    for first in range(0, len(body), BLOCK):
        rows = _rows(body[first : first + BLOCK], first, head, path)
        for column, numbers, cells in zip(columns, blocks, zip(*rows, strict=True), strict=True):
            numbers.append(_numbers(cells, head.separator))
            column.wrong.extend(
                (first + int(row), cells[row])
                for row in np.flatnonzero(np.isnan(numbers[-1]))
                if cells[row].strip().casefold() not in _EMPTY
            )
            if _STAMPS.search(column.name):
                column.text.extend(cells)
    return [
        column._replace(numbers=np.concatenate(numbers))
        for column, numbers in zip(columns, blocks, strict=True)
    ]


def _rows(lines: Sequence[str], first: int, head: Head, path: Path) -> list[list[str]]:
    """Return the cells of some lines, as many in each row as there are columns."""
    width = len(head.names)
    rows = []
    try:
        for number, cells in enumerate(csv.reader(lines, delimiter=head.separator)):
            if len(cells) == width:
                rows.append(cells)
                continue
            if any(map(str.strip, cells[width:])):
                line = head.n_lines + first + number + 1
                what = (
                    f"line {line} has {counted(len(cells), 'cell')}, the table "
                    f"{counted(width, 'column')}"
                )
                raise RecordingError(what, str(path), "quote cells that contain the separator")
            rows.append([*cells[:width], *[""] * (width - len(cells))])
    except csv.Error as error:
        raise RecordingError(f"not a text table: {error}", str(path), "export it again") from None
    return rows


def _channels(
    columns: Sequence[_Column], head: Head, path: Path, notes: list[str]
) -> dict[str, Array]:
    """Return the columns that hold numbers. Raises RecordingError if none does."""
    channels: dict[str, Array] = {}
    for column in columns:
        if column.is_text:
            continue
        if column.wrong:
            row, cell = column.wrong[0]
            what = (
                f"{counted(len(column.wrong), 'cell')} of column '{one_line(column.name)}' without "
                f"a number, first in line {head.n_lines + row + 1}: '{one_line(cell.strip())[:30]}'"
            )
            if len(column.wrong) > MAX_WRONG * len(column.numbers):
                raise RecordingError(what, str(path), "export the table again")
            notes.append(f"{what}; read as missing")
        channels[column.name] = column.numbers
    if not channels:
        raise RecordingError("no column holds numbers", str(path), "export the table again")
    return channels


def _numbers(cells: Sequence[str], separator: str) -> Array:
    """Return the numbers in cells; NaN where a cell holds none."""
    if separator != ",":
        cells = [cell.replace(",", ".") for cell in cells]
    try:
        numbers = np.array(list(map(float, cells)))
    except ValueError:
        numbers = np.array([np.nan if (value := number(cell)) is None else value for cell in cells])
    return np.where(np.isfinite(numbers), numbers, np.nan)


def _clock(
    stamps: Sequence[_Column],
    received: NDArray[np.bool_],
    positions: NDArray[np.intp],
    head: Head,
    declared_hz: float | None,
    path: Path,
) -> _Clock:
    """Return times and rate from the first usable column of time stamps, or else the rate."""
    n_samples = int(np.count_nonzero(received))
    # Numbers first: a date is often that of the packet in which a sample came.
    for column in sorted(stamps, key=lambda column: column.is_text):
        stamps_s = _stamps_s(column, head, declared_hz)
        if stamps_s is None or n_samples < 2:
            continue
        stamps_s = stamps_s[received]
        missing = np.isnan(stamps_s)
        if missing.all() or missing.mean() > MAX_WRONG:
            continue
        index = np.arange(n_samples)
        stamps_s = np.interp(index, index[~missing], stamps_s[~missing])
        clock = _stamped(stamps_s, positions, head, column)
        if clock is not None:
            return clock
    rate_hz = head.rate_hz or declared_hz
    if rate_hz is None:
        raise RecordingError(
            "neither time stamps nor a rate", str(path), "state it as rate_hz in recordings.csv"
        )
    return _Clock(rate_hz, np.arange(n_samples) / rate_hz, False, _iso(head.start_s), [])


def _stamped(
    stamps_s: Array, positions: NDArray[np.intp], head: Head, column: _Column
) -> _Clock | None:
    """Return times and rate from time stamps; None if they do not advance."""
    even = even_times(stamps_s, positions)
    if even is None:
        return None
    notes, rate_hz = even.notes, head.rate_hz
    if rate_hz is not None and abs(even.rate_hz - rate_hz) > RATE_AGREES * rate_hz:
        notes.append(
            f"{rate_hz:g} Hz in the first lines, but the time stamps of column '{column.name}' "
            f"advance at {even.rate_hz:.4g} Hz, which is used"
        )
        rate_hz = None
    start_time = _iso(float(stamps_s[0]))
    if start_time and column.is_text:
        start_time = start_time.removesuffix("+00:00")  # dates do not state their time zone
    return _Clock(
        rate_hz or round(even.rate_hz, 3),
        even.times_s,
        True,
        start_time,
        notes,
    )


def _stamps_s(column: _Column, head: Head, declared_hz: float | None) -> Array | None:
    """Return time stamps in seconds, NaN where missing; None if their unit is not known."""
    if column.is_text:
        return np.array([_date_s(cell) for cell in column.text])
    numbers = column.numbers
    unit = head.units.get(column.name, "").casefold().replace("μ", "µ")
    if unit in STAMPS_PER_S:
        return numbers / STAMPS_PER_S[unit]
    finite = numbers[np.isfinite(numbers)]
    for per_s in (1.0, 1e3, 1e6, 1e9):
        if EPOCH_S[0] <= finite[0] / per_s <= EPOCH_S[1]:
            return numbers / per_s
    step = (finite[-1] - finite[0]) / max(len(finite) - 1, 1)
    rate_hz = head.rate_hz or declared_hz
    if rate_hz is None:
        # Steps of 1 and more would be seconds at a rate below 1 Hz: they are in another unit.
        return numbers if 0 < step < 1 else None
    fits = [per_s for per_s in (1.0, 1e3, 1e6, 1e9) if 0.5 < step * rate_hz / per_s < 2]
    return numbers / fits[0] if fits else None


def _date_s(cell: str) -> float:
    """Return a date of ISO 8601 in seconds of 1970; NaN if it is none."""
    try:
        date = datetime.fromisoformat(cell.strip().replace(",", "."))
    except ValueError:
        return np.nan
    return (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp()


def _select(names: tuple[str, ...], selection: str, path: Path) -> dict[str, str]:
    """Return the selected channels: the table's name to the one to use."""
    by_name = {name.casefold(): name for name in names}
    if not selection:
        return {name: name for name in names}
    if selection.casefold() in by_name:
        name = by_name[selection.casefold()]
        return {name: name}
    chosen = re.split(r"[\s,;]+", selection)
    anonymous = [name for name in names if _ANONYMOUS.fullmatch(name)]
    if len(chosen) == len(anonymous) == len(set(chosen)):
        others = {name: name for name in names if name == COUNTER}
        return dict(zip(anonymous, chosen, strict=True)) | others
    remedy = f"there are {', '.join(names[:12])}"
    if anonymous:
        remedy += f"; name all {len(anonymous)} of {anonymous[0]} to {anonymous[-1]}, or one column"
    raise RecordingError(f"no column '{one_line(selection[:50])}'", str(path), one_line(remedy))


def _iso(start_s: float | None) -> str | None:
    if start_s is None or not EPOCH_S[0] <= start_s <= EPOCH_S[1]:
        return None
    return datetime.fromtimestamp(start_s, UTC).isoformat()

"""Signals in text tables, as wearables export them: one row per sample, one column per channel.

`table_head` lists the layouts. The rate is the stated one, or else that of the time stamps, or
else the one behind ``@`` in the item (see `parse_item`). Gaps in the time stamps are gaps in the
recording, and cells that hold no number are missing values.
"""

from __future__ import annotations

import codecs
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from consilience.core.errors import RecordingError, one_line
from consilience.readers.stamps import even_times
from consilience.readers.table_head import COUNTER, EPOCH_S, MAX_ROWS, Head, read_head

Array = NDArray[np.float64]

SUFFIXES: Final = (".csv", ".tsv", ".txt")
MAX_BYTES: Final = 2**30
MAX_HEAD: Final = 2**20  # characters
MAX_WRONG: Final = 0.01  # share of a column's cells that may hold no number
RATE_AGREES: Final = 0.05  # relative: a stated rate and that of regular time stamps
STAMPS_PER_S: Final = {
    **dict.fromkeys(("s", "sec", "secs", "second", "seconds"), 1.0),
    **dict.fromkeys(("ms", "msec", "msecs", "millisecond", "milliseconds"), 1e3),
    **dict.fromkeys(("us", "µs"), 1e6),
    "ns": 1e9,
}

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
    stat = path.stat()
    return _read(path, item, stat.st_mtime_ns, stat.st_size)


@lru_cache(maxsize=2)
def _read(path: Path, item: str | None, mtime_ns: int, size: int) -> SignalTable:
    if size > MAX_BYTES:
        raise RecordingError(f"a text table of {size / 1e9:.1f} GB", str(path), "divide it")
    text = _text(path)
    lines = text[:MAX_HEAD].splitlines()[: MAX_ROWS + 1]
    head = read_head(lines[:-1] if len(lines) > 1 and len(text) > MAX_HEAD else lines, path)
    notes: list[str] = []
    cells = _cells(text, head, path, notes)
    selection, declared_hz = parse_item(item)
    stamps = [name for name in cells.columns if _STAMPS.search(name)]
    channels = _channels(cells.drop(stamps), head, path, notes)
    received: NDArray[np.bool_] = np.ones(cells.height, bool)
    if stamps:  # without time stamps, an empty row holds the place of a lost sample
        present = np.isfinite(np.column_stack(list(channels.values())))
        received = np.count_nonzero(present, axis=1) > 0
    clock = _clock(cells.filter(received), stamps, head, declared_hz, path)
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


def _cells(text: str, head: Head, path: Path, notes: list[str]) -> pl.DataFrame:
    """Return the cells of the samples as text, empty ones null."""
    body = text.splitlines(keepends=True)[head.n_lines :]
    if len(body) > 1 and not body[-1].endswith(("\n", "\r")):
        notes.append("the last line has no end: it is left out, because the file may be cut there")
        body.pop()
    try:
        return pl.read_csv(
            "".join(body).encode(),
            has_header=False,
            schema=dict.fromkeys(head.names, pl.String),
            separator=head.separator,
        ).with_columns(pl.all().str.strip_chars().replace("", None))
    except pl.exceptions.PolarsError as error:
        what = " ".join(str(error).split())[:120]
        raise RecordingError(
            f"not a table of {len(head.names)} columns: {what}", str(path), "export it again"
        ) from None


def _channels(cells: pl.DataFrame, head: Head, path: Path, notes: list[str]) -> dict[str, Array]:
    """Return the columns that hold numbers. Raises RecordingError if none does."""
    channels: dict[str, Array] = {}
    for name in cells.columns:
        numbers = _numbers(cells[name], head)
        wrong = np.flatnonzero(cells[name].is_not_null().to_numpy() & np.isnan(numbers))
        if np.isnan(numbers).all():
            continue  # a column of text, or an empty one
        if len(wrong):
            row = int(wrong[0])
            what = (
                f"{len(wrong)} cells of column '{one_line(name)}' hold no number, first in line "
                f"{head.n_lines + row + 1}: '{one_line(str(cells[name][row])[:30])}'"
            )
            if len(wrong) > MAX_WRONG * len(numbers):
                raise RecordingError(what, str(path), "export the table again")
            notes.append(f"{what}; they are missing values")
        channels[name] = numbers
    if not channels:
        raise RecordingError("no column holds numbers", str(path), "export the table again")
    return channels


def _numbers(cells: pl.Series, head: Head) -> Array:
    """Return the numbers in cells; NaN where a cell holds none."""
    text = cells if head.separator == "," else cells.str.replace(",", ".", literal=True)
    numbers = text.cast(pl.Float64, strict=False).fill_null(np.nan).to_numpy().astype(np.float64)
    return np.where(np.isfinite(numbers), numbers, np.nan)


def _clock(
    cells: pl.DataFrame, stamps: list[str], head: Head, declared_hz: float | None, path: Path
) -> _Clock:
    """Return times and rate from the first usable column of time stamps, or else the rate."""
    n_samples = cells.height
    # Numbers first: a date is often that of the packet in which a sample came.
    for name in sorted(stamps, key=lambda name: _is_text(cells[name], head)):
        stamps_s = _stamps_s(cells[name], head, declared_hz)
        if stamps_s is None or len(stamps_s) < 2:
            continue
        missing = np.isnan(stamps_s)
        if missing.all() or missing.mean() > MAX_WRONG:
            continue
        index = np.arange(n_samples)
        stamps_s = np.interp(index, index[~missing], stamps_s[~missing])
        clock = _stamped(stamps_s, head, name, _is_text(cells[name], head))
        if clock is not None:
            return clock
    rate_hz = head.rate_hz or declared_hz
    if rate_hz is None:
        raise RecordingError(
            "neither time stamps nor a rate", str(path), "state it as rate_hz in recordings.csv"
        )
    return _Clock(rate_hz, np.arange(n_samples) / rate_hz, False, _iso(head.start_s), [])


def _stamped(stamps_s: Array, head: Head, name: str, dates: bool) -> _Clock | None:
    """Return times and rate from time stamps; None if they do not advance."""
    even = even_times(stamps_s)
    if even is None:
        return None
    notes, rate_hz = even.notes, head.rate_hz
    if rate_hz is not None and abs(even.rate_hz - rate_hz) > RATE_AGREES * rate_hz:
        notes.append(
            f"{rate_hz:g} Hz in the first lines, but the time stamps of column '{name}' advance at "
            f"{even.rate_hz:.4g} Hz, which is used"
        )
        rate_hz = None
    start_time = _iso(float(stamps_s[0]))
    if start_time and dates:
        start_time = start_time.removesuffix("+00:00")  # dates do not state their time zone
    return _Clock(
        rate_hz or round(even.rate_hz, 3),
        even.times_s,
        True,
        start_time,
        notes,
    )


def _stamps_s(cells: pl.Series, head: Head, declared_hz: float | None) -> Array | None:
    """Return time stamps in seconds, NaN where missing; None if their unit is not known."""
    if _is_text(cells, head):
        return _dates_s(cells)
    numbers = _numbers(cells, head)
    unit = head.units.get(cells.name, "").casefold().replace("μ", "µ")
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


def _is_text(cells: pl.Series, head: Head) -> bool:
    return bool(np.isnan(_numbers(cells, head)).all())


def _dates_s(cells: pl.Series) -> Array | None:
    """Return dates in seconds of 1970, NaN where missing; None if they are in another form."""
    try:
        text = cells.str.replace(",", ".", literal=True)
        times = text.str.to_datetime(strict=False, time_unit="us")
    except pl.exceptions.PolarsError:
        return None
    micro = times.dt.epoch("us").cast(pl.Float64).fill_null(np.nan)
    return micro.to_numpy() / 1e6


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

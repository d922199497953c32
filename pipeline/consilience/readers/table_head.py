"""Rows in front of the samples of a text table: layout, names, units and rate.

========================  =====================================================================
layout                    how it is recognised
========================  =====================================================================
Empatica E4               no names: a row of the start in seconds of 1970, a row of the rate
OpenBCI                   comments that state the rate; a row of names, or a number of channels
OpenSignals (BITalino)    comments, one of which is JSON with the columns, sensors and the rate
Shimmer                   rows of device, names, ``CAL`` or ``RAW``, and units
muselsl and others        a row of names; the unit of a column in brackets behind its name
========================  =====================================================================

Cells are separated by tab, semicolon, comma or bar. A repeated name gets a number.
"""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Sequence
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from typing import Final, NamedTuple

from consilience.core.errors import RecordingError, one_line
from consilience.readers.base import unique_names
from consilience.readers.units import resolve_unit

SEPARATORS: Final = ("\t", ";", ",", "|")  # a comma last but one: it may be decimal
COMMENTS: Final = ("%", "#")
MAX_ROWS: Final = 200  # in front of the samples
MAX_COLUMNS: Final = 2048
MAX_RATE_HZ: Final = 50_000.0
EPOCH_S: Final = (1e9, 4.2e9)  # seconds of 1970 between the years 2001 and 2103
COUNTER: Final = "COUNTER"  # name under which `readers.packet_counter` finds it

_RATE = re.compile(
    r"(?:sampl\w*[ _-]*(?:rate|freq\w*)|\bfs)\b\W*[=:,;\t]\W*([0-9.]+)", re.IGNORECASE
)
_CHANNELS = re.compile(r"number of channels\W*[=:]\W*([0-9]{1,3})", re.IGNORECASE)
_SAMPLE_INDEX = re.compile(
    r"^(sample|packet)[ _]?(index|idx|number|num|counter)$|^(eeg\.)?counter$|^nseq$", re.IGNORECASE
)
_NAME_AND_UNIT = re.compile(r"^(.*\S)\s*[(\[]([^()\[\]]{1,20})[)\]]$")
_NO_UNIT = re.compile(r"|cal|uncal|raw|no[ _]?units?|u\.?a\.?|n/?a", re.IGNORECASE)
_OTHER_UNITS = re.compile(  # of time stamps, accelerometers, gyroscopes, thermometers
    r"[mnuµμ]?s|m?secs?|(milli)?seconds?|hz|%|(°|deg)?[cf]|g|bpm|kpa|gauss|local_?flux|mmhg|yyyy.*|"
    r"m/\(?s(ec)?\^?2?\)?|deg(rees)?(/s(ec)?)?|(degrees? )?(celsius|fahrenheit)",
    re.IGNORECASE,
)
# Names of its files, and units by its documentation: the files state none.
_EMPATICA: Final = {"EDA": "µS", "TEMP": "°C", "BVP": "", "ACC": "", "HR": ""}


class Head(NamedTuple):
    """Content of the rows in front of the samples.

    Attributes
    ----------
    n_lines : int
        Lines before the first sample.
    separator : str
    names : tuple of str
        One per column, each once.
    units : dict of str to str
        Unit by name, where it is stated.
    rate_hz : float or None
    start_s : float or None
        Start of the recording in seconds of 1970.
    named : bool
        Whether the table or, for Empatica, its file's name states what the columns are.
    """

    n_lines: int
    separator: str
    names: tuple[str, ...]
    units: dict[str, str]
    rate_hz: float | None = None
    start_s: float | None = None
    named: bool = True


def read_head(lines: Sequence[str], path: Path) -> Head:
    """Read the rows in front of the samples.

    Parameters
    ----------
    lines : sequence of str
        The first lines of the file.
    path : Path
        For the names of a table without any, and for messages.

    Raises
    ------
    RecordingError
        If no row holds numbers, or no row names the columns.
    """
    n_comments = _n_comments(lines)
    comments, lines = lines[:n_comments], lines[n_comments:]
    separator = _separator(lines)
    rows = [
        [cell.strip() for cell in row]
        for row in csv.reader(lines, delimiter=separator, strict=False)
    ]
    first = _first_sample(rows)
    if first is None:
        start = one_line(" | ".join(rows[0])[:80]) if rows else "nothing"
        raise RecordingError(
            f"no row of numbers in the first {len(lines)} lines, which begin with: {start}",
            str(path),
            "expected a row per sample and a column per channel",
        )
    rate_hz = _rate([*comments, *lines[:first]])
    if first == 0 and not comments and (empatica := _empatica(rows, path)):
        return empatica._replace(separator=separator)
    heads = rows[:first]
    if max(map(len, rows[first:])) == 1:  # what an empty line ends describes the recording
        ends = [index for index, row in enumerate(heads, start=1) if not any(row)]
        heads = heads[max(ends, default=0) :]
    width = max(len(rows[first]), *map(len, heads), 1)
    if width > MAX_COLUMNS:
        raise RecordingError(f"{width} columns", str(path), f"export at most {MAX_COLUMNS}")
    names, units = _names(heads, comments, width, path)
    named = width > 1 or any(map(any, heads))
    return Head(n_comments + first, separator, names, units, rate_hz, named=named)


def number(cell: str) -> float | None:
    """Return a cell's number; None if it holds none."""
    try:
        return float(cell)
    except ValueError:
        return None


def _n_comments(lines: Sequence[str]) -> int:
    for index, line in enumerate(lines):
        text = line.strip().strip('"')
        if text and not text.startswith(COMMENTS) and not text.lower().startswith("sep="):
            return index
    return len(lines)


def _separator(lines: Sequence[str]) -> str:
    # The last line is a row of samples, unless the table is tiny.
    last = lines[-1] if lines else ""
    return next((separator for separator in SEPARATORS if separator in last), ",")


def _first_sample(rows: Sequence[Sequence[str]]) -> int | None:
    """Return the index of the first row of samples, which text does not follow; None without."""
    for index, (row, after) in enumerate(pairwise([*rows, ()])):
        if _is_sample(row) and (_is_sample(after) or not any(after)):
            return index
    return None


def _is_sample(row: Sequence[str]) -> bool:
    """Return whether most of the cells that are not empty hold numbers."""
    cells = [cell for cell in row if cell]
    # A comma may be decimal: where it separates, cells contain none.
    numbers = sum(number(cell.replace(",", ".")) is not None for cell in cells)
    return bool(cells) and 2 * numbers >= len(cells)


def _rate(lines: Sequence[str]) -> float | None:
    for line in lines:
        match = _RATE.search(line)
        rate_hz = number(match[1].rstrip(".")) if match else None
        if rate_hz is not None and 0 < rate_hz <= MAX_RATE_HZ:
            return rate_hz
    return None


def _empatica(rows: Sequence[Sequence[str]], path: Path) -> Head | None:
    """Return the head of an export of an Empatica E4; None if it is none."""
    if len(rows) < 3 or not len(rows[0]) == len(rows[1]) == len(rows[2]):
        return None
    starts, rates = ({number(cell) for cell in row} for row in rows[:2])
    start_s, rate_hz = (values.pop() if len(values) == 1 else None for values in (starts, rates))
    if start_s is None or rate_hz is None:
        return None
    if not EPOCH_S[0] <= start_s <= EPOCH_S[1] or not 0 < rate_hz <= MAX_RATE_HZ:
        return None
    width, stem = len(rows[0]), path.stem
    names = (stem,) if width == 1 else tuple(f"{stem} {column}" for column in range(1, width + 1))
    sensor = next((sensor for sensor in _EMPATICA if sensor in stem.upper()), "")
    unit = _EMPATICA.get(sensor, "")
    units = dict.fromkeys(names, unit) if unit else {}
    return Head(2, ",", names, units, rate_hz, start_s, named=bool(sensor))


def _names(
    rows: Sequence[Sequence[str]], comments: Sequence[str], width: int, path: Path
) -> tuple[tuple[str, ...], dict[str, str]]:
    """Return the names of the columns, and the units where they are stated."""
    rows = [row for row in rows if any(row)]
    if not rows:
        return _names_without_row(comments, width, path), {}
    unit_row: Sequence[str] = ()
    if len(rows) > 1 and all(_is_unit(cell) for cell in rows[-1]):
        *rows, unit_row = rows
    # The row of the device repeats one cell, that of CAL or RAW a few.
    cells = max(rows, key=lambda row: len(set(row)))
    labels, unit_cells = [], []
    for column in range(width):
        cell = cells[column] if column < len(cells) else ""
        match = _NAME_AND_UNIT.match(cell)
        unit = unit_row[column] if column < len(unit_row) else ""
        if match and not unit and _is_unit(match[2]):
            cell, unit = match[1], match[2]
        labels.append(COUNTER if _SAMPLE_INDEX.match(cell) else cell or f"column {column + 1}")
        unit_cells.append("" if _NO_UNIT.fullmatch(unit) else unit)
    names = tuple(unique_names(labels))
    return names, {name: unit for name, unit in zip(names, unit_cells, strict=True) if unit}


def _names_without_row(comments: Sequence[str], width: int, path: Path) -> tuple[str, ...]:
    """Return the names that comments state, for OpenSignals and older OpenBCI text, or one name."""
    described = _opensignals(comments)
    if 0 < len(described) <= width:
        return (*described, *(f"column {column + 1}" for column in range(len(described), width)))
    matches = (_CHANNELS.search(line) for line in comments)
    n_channels = next((int(match[1]) for match in matches if match), None)
    if n_channels is not None and n_channels < width:
        others = [f"column {column + 1}" for column in range(1 + n_channels, width)]
        # Its last column is the time of day.
        others[-1:] = ["Timestamp"] * bool(others)
        return (COUNTER, *(f"EXG Channel {number}" for number in range(n_channels)), *others)
    if width == 1:
        return (path.stem,)
    raise RecordingError(
        f"no row names the {width} columns", str(path), "add one in front of the samples"
    )


def _opensignals(comments: Sequence[str]) -> list[str]:
    """Return the names of the columns in the JSON of OpenSignals; empty without any."""
    labels: list[str] = []
    for line in comments:
        with suppress(ValueError, TypeError, KeyError, AttributeError, RecursionError):
            for device in json.loads(line.lstrip("# ")).values():
                sensors = dict(zip(device["label"], device["sensor"], strict=True))
                labels += [
                    # Bare labels such as A1 would be electrodes.
                    f"{sensors[column]} ({column})" if column in sensors else str(column)
                    for column in device["column"]
                ]
    return unique_names(COUNTER if _SAMPLE_INDEX.match(label) else label for label in labels)


def _is_unit(cell: str) -> bool:
    text = cell.strip()
    return bool(
        _NO_UNIT.fullmatch(text) or _OTHER_UNITS.fullmatch(text) or resolve_unit(text) is not None
    )

"""Facial action units of OpenFace, averaged over a clip: a row of a table is a recording.

Columns ending in ``_r`` are intensities, 0 to 5; those ending in ``_c`` are the share of frames
in which the unit was present, 0 to 1 (Baltrusaitis et al. 2018). Only columns named ``AUnn_r`` or
``AUnn_c`` are read: a table may hold labels too. The table has no time axis. Cells are separated by
commas, semicolons or tabs, and may be padded with spaces.

Corruptions act on the means over the clip, which are the whole signal: they simulate the result of
a worse picture or tracker, not the picture itself.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from consilience.core.errors import RecordingError
from consilience.core.files import cached_per_file, text_hash
from consilience.core.wording import counted
from consilience.modalities.base import Modality
from consilience.modalities.params.face_au import FaceAuParams
from consilience.schema.params.plugins import ModalityParams
from consilience.signals.types import Features, Header, Signal

Array = NDArray[np.float64]
Units = tuple[str, ...]
Rows = dict[str, dict[str, str] | str]  # by key: cells, or what is wrong with the row

KEY = "clip"
UNIT = re.compile(r"AU(\d{1,2})_([rc])", re.IGNORECASE)
DECIMAL_COMMA = re.compile(r"(?<=\d),(?=\d)")
DELIMITERS = ",;\t"
RANGES = {"_r": 5.0, "_c": 1.0}
ROUNDING = 1e-6  # by which a mean of values within the range may exceed it
# Regions of the face by the numbers of their units (Ekman and Friesen 1978); lips are the rest.
REGIONS = ({1, 2, 4}, {5, 6, 7, 43, 45, 46}, {9, 10, 11}, {12, 13, 14, 15, 20})


def noise(values: Array, fraction: float, units: Units, rng: np.random.Generator) -> Array:
    """Add Gaussian noise in proportion to each unit's range."""
    scale = fraction * _ranges(units)
    return values + scale * rng.standard_normal(values.shape)


def occlusion(values: Array, share: float, units: Units, rng: np.random.Generator) -> Array:
    """Set a share of the units to 0, region by region: a hidden region shows no expression."""
    regions = np.array([_region(unit) for unit in units])
    order = rng.permutation(len(REGIONS) + 1)[regions]
    hidden = np.argsort(order, kind="stable")[: round(share * len(units))]
    occluded = values.copy()
    occluded[:, hidden] = 0
    return occluded


def offset(values: Array, fraction: float, units: Units, rng: np.random.Generator) -> Array:
    """Shift all units in one direction, as a tracker with a wrong neutral face does."""
    side = rng.choice([-1.0, 1.0])
    return values + side * fraction * _ranges(units) * rng.uniform(0.5, 1.5, values.shape)


def damping(values: Array, factor: float, units: Units, rng: np.random.Generator) -> Array:
    """Reduce every unit, as a tracker with too much smoothing does."""
    return values * factor


def spurious(values: Array, share: float, units: Units, rng: np.random.Generator) -> Array:
    """Activate a share of the units at random, at any strength."""
    fires = rng.permutation(len(units)) < round(share * len(units))
    return np.where(fires, _ranges(units) * rng.random(values.shape), values)


APPLY: Mapping[str, Callable[..., Array]] = {
    "noise": noise,
    "occlusion": occlusion,
    "offset": offset,
    "damping": damping,
    "spurious": spurious,
}


class FaceAu(Modality):
    """The action-unit modality."""

    name: ClassVar[str] = "face_au"
    suffixes: ClassVar[tuple[str, ...]] = (".csv",)
    Params: ClassVar[type[ModalityParams]] = FaceAuParams

    def includes(self, unit: str) -> bool:
        """Return whether a unit belongs to the modality: here, all do."""
        return True

    def probe(self, path: Path, item: str | None) -> Header:
        """Check that the row exists and is complete. Raises RecordingError."""
        return Header(rate_hz=None, n_channels=len(self._numbers(path, item)), duration_s=None)

    def identity(self, path: Path, item: str | None) -> str:
        """Return the hash of the row and of the names of its columns."""
        return text_hash(*(f"{name}={text}" for name, text in self._row(path, item).items()))

    def read(self, path: Path, item: str | None, params: FaceAuParams) -> Signal:
        """Read one row.

        Returns
        -------
        Signal
            ``values`` float64, shape (1, n_units), at time 0.
        """
        numbers = self._numbers(path, item)
        return Signal(np.array([list(numbers.values())]), np.zeros(1), tuple(numbers))

    def features(self, signal: Signal, params: FaceAuParams) -> Features:
        """Return the units as one frame; quality is the share of values within their range."""
        values = np.asarray(signal.values, np.float32)
        if not len(values):
            raise RecordingError("the row has no values", "action units", "add the row")
        if not np.isfinite(values).all():
            unit = signal.channels[int(np.argmax(~np.isfinite(values[0])))]
            raise RecordingError("the value is not a number", f"column {unit}", "correct the table")
        inside = float(np.mean((values[0] >= 0) & (values[0] <= _ranges(signal.channels))))
        quality = {"inside_range_fraction": inside, "quality": inside}
        return Features(values, signal.times_s, signal.channels, quality)

    def corrupt(
        self,
        signal: Signal,
        kind: str,
        severity: int,
        params: FaceAuParams,
        rng: np.random.Generator,
    ) -> Signal:
        """Corrupt the means over the clip, within the range of each unit."""
        level = params.corruptions[kind][severity - 1]
        corrupted = APPLY[kind](signal.values, level, signal.channels, rng)
        return replace(signal, values=np.clip(corrupted, 0, _ranges(signal.channels)))

    def _numbers(self, path: Path, item: str | None) -> dict[str, float]:
        """Return the row's values by unit. Raises RecordingError naming the incorrect column."""
        return {
            unit: _intensity(unit, text, f"{KEY} {item}, column {unit}", path)
            for unit, text in self._row(path, item).items()
            if unit != KEY
        }

    def _row(self, path: Path, item: str | None) -> dict[str, str]:
        """Return the row's key and the texts of the units that belong to the modality."""
        row = _row(path, item)
        columns = {unit: text for unit, text in row.items() if unit == KEY or self.includes(unit)}
        if len(columns) == 1:
            raise RecordingError(f"no column is a unit of '{self.name}'", str(path))
        return columns


def _ranges(units: Units) -> Array:
    """Return the largest value of each unit, by the ending of its name."""
    return np.array([RANGES[unit[-2:]] for unit in units])


def number_of(unit: str) -> int:
    """Return the number of a unit: 12 of ``AU12_r``. Raises ValueError if it is not a unit."""
    match = UNIT.fullmatch(unit)
    if match is None:
        raise ValueError(f"not an action unit: {unit!r}")
    return int(match[1])


def _region(unit: str) -> int:
    """Return the index of the unit's region in `REGIONS`; the lips come last."""
    number = number_of(unit)
    return next((i for i, numbers in enumerate(REGIONS) if number in numbers), len(REGIONS))


def _intensity(unit: str, text: str, cell: str, path: Path) -> float:
    """Return a cell as a number within the unit's range. Raises RecordingError."""
    try:
        number = float(text or "nan")
    except ValueError:
        number = np.nan
    if not np.isfinite(number):
        problem = f"'{text}' is not a number" if text else "the value is missing"
        raise RecordingError(f"{cell}: {problem}", str(path), "correct the table")
    highest = RANGES[unit[-2:]]
    if not 0 <= number <= highest + ROUNDING:
        raise RecordingError(
            f"{cell}: impossible value {number:g}: it lies between 0 and {highest:g}",
            str(path),
            "export intensities as 0 to 5 (_r) and presence as 0 to 1 (_c)",
        )
    return number


def _row(path: Path, item: str | None) -> dict[str, str]:
    """Return the row with a key. Raises RecordingError."""
    if not path.is_file():
        raise RecordingError("the file is missing", str(path), "restore the table")
    rows = _rows(path)
    if item not in rows:
        raise RecordingError(
            f"the table has no row '{item}' in its column {KEY}", str(path), "add the row"
        )
    row = rows[item]
    if isinstance(row, str):
        raise RecordingError(f"{KEY} {item}: {row}", str(path), "correct the table")
    return row


@cached_per_file(4)
def _rows(path: Path) -> Rows:
    """Parse a table once for all its rows, and again when the file has changed.

    Returns
    -------
    dict of str to (dict of str to str, or str)
        By key, the texts of the row by unit, or else what is wrong with the row.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            header = file.readline()
            delimiter = max(DELIMITERS, key=header.count)
            # The header line is parsed with the rows, because its names may be quoted.
            lines = csv.reader(chain([header], file), delimiter=delimiter, skipinitialspace=True)
            return _parsed(lines, delimiter, path)
    except (UnicodeDecodeError, csv.Error) as error:
        raise RecordingError(
            f"not readable as CSV: {error}", str(path), "export it again"
        ) from None


def _parsed(lines: Iterable[list[str]], delimiter: str, path: Path) -> Rows:
    """Return the rows of a table by key; see `_rows`."""
    header: list[str] = []
    rows: Rows = {}
    for line in lines:
        cells = [cell.strip() for cell in line]
        if not header:
            header = _header(cells, path)
        elif any(cells):
            key = cells[header.index(KEY)] if len(cells) > header.index(KEY) else ""
            rows[key] = "duplicate row" if key in rows else _cells(header, cells, delimiter)
    if not header:
        _header([], path)
    return rows


def _header(names: list[str], path: Path) -> list[str]:
    """Return the names of the columns, units in the form ``AU01_r``. Raises RecordingError."""
    header = [_canonical(name) for name in names]
    units = [name for name in header if UNIT.fullmatch(name)]
    if KEY not in header or not units:
        raise RecordingError(
            f"not a table of action units: it needs a column '{KEY}' and columns "
            "such as AU01_r or AU01_c",
            str(path),
            "export the means of OpenFace's output, a row per clip",
        )
    for name in (KEY, *units):
        if header.count(name) > 1:
            raise RecordingError(f"duplicate column: '{name}'", str(path), "remove one of the two")
    return header


def _canonical(name: str) -> str:
    match = UNIT.fullmatch(name)
    return f"AU{int(match[1]):02d}_{match[2].lower()}" if match else name


def _cells(header: list[str], cells: list[str], delimiter: str) -> dict[str, str] | str:
    """Return the key and the units of a row, or what is wrong with it."""
    if any(cells[len(header) :]):
        return f"{counted(len(cells), 'cell')} where the header has {len(header)}"
    if delimiter == ";":  # common where the comma separates decimals
        cells = [DECIMAL_COMMA.sub(".", cell) for cell in cells]
    row = dict(zip(header, cells + [""] * (len(header) - len(cells)), strict=False))
    return {name: row[name] for name in (KEY, *filter(UNIT.fullmatch, header))}


modality = FaceAu()

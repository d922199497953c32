"""Sensors that are read from tables of features: every modality called ``<name>_features``.

A recording is the rows of one session, in their order; see `consilience.readers.feature_table`. Row
``n`` of a session is a frame at ``n + 0.5`` s of nominal time. The item ``rows.csv/session`` names
the table of rows, which lies beside the tables of numbers, and the session.

A missing value of a row that has others is replaced by the mean of the values before it in the
recording, or else by the median over the table: less a person's baseline both are near 0. A row
without any value is a missing frame. Corruptions act on the values, in units of each column's
spread over the whole table, which depends on no label.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from consilience.core.errors import ConsilienceError, RecordingError
from consilience.core.files import content_hash, text_hash
from consilience.modalities.base import Modality
from consilience.modalities.params.feature_table import FeatureTableParams
from consilience.readers.feature_table import SUFFIXES, RowTable, read_rows, read_sensor
from consilience.schema.params.plugins import ModalityParams
from consilience.signals.robust import MAD_TO_SD
from consilience.signals.types import Features, Header, Signal

Array = NDArray[np.float64]

ENDING = "_features"
SPIKES = (3.0, 10.0)  # size of spurious values, in spreads
OFFSETS = (0.5, 1.5)  # by which columns differ in their offset


@dataclass(frozen=True)
class TableSignal(Signal):
    """Rows of one session, with statistics of each column over the whole table.

    Attributes
    ----------
    median, spread : ndarray of float64, shape (n_columns,)
        The spread is a robust standard deviation; 0 of a constant column.
    """

    median: Array = field(default_factory=lambda: np.zeros(0))
    spread: Array = field(default_factory=lambda: np.zeros(0))


def sensor_of(table: Path) -> str:
    """Return the name of the sensor of a table: ``ecg_features`` of ``ECG.csv``."""
    name = re.sub("[^a-z0-9]+", "_", table.stem.lower()).strip("_")
    name = name.removesuffix(ENDING)
    return (name if name[:1].isalpha() else f"table_{name}") + ENDING


def filled(values: Array, median: Array) -> Array:
    """Replace missing values by the mean of those before them in the column, or the median.

    Parameters
    ----------
    values : ndarray of float64, shape (n_rows, n_columns)
        NaN where missing.
    median : ndarray of float64, shape (n_columns,)
        For a column without a value before.
    """
    observed = np.isfinite(values)
    total = np.cumsum(np.where(observed, values, 0.0), axis=0)
    n = np.cumsum(observed, axis=0)
    usual = np.where(n > 0, total / np.maximum(n, 1), median)
    return np.where(observed, values, usual)


def noise(signal: TableSignal, level: float, rng: np.random.Generator) -> Array:
    """Add Gaussian noise in proportion to each column's spread."""
    return signal.values + level * signal.spread * rng.standard_normal(signal.values.shape)


def offset(signal: TableSignal, level: float, rng: np.random.Generator) -> Array:
    """Shift each column by a constant, as a sensor that was placed elsewhere does."""
    side = rng.choice([-1.0, 1.0], signal.spread.shape)
    return signal.values + level * side * rng.uniform(*OFFSETS, signal.spread.shape) * signal.spread


def dropout(signal: TableSignal, share: float, rng: np.random.Generator) -> Array:
    """Lose a share of the values; what is lost is replaced as any missing value."""
    lost = rng.random(signal.values.shape) < share
    return np.where(
        lost, filled(np.where(lost, np.nan, signal.values), signal.median), signal.values
    )


def spurious(signal: TableSignal, share: float, rng: np.random.Generator) -> Array:
    """Replace a share of the values by outliers of either sign."""
    shape = signal.values.shape
    size = rng.choice([-1.0, 1.0], shape) * rng.uniform(*SPIKES, shape)
    hit = rng.random(shape) < share
    return np.where(hit, signal.median + size * signal.spread, signal.values)


def stuck(signal: TableSignal, share: float, rng: np.random.Generator) -> Array:
    """Let a share of the columns keep their values of one row, drawn at random."""
    order = rng.permutation(signal.values.shape[1])
    columns = order < round(share * len(order))
    row = signal.values[rng.integers(len(signal.values))]
    return np.where(columns & np.isfinite(row), row, signal.values)


def scaled(signal: TableSignal, factor: float, rng: np.random.Generator) -> Array:
    """Multiply the distance from the median, as an amplifier with a wrong gain does."""
    return signal.median + factor * (signal.values - signal.median)


APPLY: Mapping[str, Callable[[TableSignal, float, np.random.Generator], Array]] = {
    "noise": noise,
    "offset": offset,
    "dropout": dropout,
    "spurious": spurious,
    "stuck": stuck,
    "scaled": scaled,
}


class FeatureTable(Modality):
    """A sensor that is read from one or several tables.

    Parameters
    ----------
    name : str
    tables : tuple of str
        Files beside the table of rows; empty for the file of the recording.
    """

    suffixes: ClassVar[tuple[str, ...]] = SUFFIXES
    Params: ClassVar[type[ModalityParams]] = FeatureTableParams

    def __init__(self, name: str, tables: tuple[str, ...] = ()) -> None:
        self.name = name  # of a family, each sensor has its name
        self.tables = tables

    def configured(self, params: FeatureTableParams) -> FeatureTable:
        """Return the sensor with the tables that the parameters name."""
        return FeatureTable(self.name, params.tables)

    def probe(self, path: Path, item: str | None) -> Header:
        """Check that the tables have a value of the session. Raises RecordingError."""
        signal = self._signal(path, item)
        if not np.isfinite(signal.values).any():
            raise RecordingError(
                "no value of this session", ", ".join(self._names(path)), "add its rows"
            )
        return Header(rate_hz=None, n_channels=len(signal.channels), duration_s=None)

    def identity(self, path: Path, item: str | None) -> str:
        """Return the hash of the tables and the session: statistics depend on all rows."""
        rows, _ = _rows_and_session(path, item)
        files = [rows, *(path.parent / name for name in self._names(path))]
        missing = [file.name for file in files if not file.is_file()]
        if missing:
            raise RecordingError("the table is missing", missing[0], "restore it")
        return text_hash(item or "", *map(content_hash, files))

    def read(self, path: Path, item: str | None, params: FeatureTableParams) -> TableSignal:
        """Read the rows of a session.

        Returns
        -------
        TableSignal
            ``values`` float64, shape (n_rows, n_columns), NaN where missing, at 0.5, 1.5, … s.
        """
        return self.configured(params)._signal(path, item)

    def inspect(self, path: Path, item: str | None) -> list[str]:
        """Return a finding on values that are missing."""
        values = self._signal(path, item).values
        rows = int((~np.isfinite(values)).all(axis=1).sum())
        cells = int((~np.isfinite(values)).sum()) - rows * values.shape[1]
        findings = [f"{rows} of {len(values)} rows have no value"] if rows else []
        return findings + ([f"{cells} further values are missing"] if cells else [])

    def features(self, signal: Signal, params: FeatureTableParams) -> Features:
        """Return a frame per row; quality is the share of values that are present."""
        if not len(signal.times_s):
            raise RecordingError("the session has no row", "table of features", "add its rows")
        with np.errstate(over="ignore"):  # infinite, and then missing
            values = np.asarray(signal.values, np.float32)
        observed = np.isfinite(values)
        if not observed.any():
            raise RecordingError("no value is a number", "table of features", "correct the table")
        median = getattr(signal, "median", np.zeros(values.shape[1]))
        complete = filled(np.where(observed, signal.values, np.nan), median)
        complete[~observed.any(axis=1)] = np.nan
        share = float(observed.mean())
        quality = {"observed_fraction": share, "quality": share}
        return Features(complete.astype(np.float32), signal.times_s, signal.channels, quality)

    def corrupt(
        self,
        signal: Signal,
        kind: str,
        severity: int,
        params: FeatureTableParams,
        rng: np.random.Generator,
    ) -> Signal:
        """Corrupt the values of all rows; missing values stay missing."""
        assert isinstance(signal, TableSignal)
        corrupted = APPLY[kind](signal, params.corruptions[kind][severity - 1], rng)
        return replace(signal, values=np.where(np.isfinite(signal.values), corrupted, np.nan))

    def _names(self, path: Path) -> tuple[str, ...]:
        """Return the names of the tables. Raises RecordingError if nothing names them."""
        if not self.tables and sensor_of(path) != self.name:
            raise RecordingError(
                f"'{self.name}' names no table",
                path.name,
                f"list its tables in params.yaml: modalities.{self.name}.tables",
            )
        return self.tables or (path.name,)

    def _signal(self, path: Path, item: str | None) -> TableSignal:
        """Return the rows of a session, from all tables of the sensor. Raises RecordingError."""
        rows_path, session = _rows_and_session(path, item)
        names = self._names(path)
        try:
            rows = read_rows(rows_path)
            columns, values = _joined(path.parent, names, rows)
        except ConsilienceError as error:
            raise RecordingError(f"{error.where}: {error.what}", path.name, error.remedy) from None
        except FileNotFoundError as error:
            raise RecordingError(
                f"the table {Path(str(error.filename)).name} is missing", path.name, "restore it"
            ) from None
        chosen = (rows.rows["session"] == session).to_numpy()
        if not chosen.any():
            raise RecordingError(f"no row of session '{session}'", rows_path.name, "add its rows")
        median, spread = _statistics(values)
        times_s = np.arange(chosen.sum()) + 0.5
        return TableSignal(values[chosen], times_s, columns, median=median, spread=spread)


def _rows_and_session(path: Path, item: str | None) -> tuple[Path, str]:
    name, slash, session = (item or "").partition("/")
    if not slash or not name or name.startswith("."):
        raise RecordingError(
            f"the item '{item or ''}' names no session", path.name, "use the dataset 'features'"
        )
    return path.parent / name, session


def _joined(folder: Path, names: tuple[str, ...], rows: RowTable) -> tuple[tuple[str, ...], Array]:
    """Return the columns of several tables and their values for all rows."""
    tables = [read_sensor(folder / name, rows) for name in names]
    columns = tuple(column for table in tables for column in table.columns)
    twice = sorted({column for column in columns if columns.count(column) > 1})
    if twice:
        raise ConsilienceError(
            f"the column '{twice[0]}' is in two tables", ", ".join(names), "rename it in one"
        )
    return columns, np.concatenate([table.values for table in tables], axis=1)


def _statistics(values: Array) -> tuple[Array, Array]:
    """Return median and robust standard deviation of each column."""
    median = np.nanmedian(values, axis=0)
    apart = np.abs(values - median)
    spread = MAD_TO_SD * np.nanmedian(apart, axis=0)
    # More than half of the values are equal: their standard deviation is all that is left.
    return median, np.where(spread > 0, spread, np.sqrt(np.nanmean(apart**2, axis=0)))


modality = FeatureTable

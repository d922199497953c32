"""Facial action units of OpenFace, averaged over a clip: a row of a table is a recording.

Columns ending in ``_r`` are intensities, 0 to 5; those ending in ``_c`` are the share of frames
in which the unit was present, 0 to 1 (Baltrusaitis et al. 2018). The table has no time axis.
"""

from __future__ import annotations

import csv
from functools import lru_cache
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from pydantic import Field

from pipeline.errors import RecordingError
from pipeline.files import text_hash
from pipeline.modalities.base import Features, Header, ModalityParams, Signal
from pipeline.model.encoders import FunctionalsEncoder

KEY = "clip"
RANGES = {"_r": 5.0, "_c": 1.0}


class FaceAuParams(ModalityParams):
    """Parameters of the action units."""

    noise_fraction: tuple[float, float, float, float, float] = Field(
        (0.03, 0.06, 0.12, 0.2, 0.35),
        description="Standard deviation of the noise by severity, as a fraction of a unit's range",
    )


class FaceAu:
    """The action-unit modality."""

    name: ClassVar[str] = "face_au"
    suffixes: ClassVar[tuple[str, ...]] = (".csv",)
    Params: ClassVar[type[ModalityParams]] = FaceAuParams

    def probe(self, path: Path, item: str | None) -> Header:
        """Check that the row is there and complete. Raises RecordingError."""
        return Header(rate_hz=None, n_channels=len(_numbers(path, item)), duration_s=None)

    def identity(self, path: Path, item: str | None) -> str:
        """Return the hash of the row and of the names of its columns."""
        return text_hash(*(f"{name}={text}" for name, text in _row(path, item).items()))

    def read(self, path: Path, item: str | None, params: FaceAuParams) -> Signal:
        """Read one row.

        Returns
        -------
        Signal
            ``values`` float64, shape (1, n_units), at time 0.
        """
        numbers = _numbers(path, item)
        return Signal(np.array([list(numbers.values())]), np.zeros(1), tuple(numbers))

    def features(self, signal: Signal, params: FaceAuParams) -> Features:
        """Return the units as one frame; quality is the share of values within their range."""
        values = np.asarray(signal.values, np.float32)
        if not np.isfinite(values).all():
            unit = signal.channels[int(np.argmax(~np.isfinite(values[0])))]
            raise RecordingError("the value is no number", f"column {unit}", "correct the table")
        inside = float(np.mean((values[0] >= 0) & (values[0] <= _ranges(signal.channels))))
        quality = {"inside_range_fraction": inside, "quality": inside}
        return Features(values, signal.times_s, signal.channels, quality)

    def corrupt(
        self, signal: Signal, severity: int, params: FaceAuParams, rng: np.random.Generator
    ) -> Signal:
        """Add Gaussian noise in proportion to each unit's range, and stay within the range."""
        ranges = _ranges(signal.channels)
        scale = params.noise_fraction[severity - 1] * ranges
        noisy = signal.values + scale * rng.standard_normal(signal.values.shape)
        return Signal(np.clip(noisy, 0, ranges), signal.times_s, signal.channels, signal.pulses_s)

    def frame_rate_hz(self, params: FaceAuParams) -> None:
        """Return None: a window has one frame."""
        return None

    def encoder(self, n_features: int, width: int, dropout: float) -> FunctionalsEncoder:
        """Return a small network over the plain values."""
        return FunctionalsEncoder(n_features, width, dropout)


def _ranges(units: tuple[str, ...]) -> np.ndarray[Any, np.dtype[np.float64]]:
    return np.array([RANGES[unit[-2:]] for unit in units])


def _numbers(path: Path, item: str | None) -> dict[str, float]:
    """Return the row's values by unit. Raises RecordingError naming the column at fault."""
    numbers = {}
    for unit, text in _row(path, item).items():
        if unit == KEY:
            continue
        try:
            numbers[unit] = float(text)
        except (TypeError, ValueError):
            numbers[unit] = np.nan
        if not np.isfinite(numbers[unit]):
            said = f"'{text}' is no number" if text else "the value is missing"
            raise RecordingError(said, f"{path}, {KEY} {item}, column {unit}", "correct the table")
    return numbers


def _row(path: Path, item: str | None) -> dict[str, str]:
    if not path.is_file():
        raise RecordingError("the file is missing", str(path), "restore the table")
    rows = _rows(path, path.stat().st_mtime_ns, path.stat().st_size)
    if item not in rows:
        raise RecordingError(f"there is no row '{item}'", f"{path}, column {KEY}", "add the row")
    return rows[item]


@lru_cache(maxsize=4)
def _rows(path: Path, modified_ns: int, size: int) -> dict[str, dict[str, str]]:
    """Parse a table once for all its rows, and again when the file has changed."""
    try:
        with path.open(newline="", encoding="utf-8") as file:
            reader = csv.DictReader(file)
            names = reader.fieldnames or []
            units = [name for name in names if name[-2:] in RANGES]
            if KEY not in names or not units:
                raise RecordingError(
                    f"this is no table of action units: it needs a column '{KEY}' and columns "
                    "such as AU01_r or AU01_c",
                    str(path),
                    "export the means of OpenFace's output, a row per clip",
                )
            return {row[KEY]: {name: row[name] for name in (KEY, *units)} for row in reader}
    except (UnicodeDecodeError, csv.Error) as error:
        raise RecordingError(
            f"not readable as CSV: {error}", str(path), "export it again"
        ) from None


modality = FaceAu()

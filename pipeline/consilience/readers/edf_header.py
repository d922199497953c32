"""Headers of EDF and BDF files, checked against the bytes of the file.

Formats: https://www.edfplus.info/specs/ and https://www.biosemi.com/faq/file_format.htm
"""

from __future__ import annotations

import math
import re
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, NamedTuple, NoReturn

from consilience.core.errors import RecordingError
from consilience.core.wording import counted
from consilience.readers.contents import refuse_converted

SAMPLE_BYTES: Final = {".edf": 2, ".bdf": 3}
ANNOTATIONS: Final = ("EDF Annotations", "BDF Annotations")
FIRST_YEAR: Final = 1985  # of two-digit years, according to EDF+
WIDTHS: Final = (16, 80, 8, 8, 8, 8, 8, 80, 8, 32)  # of the fields of a signal, in bytes


class EdfSignal(NamedTuple):
    """Header of a signal.

    Attributes
    ----------
    label, unit : str
    physical, digital : tuple of float
        Least and greatest value, which define the scale.
    n_samples : int
        Per record.
    offset : int
        Samples of other signals before it in a record.
    """

    label: str
    unit: str
    physical: tuple[float, float]
    digital: tuple[float, float]
    n_samples: int
    offset: int

    @property
    def is_annotation(self) -> bool:
        """Whether it holds the annotations of EDF+."""
        return self.label in ANNOTATIONS


class EdfHeader(NamedTuple):
    """Header of an EDF or BDF file.

    Attributes
    ----------
    width : int
        Bytes per sample.
    n_bytes : int
        Length of the header.
    n_records : int
        Complete records in the file.
    record_s : float
    start : datetime or None
    discontinuous : bool
        Whether the file is EDF+D or BDF+D.
    signals : tuple of EdfSignal
    notes : tuple of str
        Differences between the header and the file.
    """

    width: int
    n_bytes: int
    n_records: int
    record_s: float
    start: datetime | None
    discontinuous: bool
    signals: tuple[EdfSignal, ...]
    notes: tuple[str, ...] = ()

    @property
    def record_samples(self) -> int:
        """The samples of all signals in a record."""
        return sum(signal.n_samples for signal in self.signals)


def read_edf_header(path: Path) -> EdfHeader:
    """Read the header, and check it against the size of the file.

    Raises
    ------
    RecordingError
        If a field is invalid, or the file is truncated, was converted, or has no samples.
    """
    with path.open("rb") as file:
        head = file.read(256)
        fields = _Fields(path)
        n_bytes = fields.whole("length of the header", head[184:192])
        declared = fields.whole("number of records", head[236:244])
        record_s = fields.number("duration of a record", head[244:252])
        n_signals = fields.whole("number of signals", head[252:256])
        table = file.read(256 * max(n_signals, 0))
    if n_signals < 1 or n_bytes != 256 * (1 + n_signals) or len(table) != 256 * n_signals:
        fields.refuse(f"a header of {n_bytes} bytes does not describe {n_signals} signals")
    signals = _signals(fields, table, n_signals)
    header = EdfHeader(
        SAMPLE_BYTES[path.suffix.lower()],
        n_bytes,
        declared,
        record_s,
        _start(head),
        head[192:197] in (b"EDF+D", b"BDF+D"),
        signals,
    )
    if record_s <= 0 < header.record_samples:
        fields.refuse(f"the duration of a record is {record_s:g} s")
    if header.record_samples <= 0:
        raise RecordingError("no samples", str(path), "copy it again from the recorder")
    return _checked_size(header, path)


class _Fields:
    """Parser of numbers in text, which names the field of an invalid one."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def refuse(self, what: str, remedy: str = "export it again") -> NoReturn:
        kind = self.path.suffix[1:].upper()
        raise RecordingError(f"not a readable {kind} header: {what}", str(self.path), remedy)

    def number(self, field: str, content: bytes) -> float:
        # Some recorders pad with zero bytes instead of spaces.
        text = content.replace(b"\0", b" ").strip()
        try:
            value = float(text)
            if math.isfinite(value):
                return value
        except ValueError:
            pass
        comma = re.fullmatch(rb"[+-]?\d*,\d+", text)
        self.refuse(
            f"the {field} is {content!r}" + (", with a decimal comma" if comma else ""),
            "export it with decimal points" if comma else "export it again",
        )

    def whole(self, field: str, content: bytes) -> int:
        value = self.number(field, content)
        if value != round(value):
            self.refuse(f"the {field} is {content!r}, not a whole number")
        return int(value)


def _signals(fields: _Fields, table: bytes, n_signals: int) -> tuple[EdfSignal, ...]:
    starts = [n_signals * sum(WIDTHS[:field]) for field in range(len(WIDTHS))]

    def cell(field: int, number: int) -> bytes:
        at = starts[field] + number * WIDTHS[field]
        return table[at : at + WIDTHS[field]]

    signals: list[EdfSignal] = []
    offset = 0
    for number in range(n_signals):
        label = _text(cell(0, number))
        n_samples = fields.whole(f"samples per record of '{label}'", cell(8, number))
        if n_samples < 0:
            fields.refuse(f"samples per record of '{label}' is {n_samples}")
        physical, digital = (
            tuple(
                fields.number(f"{name} of '{label}'", cell(field, number))
                for name, field in (("minimum", first), ("maximum", first + 1))
            )
            for first in (3, 5)
        )
        signals.append(
            EdfSignal(
                label,
                _text(cell(2, number)),
                (physical[0], physical[1]),
                (digital[0], digital[1]),
                n_samples,
                offset,
            )
        )
        offset += n_samples
    return tuple(signals)


def _text(content: bytes) -> str:
    return content.decode("latin-1").replace("\0", " ").strip()


def _start(head: bytes) -> datetime | None:
    """Return the start of the recording, taken as UTC; None if it is invalid."""
    clock = re.fullmatch(r"(\d\d)[.:](\d\d)[.:](\d\d)", _text(head[176:184]))
    hour, minute, second = (int(digits) for digits in clock.groups()) if clock else (0, 0, 0)
    day = _day(_text(head[88:168]), _text(head[168:176]))
    try:
        return day and day.replace(hour=hour, minute=minute, second=second, tzinfo=UTC)
    except ValueError:
        return None


def _day(recording: str, short: str) -> datetime | None:
    """Return the day, which EDF+ states with four digits of the year; None if it is invalid."""
    words = recording.split(" ")
    with suppress(ValueError):
        if len(words) == 5:
            return datetime.strptime(words[1], "%d-%b-%Y")
    with suppress(ValueError):
        day, month, year = (int(digits) for digits in short.split("."))
        return datetime(year + (2000 if year < FIRST_YEAR - 1900 else 1900), month, day)
    return None


def _checked_size(header: EdfHeader, path: Path) -> EdfHeader:
    """Return the header with the records that the file holds, and notes on any difference."""
    actual, declared = path.stat().st_size, header.n_records
    record_bytes = header.record_samples * header.width
    expected = header.n_bytes + max(declared, 0) * record_bytes
    if actual < expected:
        raise RecordingError(
            f"the file is truncated: {actual} of {expected} bytes",
            str(path),
            "copy it again from the recorder",
        )
    extra = actual - expected
    if extra:
        refuse_converted(path, extra if declared >= 0 else None)
    present, rest = divmod(actual - header.n_bytes, record_bytes)
    if not present:
        raise RecordingError("no samples", str(path), "copy it again from the recorder")
    notes = []
    if declared >= 0 and present != declared:
        notes.append(
            f"the header counts {declared} records, the file holds {present}: all are read"
        )
    if rest:
        notes.append(f"{counted(rest, 'byte')} after the last complete record left out")
    return header._replace(n_records=present, notes=tuple(notes))

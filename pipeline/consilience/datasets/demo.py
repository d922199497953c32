"""The demonstration corpus, and any folder of the same layout.

::

    recordings.csv     subject, session, modality, path, rate_hz: what was to be recorded
    trials.csv         session, trial, start_s, end_s
    pulses.csv         session, time_s: synchronisation pulses of the session's computer
    annotations.csv    session, annotator, target, start_s, end_s, label, value
    sub-01/ses-1/eeg.edf      16-bit EDF in microvolts, with a trigger channel ``TRIG``
    sub-01/ses-1/voice.flac   mono, a click at every pulse
    sub-01/ses-1/face.mp4     H.264, a flash of light at every pulse
    sub-01/ses-2/…

``session`` is unique over subjects (``sub-01_ses-1``), ``path`` is relative to the folder, and
``rate_hz`` may be empty. All seconds are those of the session's computer. Each recording starts at
zero of its own device's clock, whose offset and drift only the pulses show. Observers (``rater-1``,
…) and the subject (``self``) name a class per trial (``label``). Observers rate valence and arousal
in ``[-1, 1]`` four times a second, the subject once per trial (``value``).

A folder without ``recordings.csv`` is not such a dataset. The other tables may be missing, which is
reported as a problem.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import polars as pl

from consilience.core.errors import ConsilienceError
from consilience.core.file_names import is_side_file
from consilience.datasets.base import Entry, Listing
from consilience.readers.text_table import Problem
from consilience.schema.tables import Annotations, Pulses, Table, Trials, frame_of

MANIFEST = "recordings.csv"
MANIFEST_COLUMNS = ("subject", "session", "modality", "path", "rate_hz")
RECORDED = {".edf", ".bdf", ".wav", ".flac", ".mp3", ".mp4", ".avi", ".mov", ".mkv"}
CORRECT = "correct or remove it"


class Demo:
    """Adapter of the demonstration corpus."""

    name: ClassVar[str] = "demo"
    modalities: ClassVar[tuple[str, ...]] = ("eeg", "audio", "video")
    classes: ClassVar[tuple[str, ...]] = ("happy", "angry", "sad", "calm")
    clock: ClassVar[str] = "anchors"
    preset: ClassVar[dict[str, Any]] = {
        "modalities": {"eeg": {}, "audio": {"relative": True}, "video": {"relative": True}}
    }

    def list(self, root: Path) -> Listing:
        """List the recordings that the manifest names; see the module for the layout.

        Raises
        ------
        ConsilienceError
            If the manifest is missing or unreadable.
        """
        problems: list[Problem] = []
        entries = _entries(_manifest(root), problems)
        problems += _unlisted(root, entries)
        trials = _table(root / "trials.csv", Trials, problems)
        annotations = _table(root / "annotations.csv", Annotations, problems)
        return Listing(
            entries=entries,
            trials=_forward_in_time(trials, "trials.csv", problems),
            pulses=_table(root / "pulses.csv", Pulses, problems),
            annotations=_of_known_classes(
                _forward_in_time(annotations, "annotations.csv", problems), problems
            ),
            problems=problems,
        )


def _manifest(root: Path) -> pl.DataFrame:
    path = root / MANIFEST
    if not path.is_file():
        raise ConsilienceError(
            f"no {MANIFEST}", str(root), "see pipeline/consilience/datasets/demo.py for the layout"
        )
    table = _read_text(path)
    lacking = [name for name in MANIFEST_COLUMNS if name not in table.columns]
    if lacking:
        raise ConsilienceError(f"no column {', '.join(lacking)}", str(path), "add it")
    return table


def _entries(manifest: pl.DataFrame, problems: list[Problem]) -> list[Entry]:
    """Return the entries of the manifest's rows; an invalid row becomes a problem."""
    entries = []
    for line, row in enumerate(manifest.iter_rows(named=True), start=2):
        where = f"{MANIFEST} line {line}"
        empty = [name for name in MANIFEST_COLUMNS[:4] if not row[name]]
        if empty:
            problems.append((where, f"{', '.join(empty)} is empty", CORRECT))
        elif row["modality"] not in Demo.modalities:
            names = ", ".join(Demo.modalities)
            problems.append((where, f"unknown modality '{row['modality']}'", f"known: {names}"))
        else:
            rate_hz = _positive(row["rate_hz"])
            if row["rate_hz"] and rate_hz is None:
                problems.append(
                    (where, f"rate_hz '{row['rate_hz']}' is not a rate", "read from the header")
                )
            entries.append(
                Entry(row["session"], row["subject"], row["modality"], row["path"], None, rate_hz)
            )
    return entries


def _positive(text: str | None) -> float | None:
    try:
        number = float(text or "")
    except ValueError:
        return None
    return number if 0 < number < float("inf") else None


def _unlisted(root: Path, entries: list[Entry]) -> list[Problem]:
    listed = {(root / entry.path).resolve() for entry in entries}
    return [
        (path.relative_to(root).as_posix(), f"not in {MANIFEST}", "list it there or remove it")
        for path in sorted(root.rglob("*"))
        if path.suffix.lower() in RECORDED
        and not is_side_file(path)
        and path.is_file()
        and path.resolve() not in listed
    ]


def _table(path: Path, schema: type[Table], problems: list[Problem]) -> pl.DataFrame:
    """Read a table with the column types of a schema; rows that do not fit become problems."""
    empty = frame_of([], schema)
    if not path.is_file():
        problems.append((path.name, "the table is missing", "read as empty"))
        return empty
    try:
        table = _read_text(path)
    except ConsilienceError as error:
        problems.append((path.name, error.what, "read as empty"))
        return empty
    lacking = [name for name in empty.columns if name not in table.columns]
    if lacking:
        problems.append((path.name, f"no column {', '.join(lacking)}", "read as empty"))
        return empty
    typed = table.select(
        pl.col(name).cast(dtype, strict=False) for name, dtype in empty.schema.items()
    )
    required = [name for name, column in schema.to_schema().columns.items() if not column.nullable]
    valid = ~pl.any_horizontal(
        [pl.col(name).is_null() for name in required]
        + [pl.col(name).is_nan() for name in required if typed.schema[name] == pl.Float64]
    )
    return _filter_rows(typed, valid, path.name, "a cell is empty or not a number", problems)


def _forward_in_time(table: pl.DataFrame, name: str, problems: list[Problem]) -> pl.DataFrame:
    forward = pl.col("end_s") > pl.col("start_s")
    return _filter_rows(table, forward, name, "end_s is not after start_s", problems)


def _of_known_classes(annotations: pl.DataFrame, problems: list[Problem]) -> pl.DataFrame:
    is_emotion = pl.col("target") == "emotion"
    labelled = is_emotion & pl.col("label").is_in(Demo.classes).fill_null(False)
    rated = pl.col("target").is_in(["valence", "arousal"]) & pl.col("value").is_finite().fill_null(
        False
    )
    return _filter_rows(
        annotations,
        labelled | rated,
        "annotations.csv",
        f"unknown target, or value not a number, or label not one of {', '.join(Demo.classes)}",
        problems,
    )


def _filter_rows(
    table: pl.DataFrame, valid: pl.Expr, name: str, what: str, problems: list[Problem]
) -> pl.DataFrame:
    """Return the valid rows; report how many are not valid, and the first of them."""
    invalid = table.filter(~valid)
    if invalid.height:
        first = ", ".join(str(cell) for cell in invalid.row(0))
        problems.append((name, f"{what}: {invalid.height} rows left out, first {first}", CORRECT))
    return table.filter(valid)


def _read_text(path: Path) -> pl.DataFrame:
    try:
        return pl.read_csv(path, infer_schema=False)
    except (pl.exceptions.PolarsError, UnicodeDecodeError) as error:
        reason = " ".join(str(error).split())[:200]
        raise ConsilienceError(f"not a CSV table: {reason}", str(path), "export it again") from None


dataset = Demo()

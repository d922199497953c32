"""The demonstration corpus, and any folder of the same layout.

::

    recordings.csv     subject, session, modality, path, rate_hz: what was to be recorded
    trials.csv         session, trial, start_s, end_s
    pulses.csv         session, time_s: synchronisation pulses the session's computer gave
    annotations.csv    session, annotator, target, start_s, end_s, label, value
    sub-01/ses-1/eeg.edf      16-bit EDF in microvolts, with a trigger channel ``TRIG``
    sub-01/ses-1/voice.flac   mono, a click at every pulse
    sub-01/ses-1/face.mp4     H.264, a flash of light at every pulse
    sub-01/ses-2/…

``session`` is unique over subjects (``sub-01_ses-1``), ``path`` relative to the folder,
``rate_hz`` may be empty. All seconds are those of the session's computer; each recording starts at
zero of its own device's clock, which is off by an offset and a drift that only the pulses tell.
Observers (``rater-1``, …) and the subject (``self``) name a class per trial (``label``); observers
rate valence and arousal in ``[-1, 1]`` four times a second, the subject once per trial (``value``).

Without ``recordings.csv`` the folder is no such dataset. The other tables may be missing, which is
reported.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import polars as pl

from consilience.core.errors import ConsilienceError
from consilience.datasets.base import Entry, Listing
from consilience.schema.tables import Annotations, Pulses, Table, Trials, frame_of

MANIFEST = "recordings.csv"
MANIFEST_COLUMNS = ("subject", "session", "modality", "path", "rate_hz")
RECORDED = {".edf", ".bdf", ".wav", ".flac", ".mp3", ".mp4", ".avi", ".mov", ".mkv"}
CORRECT = "correct or remove it"
Problem = tuple[str, str, str]


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
            If there is no readable manifest.
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
            f"it has no {MANIFEST}", str(root), "see pipeline/datasets/demo.py for the layout"
        )
    table = _read_text(path)
    lacking = [name for name in MANIFEST_COLUMNS if name not in table.columns]
    if lacking:
        raise ConsilienceError(f"it has no column {', '.join(lacking)}", str(path), "add it")
    return table


def _entries(manifest: pl.DataFrame, problems: list[Problem]) -> list[Entry]:
    """Turn the manifest's rows into entries; a row that makes none becomes a problem."""
    entries = []
    for line, row in enumerate(manifest.iter_rows(named=True), start=2):
        where = f"{MANIFEST} line {line}"
        empty = [name for name in MANIFEST_COLUMNS[:4] if not row[name]]
        if empty:
            problems.append((where, f"{', '.join(empty)} is empty", CORRECT))
        elif row["modality"] not in Demo.modalities:
            known = ", ".join(Demo.modalities)
            problems.append((where, f"unknown modality '{row['modality']}'", f"known: {known}"))
        else:
            rate_hz = _positive(row["rate_hz"])
            if row["rate_hz"] and rate_hz is None:
                problems.append(
                    (where, f"rate_hz '{row['rate_hz']}' is no rate", "read from the header")
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
        if path.suffix.lower() in RECORDED and path.is_file() and path.resolve() not in listed
    ]


def _table(path: Path, schema: type[Table], problems: list[Problem]) -> pl.DataFrame:
    """Read a table as its schema wants it; rows that do not fit become problems."""
    empty = frame_of([], schema)
    if not path.is_file():
        problems.append((path.name, "the table is missing", "taken as empty"))
        return empty
    try:
        table = _read_text(path)
    except ConsilienceError as error:
        problems.append((path.name, error.what, "taken as empty"))
        return empty
    lacking = [name for name in empty.columns if name not in table.columns]
    if lacking:
        problems.append((path.name, f"it has no column {', '.join(lacking)}", "taken as empty"))
        return empty
    typed = table.select(
        pl.col(name).cast(dtype, strict=False) for name, dtype in empty.schema.items()
    )
    needed = [name for name, column in schema.to_schema().columns.items() if not column.nullable]
    fits = ~pl.any_horizontal(
        [pl.col(name).is_null() for name in needed]
        + [pl.col(name).is_nan() for name in needed if typed.schema[name] == pl.Float64]
    )
    return _keep(typed, fits, path.name, "a cell is empty or no number", problems)


def _forward_in_time(table: pl.DataFrame, name: str, problems: list[Problem]) -> pl.DataFrame:
    forward = pl.col("end_s") > pl.col("start_s")
    return _keep(table, forward, name, "end_s is not after start_s", problems)


def _of_known_classes(annotations: pl.DataFrame, problems: list[Problem]) -> pl.DataFrame:
    emotion = pl.col("target") == "emotion"
    labelled = emotion & pl.col("label").is_in(Demo.classes).fill_null(False)
    rated = pl.col("target").is_in(["valence", "arousal"]) & pl.col("value").is_finite().fill_null(
        False
    )
    return _keep(
        annotations,
        labelled | rated,
        "annotations.csv",
        f"no known target, or neither a number nor one of {', '.join(Demo.classes)}",
        problems,
    )


def _keep(
    table: pl.DataFrame, good: pl.Expr, name: str, what: str, problems: list[Problem]
) -> pl.DataFrame:
    """Drop the rows that are not good, telling how many, and the first of them."""
    bad = table.filter(~good)
    if bad.height:
        first = ", ".join(str(cell) for cell in bad.row(0))
        problems.append((name, f"{what}: {bad.height} rows left out, first {first}", CORRECT))
    return table.filter(good)


def _read_text(path: Path) -> pl.DataFrame:
    try:
        return pl.read_csv(path, infer_schema=False)
    except (pl.exceptions.PolarsError, UnicodeDecodeError) as error:
        line = " ".join(str(error).split())[:200]
        raise ConsilienceError(f"not a CSV table: {line}", str(path), "export it again") from None


dataset = Demo()

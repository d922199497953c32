"""Any folder with a manifest: the general door for recordings of one's own.

::

    recordings.csv     session, subject, modality, path [, item, rate_hz, clock]
    trials.csv         session, trial, start_s, end_s
    pulses.csv         session, time_s
    annotations.csv    session, annotator, target, start_s, end_s, label, value
    classes.txt        one emotion class a line

Only ``recordings.csv`` is needed, the order of columns is free, and further columns are ignored.
``path`` is relative to the folder. ``item`` names the recording inside a file that holds several.
``rate_hz`` is checked against the file's header. ``clock`` is ``shared`` if the recording's own
time is the session's, ``anchors`` if it is to be aligned. Left empty, a recording is to be aligned
if its session has pulses or its container keeps anchors of its own (XDF); otherwise it is taken to
share the session's clock, which is noted.

``target`` is ``emotion`` (then ``label`` holds the class), ``valence`` or ``arousal`` (then
``value`` holds a number from -1 to 1). The annotator ``self`` is the subject. Without
``classes.txt`` the classes are the labels that occur, in alphabetical order.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import polars as pl

from consilience.core import registry
from consilience.core.errors import ConsilienceError
from consilience.datasets._tables import (
    LINE,
    Problem,
    check_annotations,
    check_trials,
    keep,
    of_schema,
    read_table,
    read_text,
)
from consilience.datasets.base import Entry, Listing
from consilience.schema.tables import CLOCKS, Annotations, Pulses, Trials

MANIFEST = "recordings.csv"
NEEDED = ("session", "subject", "modality", "path")
OPTIONAL = ("item", "rate_hz", "clock")
CLASSES = "classes.txt"
MAX_CLASSES = 50
OWN_ANCHORS = {".xdf", ".xdfz"}  # containers that record their clock offsets
RECORDED = {
    *(".edf", ".bdf", ".vhdr", ".fif", ".set", ".xdf", ".wav", ".flac", ".mp3"),
    *(".mp4", ".avi", ".flv", ".mpg", ".mpeg", ".mov", ".mkv"),
}
LEFT_OUT = "correct the row; it is left out"


class Folder:
    """Adapter of a folder with a manifest; modalities and classes are those found in it."""

    name: ClassVar[str] = "folder"
    clock: ClassVar[str] = "shared"

    def __init__(
        self,
        modalities: tuple[str, ...] = (),
        classes: tuple[str, ...] = (),
        preset: dict[str, Any] | None = None,
        listed: tuple[Path, Listing] | None = None,
    ) -> None:
        self.modalities, self.classes, self.preset = modalities, classes, preset or {}
        self._listed = listed  # large tables are not read twice

    def at(self, root: Path) -> Folder:
        """Return the adapter with the modalities and classes of a folder.

        Raises
        ------
        ConsilienceError
            If there is no readable manifest, no usable row in it, or too many classes.
        """
        listing = Folder(classes=stated_classes(root)).list(root)
        modalities = tuple(dict.fromkeys(entry.modality for entry in listing.entries))
        if not modalities:
            where, what, _ = next(iter(listing.problems), (MANIFEST, "there is no row", ""))
            raise ConsilienceError(f"no usable row: {where}: {what}", MANIFEST, "see the layout")
        classes = classes_in(root, listing.annotations)
        annotated = set(listing.annotations["session"])
        people = {entry.subject for entry in listing.entries if entry.session in annotated}
        preset = _preset(people)
        return Folder(modalities, classes, preset, (root, listing))

    def list(self, root: Path) -> Listing:
        """List the recordings that the manifest names; see the module for the layout.

        Raises
        ------
        ConsilienceError
            If there is no readable manifest.
        """
        if self._listed and self._listed[0] == root:
            return self._listed[1]
        problems: list[Problem] = []
        pulses = _optional(root, "pulses.csv", Pulses, problems)
        finite = pl.col("time_s").is_finite()
        pulses = keep(pulses, finite, "pulses.csv", "time_s is not finite", problems)
        entries = _entries(root, set(pulses["session"]), problems)
        trials = _optional(root, "trials.csv", Trials, problems)
        annotations = _optional(root, "annotations.csv", Annotations, problems)
        return Listing(
            entries=entries,
            trials=of_schema(check_trials(trials, "trials.csv", problems), Trials),
            pulses=of_schema(pulses, Pulses),
            annotations=of_schema(
                check_annotations(annotations, "annotations.csv", self.classes, problems),
                Annotations,
            ),
            problems=problems,
            notes=_assumed_clocks(entries) + _unlisted(root, entries),
        )


def _preset(subjects: set[str]) -> dict[str, Any]:
    """Return splits that so few annotated subjects allow; the defaults want eight."""
    if not 2 <= len(subjects) < 8:
        return {}
    return {"splits": {"folds": len(subjects), "validation_subjects": 1}}


def _unlisted(root: Path, entries: list[Entry]) -> list[tuple[str, str]]:
    listed = {entry.path for entry in entries}
    others = [
        place
        for path in sorted(root.rglob("*"))
        if path.suffix.lower() in RECORDED
        and (place := path.relative_to(root).as_posix()) not in listed
        and path.is_file()
    ]
    if not others:
        return []
    shown = ", ".join(others[:3])
    return [(MANIFEST, f"{len(others)} recordings are not in it and not used, such as {shown}")]


def _assumed_clocks(entries: list[Entry]) -> list[tuple[str, str]]:
    files: dict[str, set[str]] = {}
    for entry in entries:
        if entry.clock is None:
            files.setdefault(entry.session, set()).add(entry.path)
    assumed = sorted(session for session, paths in files.items() if len(paths) > 1)
    if not assumed:
        return []
    what = (
        f"{len(assumed)} sessions, such as {assumed[0]}, state no clock and have no pulses: "
        "their recordings are taken to have been started together"
    )
    return [(MANIFEST, what)]


def _optional(root: Path, name: str, schema: Any, problems: list[Problem]) -> pl.DataFrame:
    """Read a table that need not be there."""
    path = root / name
    told = problems if path.exists() or path.is_symlink() else []
    return read_table(path, root, schema, told)


def _entries(root: Path, with_pulses: set[str], problems: list[Problem]) -> list[Entry]:
    manifest = read_text(root / MANIFEST, root, NEEDED, problems)
    known = set(registry.names("modalities"))
    rows = [
        {name: row.get(name) for name in (LINE, *NEEDED, *OPTIONAL)}
        for row in manifest.iter_rows(named=True)
    ]
    return [
        entry for row in rows if (entry := _entry(row, known, with_pulses, problems)) is not None
    ]


def _entry(
    row: dict[str, Any], known: set[str], with_pulses: set[str], problems: list[Problem]
) -> Entry | None:
    """Turn a row of the manifest into an entry; one that makes none becomes a problem."""
    where = f"{MANIFEST} line {row[LINE]}"
    empty = [name for name in NEEDED if not row[name]]
    if empty:
        problems.append((where, f"{', '.join(empty)} is empty", LEFT_OUT))
        return None
    if row["modality"] not in known:
        remedy = f"known: {', '.join(sorted(known))}; 'consilience new modality' adds one"
        problems.append((where, f"unknown modality '{row['modality'][:50]}'", remedy))
        return None
    rate_hz = _rate_hz(row["rate_hz"])
    if row["rate_hz"] and rate_hz is None:
        problems.append((where, f"rate_hz '{row['rate_hz'][:50]}' is no rate", "taken as unstated"))
    if row["clock"] and row["clock"] not in CLOCKS:
        remedy = f"one of {', '.join(CLOCKS)}, or empty; the row is left out"
        problems.append((where, f"unknown clock '{row['clock'][:50]}'", remedy))
        return None
    apart = row["session"] in with_pulses or Path(row["path"]).suffix.lower() in OWN_ANCHORS
    return Entry(
        row["session"],
        row["subject"],
        row["modality"],
        row["path"],
        row["item"],
        rate_hz,
        row["clock"] or ("anchors" if apart else None),
    )


def _rate_hz(text: str | None) -> float | None:
    try:
        number = float(text or "")
    except ValueError:
        return None
    return number if 0 < number < float("inf") else None


def stated_classes(root: Path) -> tuple[str, ...]:
    """Return the classes that ``classes.txt`` names, or none if there is no such file."""
    path = root / CLASSES
    if not path.is_file():
        return ()
    try:
        names = [line.strip() for line in path.read_text("utf-8-sig").splitlines()]
    except (OSError, UnicodeError):
        raise ConsilienceError("not UTF-8 text", CLASSES, "one emotion class a line") from None
    return tuple(dict.fromkeys(name for name in names if name))


def classes_in(root: Path, annotations: pl.DataFrame) -> tuple[str, ...]:
    """Return the classes stated, or else those that occur."""
    occurring = annotations.filter(pl.col("target") == "emotion")["label"].unique().sort()
    classes = stated_classes(root) or tuple(occurring.to_list())
    if len(classes) > MAX_CLASSES:
        raise ConsilienceError(
            f"{len(classes)} classes, such as {', '.join(classes[:3])}",
            str(root),
            f"name at most {MAX_CLASSES} in {CLASSES}, one a line; other labels are left out",
        )
    return classes


dataset = Folder()

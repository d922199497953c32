"""Any folder with a manifest of its recordings.

::

    recordings.csv     session, subject, modality, path [, item, rate_hz, clock,
                       sex, age, site, device]
    trials.csv         session, trial, start_s, end_s
    pulses.csv         session, time_s
    annotations.csv    session, annotator, target, start_s, end_s, label, value
    classes.txt        one emotion class per line
    matlab.json        layout of the MATLAB files: the fields of `readers.matlab.MatlabLayout`

Only ``recordings.csv`` is required. Columns may have any order, and other columns are ignored.
``sex``, ``age`` (years), ``site`` and ``device`` describe the subject, for the report alone.
``path`` is relative to the folder; it may differ from the name on the disk in the form of its
accents (composed or decomposed), and in the separator of folders. ``item`` selects a recording of a
file that holds several; in a MATLAB file it is the index of the trial, from 0; in a text table it
is the column, or the names of anonymous channels in their order. ``rate_hz`` is checked against the
file's header, and is the rate of a text table that states none. ``clock`` is ``shared`` if the
recording's times are the session's, and ``anchors`` if it is to be aligned. If empty, a recording
is aligned if its session has pulses or its container holds anchors (XDF); otherwise its times are
assumed to be the session's, which is noted.

``target`` is ``emotion`` (``label`` holds the class), ``valence`` or ``arousal`` (``value`` holds a
number from -1 to 1). The annotator ``self`` is the subject. Without ``classes.txt`` the classes are
the labels in the table, in alphabetical order.
"""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import polars as pl
from pydantic import ValidationError

from consilience.core import registry
from consilience.core.errors import ConsilienceError
from consilience.core.file_names import NamesOnDisk, is_side_file
from consilience.core.wording import counted
from consilience.datasets.base import Entry, Listing
from consilience.datasets.harmonised import harmonised
from consilience.datasets.tables import check_annotations, check_trials, read_table, validated
from consilience.modalities.params.eeg import EegParams
from consilience.modalities.params.single_channel import SingleChannelParams
from consilience.readers.matlab import MatlabLayout
from consilience.readers.participants import people_of
from consilience.readers.text_table import LINE, Problem, filter_rows, read_small_text, read_text
from consilience.schema.constants import AFFECT, AFFECT_CLASSES, CLOCKS, SELF_REPORT
from consilience.schema.tables import Annotations, Pulses, Table, Trials

MANIFEST = "recordings.csv"
REQUIRED = ("session", "subject", "modality", "path")
OPTIONAL = ("item", "rate_hz", "clock")
CLASSES = "classes.txt"
MATLAB_LAYOUT = "matlab.json"
MAX_CLASSES = 50
WITH_ANCHORS = {".xdf", ".xdfz"}  # containers that hold clock offsets
RECORDED = {
    *(".edf", ".bdf", ".vhdr", ".fif", ".set", ".xdf", ".xdfz", ".mat", ".wav", ".flac", ".mp3"),
    *(".aiff", ".aif", ".ogg", ".oga", ".opus", ".m4a", ".aac"),
    *(".mp4", ".avi", ".flv", ".mpg", ".mpeg", ".mov", ".mkv", ".webm"),
}
TEXT_TABLES = {".csv", ".tsv", ".txt"}  # of which a manifest may state the rate
TRIAL = re.compile(r"[0-9]{1,9}")
LEFT_OUT = "correct the row; it is left out"


class SelfDescribed:
    """Adapter whose modalities, classes and preset are those that a folder states."""

    clock: ClassVar[str] = "shared"

    def __init__(
        self,
        modalities: tuple[str, ...] = (),
        classes: tuple[str, ...] = (),
        preset: dict[str, Any] | None = None,
        listed: tuple[Path, Listing] | None = None,
    ) -> None:
        self.modalities, self.classes, self.preset = modalities, classes, preset or {}
        self._listed = listed  # so that large tables are read once


class Folder(SelfDescribed):
    """Adapter of a folder with a manifest, which states the modalities and classes."""

    name: ClassVar[str] = "folder"

    def at(self, root: Path) -> Folder:
        """Return the adapter with the modalities and classes of a folder.

        Raises
        ------
        ConsilienceError
            If the manifest is missing, unreadable or without a usable row, or has too many classes.
        """
        listing = Folder(classes=declared_classes(root)).list(root)
        modalities = tuple(dict.fromkeys(entry.modality for entry in listing.entries))
        if not modalities:
            where, what, _ = next(iter(listing.problems), (MANIFEST, "no row", ""))
            remedy = "see docs/datasets.md for the layout"
            raise ConsilienceError(f"no usable row: {where}: {what}", MANIFEST, remedy)
        classes = classes_of(root, listing.annotations)
        return Folder(modalities, classes, preset_of(listing), (root, listing))

    def list(self, root: Path) -> Listing:
        """List the recordings that the manifest names; see the module for the layout.

        Raises
        ------
        ConsilienceError
            If the manifest is missing or unreadable.
        """
        if self._listed and self._listed[0] == root:
            return self._listed[1]
        listing = read_tables(root, self.classes, optional=True)
        return replace(listing, notes=_assumed_clocks(listing.entries) + listing.notes)


def read_tables(root: Path, classes: tuple[str, ...], *, optional: bool) -> Listing:
    """Read the manifest and the tables beside it.

    Parameters
    ----------
    root : Path
    classes : tuple of str
        Permitted classes, in any spelling; empty permits any.
    optional : bool
        Whether a missing table is not a problem; the manifest is always required.

    Raises
    ------
    ConsilienceError
        If the manifest is missing or unreadable.
    """
    problems: list[Problem] = []

    def table(name: str, schema: type[Table]) -> pl.DataFrame:
        path = root / name
        is_absent = not path.exists() and not path.is_symlink()
        return read_table(path, root, schema, [] if optional and is_absent else problems)

    pulses = table("pulses.csv", Pulses)
    manifest = read_text(root / MANIFEST, root, REQUIRED, problems)
    finite = pl.col("time_s").is_finite()
    pulses = filter_rows(pulses, finite, "pulses.csv", "time_s is not finite", problems)
    entries = _entries(manifest, root, set(pulses["session"]), problems)
    trials = table("trials.csv", Trials)
    annotations = table("annotations.csv", Annotations)
    valid = check_annotations(annotations, "annotations.csv", classes, problems)
    return Listing(
        entries=entries,
        trials=validated(check_trials(trials, "trials.csv", problems), Trials),
        pulses=validated(pulses, Pulses),
        annotations=harmonised(validated(valid, Annotations), classes, "annotations.csv", problems),
        problems=problems,
        notes=_unlisted(root, entries),
        people=people_of(manifest, MANIFEST, problems),
    )


def preset_of(listing: Listing) -> dict[str, Any]:
    """Return the parameters for few annotated subjects, and for subjects' own ratings alone.

    The default folds need eight subjects.
    """
    annotated = set(listing.annotations["session"])
    n_subjects = len({entry.subject for entry in listing.entries if entry.session in annotated})
    preset: dict[str, Any] = {}
    if 2 <= n_subjects < 8:
        preset["splits"] = {"folds": n_subjects, "validation_subjects": 1}
    annotators = listing.annotations["annotator"]
    if len(annotators) and annotators.str.starts_with(SELF_REPORT).all():
        preset["annotation"] = {"source": "self"}
    return preset


def _unlisted(root: Path, entries: list[Entry]) -> list[tuple[str, str]]:
    listed = {entry.path for entry in entries}
    others = [
        relative
        for path in sorted(root.rglob("*"))
        if path.suffix.lower() in RECORDED
        and not is_side_file(path)
        and (relative := path.relative_to(root).as_posix()) not in listed
        and path.is_file()
    ]
    if not others:
        return []
    examples = ", ".join(others[:3])
    unlisted = counted(len(others), "recording is", "recordings are")
    return [(MANIFEST, f"{unlisted} not listed and not used, such as {examples}")]


def _assumed_clocks(entries: list[Entry]) -> list[tuple[str, str]]:
    files: dict[str, set[str]] = {}
    for entry in entries:
        if entry.clock is None:
            files.setdefault(entry.session, set()).add(entry.path)
    assumed = sorted(session for session, paths in files.items() if len(paths) > 1)
    if not assumed:
        return []
    what = (
        f"no clock and no pulses stated by {counted(len(assumed), 'session')}, such as "
        f"{assumed[0]}: "
        "their recordings are assumed to start together"
    )
    return [(MANIFEST, what)]


def _entries(
    manifest: pl.DataFrame, root: Path, with_pulses: set[str], problems: list[Problem]
) -> list[Entry]:
    modalities = set(registry.names("modalities"))
    layout = _matlab_layout(root, problems)
    rows = [
        {name: row.get(name) for name in (LINE, *REQUIRED, *OPTIONAL)}
        for row in manifest.iter_rows(named=True)
    ]
    names = NamesOnDisk(root)
    for row in rows:
        row["path"] = row["path"] and names.spelling(row["path"])
    entries = (_entry(row, modalities, layout, with_pulses, problems) for row in rows)
    return [entry for entry in entries if entry is not None]


def _matlab_layout(root: Path, problems: list[Problem]) -> MatlabLayout | None:
    """Return the declared layout of the MATLAB files, or None without a valid one."""
    path = root / MATLAB_LAYOUT
    if not path.is_file():
        return None
    try:
        return MatlabLayout.model_validate_json(read_small_text(path, root))
    except (ConsilienceError, ValidationError) as error:
        what = " ".join(str(error).split())[:150]
        remedy = "see docs/datasets.md for its fields"
        problems.append((MATLAB_LAYOUT, f"not a MATLAB layout: {what}", remedy))
        return None


def _entry(
    row: dict[str, Any],
    modalities: set[str],
    layout: MatlabLayout | None,
    with_pulses: set[str],
    problems: list[Problem],
) -> Entry | None:
    """Return the entry of a row of the manifest; an invalid row becomes a problem."""
    where = f"{MANIFEST} line {row[LINE]}"
    empty = [name for name in REQUIRED if not row[name]]
    if empty:
        problems.append((where, f"{', '.join(empty)} is empty", LEFT_OUT))
        return None
    if row["modality"] not in modalities:
        remedy = f"known: {', '.join(sorted(modalities))}; 'consilience new modality' adds one"
        problems.append((where, f"unknown modality '{row['modality'][:50]}'", remedy))
        return None
    rate_hz = _rate_hz(row["rate_hz"])
    if row["rate_hz"] and rate_hz is None:
        what = f"rate_hz '{row['rate_hz'][:50]}' is not a rate"
        problems.append((where, what, "correct it; the rate is not checked"))
    if row["clock"] and row["clock"] not in CLOCKS:
        remedy = f"one of {', '.join(CLOCKS)}, or empty; the row is left out"
        problems.append((where, f"unknown clock '{row['clock'][:50]}'", remedy))
        return None
    suffix = Path(row["path"]).suffix.lower()
    aligned = row["session"] in with_pulses or suffix in WITH_ANCHORS
    return Entry(
        row["session"],
        row["subject"],
        row["modality"],
        row["path"],
        _item(row, suffix, layout, rate_hz),
        rate_hz,
        row["clock"] or ("anchors" if aligned else None),
    )


def _item(
    row: dict[str, Any], suffix: str, layout: MatlabLayout | None, rate_hz: float | None
) -> str | None:
    """Return the item of a recording, with what its file does not state."""
    item: str | None = row["item"]
    if suffix == ".mat":
        return _matlab_item(item, layout)
    of_signals = issubclass(
        registry.params("modalities", row["modality"]), SingleChannelParams | EegParams
    )
    if rate_hz and of_signals and suffix in TEXT_TABLES:
        return f"{item or ''}@{rate_hz:g}"
    return item


def _matlab_item(item: str | None, layout: MatlabLayout | None) -> str | None:
    """Return the item of a MATLAB file; an invalid one is returned as it is, and then refused."""
    if layout is None or (item and not TRIAL.fullmatch(item)):
        return item
    return layout.item(int(item) if item else None)


def _rate_hz(text: str | None) -> float | None:
    try:
        number = float(text or "")
    except ValueError:
        return None
    return number if 0 < number < float("inf") else None


def declared_classes(root: Path) -> tuple[str, ...]:
    """Return the classes in ``classes.txt``; empty without this file."""
    path = root / CLASSES
    if not path.is_file():
        return ()
    names = [line.strip() for line in read_small_text(path, root).splitlines()]
    return tuple(dict.fromkeys(name for name in names if name))


def classes_of(root: Path, annotations: pl.DataFrame) -> tuple[str, ...]:
    """Return the declared classes, else the labels in a table `Annotations`, else `AFFECT_CLASSES`.

    A dataset with ratings alone thus has the classes low and high of what is rated.

    Raises
    ------
    ConsilienceError
        If there are more than `MAX_CLASSES`, or ``classes.txt`` is not text.
    """
    occurring = annotations.filter(pl.col("target") == "emotion")["label"].unique().sort()
    rated = tuple(name for name in AFFECT if name in set(annotations["target"]))
    classes = declared_classes(root) or tuple(occurring.to_list()) or AFFECT_CLASSES.get(rated, ())
    if len(classes) > MAX_CLASSES:
        raise ConsilienceError(
            f"{len(classes)} classes, such as {', '.join(classes[:3])}",
            str(root),
            f"name at most {MAX_CLASSES} in {CLASSES}, one per line; other labels are left out",
        )
    return classes


dataset = Folder()

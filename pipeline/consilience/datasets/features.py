"""A folder of feature tables: one table of rows, and one table of numbers for each sensor.

::

    rows.csv    a key, subject, and label, valence or arousal
                [, session] [, time_s or order] [, trial or task] [, sex, age, site, device]
    ecg.csv     the same key, and numbers: the sensor ecg_features
    face.csv    …

Tables are CSV (separated by commas, semicolons or tabs), TSV or Parquet, directly in the folder.
The table of rows may have any name: it is the one with the columns ``subject`` and ``label``,
``valence`` or ``arousal``. Its first column is the key. Every other table with this column is a
sensor, called after the table; the parameter ``tables`` of a sensor joins several.

A row is a window. The rows of a subject, or of each of its sessions, are one recording in the order
of ``time_s``, ``order`` or the table. Sessions of a subject follow each other in the table's order.
``label`` is a class, ``valence`` and ``arousal`` are numbers from -1 to 1; a row may lack any of
them.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import polars as pl

from consilience.core.errors import ConsilienceError
from consilience.datasets.base import Entry, Listing
from consilience.datasets.folder import (
    SelfDescribed,
    classes_of,
    declared_classes,
    preset_of,
)
from consilience.datasets.harmonised import harmonised
from consilience.datasets.tables import check_annotations, validated
from consilience.modalities.feature_table import sensor_of
from consilience.modalities.params.feature_table import CORRUPTIONS
from consilience.readers.feature_table import (
    LABELS,
    PLACE,
    POSITIONS,
    RowTable,
    find_rows,
    header_of,
    read_rows,
    read_sensor,
    tables_of,
)
from consilience.readers.text_table import LINE, Problem
from consilience.schema.tables import Annotations, Pulses, Trials, frame_of

ANNOTATOR = "table"
COMPUTED = ("noise", "dropout", "stuck")  # kinds of corruption in the preset
# Chosen on validation subjects of StressID and WESAD: heavy tails are cut, rare classes repeated.
PRESET = {
    "epochs": 60,
    "head": "linear",
    "scale": "robust",
    "clip": 2.0,
    "balance_classes": True,
}
MAX_FOLDS = 6
SUBJECTS_PER_VALIDATION = 8


class Features(SelfDescribed):
    """Adapter of a folder of feature tables, which state the sensors and classes."""

    name: ClassVar[str] = "features"

    def at(self, root: Path) -> Features:
        """Return the adapter with the sensors and classes of a folder.

        Raises
        ------
        ConsilienceError
            As `list`, or if the labels are too many classes.
        """
        listing = Features(classes=declared_classes(root)).list(root)
        paths = {entry.modality: entry.path for entry in listing.entries}
        classes = classes_of(root, listing.annotations)
        preset = _preset(listing, paths, read_rows(find_rows(root)[0]))
        return Features(tuple(paths), classes, preset, (root, listing))

    def list(self, root: Path) -> Listing:
        """List the sessions of every sensor; see the module for the layout.

        Raises
        ------
        ConsilienceError
            If the folder lacks a table of rows, a usable row or a sensor.
        """
        if self._listed and self._listed[0] == root:
            return self._listed[1]
        path, problems = find_rows(root)
        rows = read_rows(path)
        problems += rows.problems
        if rows.rows.is_empty():
            where, what, _ = next(iter(problems), (path.name, "it is empty", ""))
            raise ConsilienceError(f"no usable row: {where}: {what}", path.name, "correct the rows")
        notes: list[tuple[str, str]] = []
        if not rows.ordered:
            what = (
                f"states no order of the rows ({' or '.join(POSITIONS)}): that of the table counts"
            )
            notes.append((path.name, what))
        sensors = _sensors(root, rows, problems, notes)
        if not sensors:
            raise ConsilienceError(
                "no usable table of numbers beside it",
                path.name,
                f"put tables with its key '{rows.key}' and columns of numbers into {root}",
            )
        subjects = rows.rows.select("session", "subject").unique(maintain_order=True).rows()
        entries = [
            Entry(session, subject, name, table.name, f"{path.name}/{session}")
            for name, table in sensors.items()
            for session, subject in subjects
        ]
        start_s = pl.col(PLACE).cast(pl.Float64)
        trials = rows.rows.select("session", "trial", start_s=start_s, end_s=start_s + 1)
        annotations = _annotations(rows, self.classes, problems)
        pulses = frame_of([], Pulses)
        trials = Trials.validate(trials)
        return Listing(entries, trials, pulses, annotations, problems, notes, rows.people)


def _sensors(
    root: Path, rows: RowTable, problems: list[Problem], notes: list[tuple[str, str]]
) -> dict[str, Path]:
    """Return the tables of numbers by the name of the sensor."""
    sensors: dict[str, Path] = {}
    for path in tables_of(root):
        name = sensor_of(path)
        try:
            if path.name == rows.path.name or (header := header_of(path)) is None:
                continue
            if rows.key not in header:
                notes.append((path.name, f"not used: no column '{rows.key}'"))
                continue
            table = read_sensor(path, rows)
        except ConsilienceError as error:
            problems.append((error.where, error.what, f"{error.remedy}; the table is left out"))
            continue
        if name in sensors:
            what = f"a second table of '{name}', beside {sensors[name].name}"
            problems.append((path.name, what, "rename it; it is left out"))
            continue
        problems += table.problems
        notes += table.notes
        sensors[name] = path
    return sensors


def _annotations(rows: RowTable, classes: tuple[str, ...], problems: list[Problem]) -> pl.DataFrame:
    """Return the labels and ratings of the rows as the table `Annotations`."""
    start_s = pl.col(PLACE).cast(pl.Float64)
    tables = []
    for name in LABELS:
        rated = rows.rows.filter(pl.col(name).is_not_null())
        is_label = name == "label"
        value = pl.lit(None) if is_label else pl.col(name)
        tables.append(
            rated.select(
                LINE,
                "session",
                annotator=pl.lit(ANNOTATOR),
                target=pl.lit("emotion" if is_label else name),
                start_s=start_s,
                end_s=start_s + 1,
                label=pl.col(name) if is_label else pl.lit(None, pl.String),
                value=value.cast(pl.Float64, strict=False),
            )
        )
    checked = check_annotations(pl.concat(tables), rows.path.name, classes, problems)
    checked = validated(checked.sort("session", "start_s", maintain_order=True), Annotations)
    return harmonised(checked, classes, rows.path.name, problems)


def _preset(listing: Listing, paths: dict[str, str], rows: RowTable) -> dict[str, Any]:
    """Return parameters for any number of subjects and sensors."""
    # A running baseline hides less of the first rows than of later ones. In a table sorted by task
    # this shows the task: of StressID, .73 in the table's order and .65 in random orders.
    baseline = "running" if rows.ordered else "person"
    corruptions = {kind: CORRUPTIONS[kind].severities for kind in COMPUTED}
    n_subjects = len({entry.subject for entry in listing.entries})
    splits = {
        "folds": MAX_FOLDS,
        "validation_subjects": max(2, n_subjects // SUBJECTS_PER_VALIDATION),
    }
    return {
        "modalities": {
            name: {"tables": (path,), "corruptions": corruptions} for name, path in paths.items()
        },
        # A row is a second of nominal time: one window with one frame.
        "windows": {"length_s": None, "max_length_s": 1.0},
        "splits": splits,
        "training": {**PRESET, "baseline": baseline},
        **preset_of(listing),
    }


dataset = Features()

"""Catalog of a dataset: its listed recordings, checked file by file, and its tables."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import polars as pl

from consilience.core import registry
from consilience.core.errors import ConsilienceError, one_line
from consilience.core.files import atomic_folder, json_ready, text_hash, write_json
from consilience.core.fingerprint import fingerprint
from consilience.core.isolation import isolated_map
from consilience.core.special_files import file_states
from consilience.core.wording import MAX_LINES, counted, first_lines
from consilience.datasets.base import Dataset, Entry, list_isolated, source_modality
from consilience.ingest import entries as entries_module
from consilience.ingest.entries import check_entry, failed_entry
from consilience.ingest.kept_rows import KeptRows
from consilience.ingest.usable import check_usable
from consilience.modalities.base import Modality, ModalityParams
from consilience.modalities.settings import modality_params
from consilience.project import Project
from consilience.readers.participants import for_subjects, read_description, read_participants
from consilience.schema.params.dataset import DatasetParams
from consilience.schema.tables import (
    Annotations,
    Problems,
    Pulses,
    Recordings,
    Subjects,
    Trials,
    frame_of,
    write_table,
)

LIMIT_S = 600.0  # to open a file and hash its bytes
STATED = ("mains_hz",)  # fields of a preset that are properties of the recordings, not choices
TOLERANCE_S = 1.0  # headers round durations, and a trial may end with the last sample


@dataclass(frozen=True)
class Catalog:
    """Checked tables of a dataset.

    Attributes
    ----------
    dataset : str
    classes : tuple of str
    recordings : dict of str to polars.DataFrame
        Table `Recordings` by modality.
    trials, pulses, annotations, problems : polars.DataFrame
    notes : list of tuple of (str, str)
        Place and description of what is unusual but not a problem.
    subjects : polars.DataFrame
        Table `Subjects`, of everyone with a recording.
    description : dict of str to str
        What the dataset states about itself; see `readers.participants.read_description`.
    """

    dataset: str
    classes: tuple[str, ...]
    recordings: dict[str, pl.DataFrame]
    trials: pl.DataFrame
    pulses: pl.DataFrame
    annotations: pl.DataFrame
    problems: pl.DataFrame
    notes: list[tuple[str, str]]
    subjects: pl.DataFrame
    description: dict[str, str]

    def summary(self) -> dict[str, Any]:
        """Count subjects, sessions, hours, recordings by status, and problems."""
        everything = pl.concat(self.recordings.values())
        usable = everything.filter(pl.col("status") == "ok")
        return {
            "subjects": usable["subject"].n_unique(),
            "sessions": usable["session"].n_unique(),
            "problems": self.problems.height,
            "modalities": {
                modality: {
                    "recordings": table.height,
                    **{
                        status: table.filter(pl.col("status") == status).height
                        for status in ("ok", "quarantined", "missing")
                    },
                    "hours": round(
                        float(table.filter(pl.col("status") == "ok")["duration_s"].sum()) / 3600, 4
                    ),
                }
                for modality, table in self.recordings.items()
            },
        }


def build_catalog(
    dataset: Dataset,
    root: Path,
    modalities: Iterable[str] | None = None,
    settings: Mapping[str, ModalityParams] | None = None,
    kept: Callable[[str], KeptRows] | None = None,
) -> Catalog:
    """List the recordings of a dataset and check each one's file.

    Parameters
    ----------
    dataset : Dataset
        The adapter of the dataset's layout.
    root : Path
        The dataset's folder.
    modalities : iterable of str or None
        Modalities to catalog, in order; None for all that are listed.
    settings : mapping of str to ModalityParams or None
        Parameters by modality, where they differ from the defaults.
    kept : callable or None
        Returns the rows of a modality that an earlier run has kept.

    Returns
    -------
    Catalog
        A bad recording has the status ``quarantined`` or ``missing``, and a reason.

    Raises
    ------
    ConsilienceError
        If the folder does not exist, or has no recording of a modality.
    """
    if not root.is_dir():
        raise ConsilienceError(
            f"the root of dataset '{dataset.name}' is not a directory",
            str(root),
            "set dataset.root",
        )
    dataset, listing = list_isolated(dataset, root)
    problems = list(listing.problems)
    recordings: dict[str, pl.DataFrame] = {}
    if modalities is None:
        listed = {entry.modality for entry in listing.entries}
        modalities = [name for name in dataset.modalities if name in listed]
    for name in modalities:
        modality = configured(name, settings)
        rows = _check_modality(
            dataset, root, modality, listing.entries, kept(name) if kept else None
        )
        recordings[name] = frame_of(rows, Recordings)
        problems += [
            (str(row["path"]), str(row["reason"]), f"left out: {row['status']}")
            for row in rows
            if row["status"] != "ok"
        ]
    problems += _other_than_stated(dataset, settings or {})
    sessions = {entry.session for entry in listing.entries}
    trials, pulses, annotations = (
        _of_sessions(table, schema.__name__.lower(), sessions, problems)
        for table, schema in (
            (listing.trials, Trials),
            (listing.pulses, Pulses),
            (listing.annotations, Annotations),
        )
    )
    ends_s = _session_ends(recordings.values())
    for name, table in (("trials", trials), ("pulses", pulses), ("annotations", annotations)):
        problems += _outside(table, name, ends_s)
    notes = [(one_line(where), one_line(what)) for where, what in listing.notes]
    participants = read_participants(root, problems)
    description = read_description(root, problems)
    everyone = {str(name) for table in recordings.values() for name in table["subject"]}
    return Catalog(
        dataset.name,
        dataset.classes,
        recordings,
        trials,
        pulses,
        annotations,
        _problem_table(problems),
        notes,
        for_subjects(everyone, participants, listing.people),
        description,
    )


def configured(name: str, settings: Mapping[str, ModalityParams] | None) -> Modality:
    """Return a modality that follows the parameters in `settings`, if they contain it."""
    modality: Modality = registry.get("modalities", name)
    return modality.configured(settings[name]) if settings and name in settings else modality


def _check_modality(
    dataset: Dataset,
    root: Path,
    modality: Modality,
    entries: list[Entry],
    kept: KeptRows | None,
) -> list[dict[str, object]]:
    """Return the catalog rows of one modality, in order of session and path."""
    name = modality.name
    source = source_modality(dataset, name)
    listed = sorted(
        (replace(entry, modality=name) for entry in entries if entry.modality == source),
        key=lambda entry: (entry.session, entry.path, entry.item or ""),
    )
    if not listed:
        raise ConsilienceError(
            f"dataset '{dataset.name}' has no recording of modality '{name}'",
            str(root),
            f"it offers: {', '.join(dataset.modalities)}",
        )
    rows = [kept.row(entry) if kept else None for entry in listed]
    new = [number for number, row in enumerate(rows) if row is None]
    check = partial(check_entry, root=root, modality=modality, clock=dataset.clock)
    failed = partial(failed_entry, clock=dataset.clock)
    # In worker processes, because a malformed file can crash or block its reader.
    unchecked = [listed[number] for number in new]
    for number, checked in zip(
        new, isolated_map(check, unchecked, f"catalog {name}", LIMIT_S, failed), strict=True
    ):
        rows[number] = json_ready(checked.row)  # as a kept row is
        if kept:
            kept.keep(listed[number], checked)
    if kept:
        kept.write()
    return _mark_duplicates([row for row in rows if row is not None])


def _problem_table(problems: list[tuple[str, str, str]]) -> pl.DataFrame:
    return frame_of(
        [
            {"where": one_line(where), "what": one_line(what), "remedy": one_line(remedy)}
            for where, what, remedy in problems
        ],
        Problems,
    )


def _other_than_stated(
    dataset: Dataset, settings: Mapping[str, ModalityParams]
) -> list[tuple[str, str, str]]:
    """Report the parameters that differ from a frequency that the recordings state."""
    preset = dataset.preset.get("modalities", {})
    return [
        (
            f"modalities.{name}.{field}",
            f"{getattr(params, field):g}, but the recordings state {preset[name][field]:g}",
            f"set it to {preset[name][field]:g}",
        )
        for name, params in settings.items()
        for field in STATED
        if field in preset.get(name, {})
        and getattr(params, field, preset[name][field]) != preset[name][field]
    ]


def _mark_duplicates(rows: list[dict[str, object]]) -> list[dict[str, object]]:
    """Quarantine all but the first usable recording of a session, and of the same bytes.

    Names of recordings become unique by a suffix, so that every row has its own.
    """
    by_name: dict[object, dict[str, object]] = {}
    by_bytes: dict[object, dict[str, object]] = {}
    ids: dict[object, int] = {}
    marked = []
    for row in rows:
        original = by_name.get(row["recording"]) or by_bytes.get(row.get("content_hash"))
        if row["status"] == "ok" and original:
            row = {**row, "status": "quarantined", "reason": _duplicate(row, original)}
        elif row["status"] == "ok":
            by_name[row["recording"]] = by_bytes[row["content_hash"]] = row
        name = row["recording"]
        ids[name] = ids.get(name, 0) + 1
        suffix = f"~{ids[name]}" if ids[name] > 1 else ""
        marked.append({**row, "recording": f"{name}{suffix}"})
    return marked


def _duplicate(row: dict[str, object], original: dict[str, object]) -> str:
    """Return the reason to leave a recording out, which names the one that is used."""
    if row["path"] != original["path"]:
        return f"duplicate of {original['path']}"
    return f"listed twice: it is used in session '{original['session']}'"


def _of_sessions(
    table: pl.DataFrame, name: str, sessions: set[str], problems: list[tuple[str, str, str]]
) -> pl.DataFrame:
    """Drop the rows of sessions without a recording, and report their number as a problem."""
    recorded = pl.col("session").is_in(sorted(sessions))
    for session, count in table.filter(~recorded).group_by("session").len().sort("session").rows():
        problems.append(
            (
                name,
                f"{counted(count, 'row')} of session '{session}', which has no recording",
                "left out",
            )
        )
    return table.filter(recorded)


def _session_ends(tables: Iterable[pl.DataFrame]) -> dict[str, float]:
    """Return when the longest recording of a session ends, if its clock is the session's."""
    timed = pl.concat(
        table.filter(pl.col("status") == "ok").select("session", "clock", "duration_s")
        for table in tables
    )
    ends = timed.group_by("session").agg(
        pl.max("duration_s"), pl.col("clock").eq("shared").all().alias("shared")
    )
    # The start of a recording that is to be aligned is unknown.
    shared = ends.filter("shared").drop_nulls("duration_s")
    return dict(shared.select("session", "duration_s").iter_rows())


def _outside(
    table: pl.DataFrame, name: str, ends_s: dict[str, float]
) -> list[tuple[str, str, str]]:
    """Report the rows of sessions, if any, that lie before or after all of their recordings."""
    end_s = pl.col("session").replace_strict(ends_s, default=None, return_dtype=pl.Float64)
    start, end = ("time_s", "time_s") if name == "pulses" else ("start_s", "end_s")
    before = pl.col(start) < -TOLERANCE_S
    # An infinite end means the whole recording.
    after = (pl.col(end) > end_s + TOLERANCE_S) & pl.col(end).is_finite()
    outside = table.with_columns(recorded_s=end_s).drop_nulls("recorded_s").filter(before | after)
    by_session = outside.group_by("session", maintain_order=True).agg(
        pl.len(), pl.min(start).alias("first"), pl.max(end).alias("last"), pl.first("recorded_s")
    )
    return [
        (
            name,
            f"{counted(count, 'row')} of session '{session}' from {first:g} to {last:g} "
            "s partly or "
            f"wholly outside its recording of {recorded_s:g} s",
            "times count from the start of the recording, in seconds; what is outside is unused",
        )
        for session, count, first, last, recorded_s in by_session.rows()
    ]


def _check_unchanged(root: Path, before: dict[Path, tuple[int, int]]) -> None:
    """Raise if files changed meanwhile: DVC would take the catalog for that of the new files."""
    changed = sorted(
        path.relative_to(root) for path, _ in before.items() ^ file_states(root).items()
    )
    if changed:
        raise ConsilienceError(
            f"{counted(len(set(changed)), 'file')} changed during the catalog, such as "
            f"'{changed[0]}'",
            str(root),
            "when the recordings are complete, run 'dvc repro'",
        )


def write_catalog(project: Project, emit: Callable[[str], None] = print) -> None:
    """Catalog the dataset that a project's parameters name, and write ``data/catalog``.

    Parameters
    ----------
    project : Project
    emit : callable
        Receives the lines of the summary, and every problem.

    Raises
    ------
    ConsilienceError
        As `build_catalog`, if no recording of a modality is usable, and at any problem if
        ``dataset.on_problem`` is ``fail``.
    """
    settings = project.section(DatasetParams)
    dataset = registry.get("datasets", settings.name)
    modalities = modality_params(project)
    root = project.dataset_root
    before = file_states(root)

    def kept(name: str) -> KeptRows:
        code = fingerprint([entries_module.__name__], {"modalities": [name], "encoders": []})
        key = text_hash(modalities[name].model_dump_json(), dataset.clock, code.digest)
        return KeptRows(project.kept_rows(name), key, root, before)

    catalog = build_catalog(dataset, root, modalities, modalities, kept)
    _check_unchanged(project.dataset_root, before)
    for modality, counts in catalog.summary()["modalities"].items():
        emit(
            f"catalog {modality}: {counts['ok']} usable, {counts['quarantined']} quarantined, "
            f"{counts['missing']} missing, {counts['hours']:.2f} h"
        )
    is_failing = settings.on_problem == "fail"
    lines = [
        f"  {where}: {what}" + (f" ({remedy})" if remedy else "")
        for where, what, remedy in catalog.problems.rows()
    ]
    path = (project.catalog / "problems.parquet").relative_to(project.root)
    # A run that fails writes neither the table nor the report.
    limit = None if is_failing else MAX_LINES
    for line in first_lines(lines, f"in {path} and in the report", limit):
        emit(line)
    if is_failing and catalog.problems.height:
        raise ConsilienceError(
            f"{counted(catalog.problems.height, 'problem')}, listed above",
            settings.root,
            "correct them, or set dataset.on_problem to quarantine",
        )
    with atomic_folder(project.catalog) as folder:
        for modality, table in catalog.recordings.items():
            write_table(folder / "recordings" / f"{modality}.parquet", table, Recordings)
        write_table(folder / "trials.parquet", catalog.trials, Trials)
        write_table(folder / "pulses.parquet", catalog.pulses, Pulses)
        write_table(folder / "annotations.parquet", catalog.annotations, Annotations)
        write_table(folder / "problems.parquet", catalog.problems, Problems)
        write_table(folder / "subjects.parquet", catalog.subjects, Subjects)
        write_json(folder / "description.json", catalog.description)
        write_json(folder / "dataset.json", {"name": catalog.dataset, "classes": catalog.classes})
        write_json(folder / "summary.json", catalog.summary())
    for modality, table in catalog.recordings.items():
        path = project.recordings_table(modality).relative_to(project.root)
        check_usable(modality, table, path)

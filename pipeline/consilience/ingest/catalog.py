"""Catalog of a dataset: its listed recordings, checked file by file, and its tables."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import polars as pl

from consilience.core import registry
from consilience.core.errors import ConsilienceError, RecordingError, one_line, unreadable
from consilience.core.file_names import is_side_file, near_name
from consilience.core.files import atomic_folder, write_json
from consilience.core.isolation import isolated_map
from consilience.core.special_files import file_states
from consilience.datasets.base import Dataset, Entry, list_isolated, source_modality
from consilience.modalities.base import Modality, ModalityParams
from consilience.modalities.settings import modality_params
from consilience.project import Project
from consilience.schema.params.dataset import DatasetParams
from consilience.schema.tables import (
    Annotations,
    Problems,
    Pulses,
    Recordings,
    Trials,
    frame_of,
    write_table,
)
from consilience.signals.types import Header

FILE_NAME = re.compile(r"[^./\\\0][^/\\\0]*")
MAX_NAME_BYTES = 150  # file systems allow 255, and results add suffixes
LIMIT_S = 600.0  # to open a file and hash its bytes
MAX_DURATION_S = 7 * 86_400.0
ANNEX = "annex/objects/"  # in the target of a link of git-annex
STATED = ("mains_hz",)  # fields of a preset that are properties of the recordings, not choices
TOLERANCE_S = 1.0  # headers round durations, and a trial may end with the last sample
RATE_TOLERANCE = 0.01  # relative; clocks differ by less than 1e-3, wrong headers by far more


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
    """

    dataset: str
    classes: tuple[str, ...]
    recordings: dict[str, pl.DataFrame]
    trials: pl.DataFrame
    pulses: pl.DataFrame
    annotations: pl.DataFrame
    problems: pl.DataFrame
    notes: list[tuple[str, str]]

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
        rows = _check_modality(dataset, root, modality, listing.entries)
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
    return Catalog(
        dataset.name,
        dataset.classes,
        recordings,
        trials,
        pulses,
        annotations,
        _problem_table(problems),
        notes,
    )


def configured(name: str, settings: Mapping[str, ModalityParams] | None) -> Modality:
    """Return a modality that follows the parameters in `settings`, if they contain it."""
    modality: Modality = registry.get("modalities", name)
    return modality.configured(settings[name]) if settings and name in settings else modality


def _check_modality(
    dataset: Dataset, root: Path, modality: Modality, entries: list[Entry]
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
    check = partial(_check, root=root, modality=modality, clock=dataset.clock)
    failed = partial(_failed, clock=dataset.clock)
    # In worker processes, because a malformed file can crash or block its reader.
    return _mark_duplicates(isolated_map(check, listed, f"catalog {name}", LIMIT_S, failed))


def _problem_table(problems: list[tuple[str, str, str]]) -> pl.DataFrame:
    return frame_of(
        [
            {"where": one_line(where), "what": one_line(what), "remedy": one_line(remedy)}
            for where, what, remedy in problems
        ],
        Problems,
    )


def _check(entry: Entry, root: Path, modality: Modality, clock: str) -> dict[str, object]:
    """Return the catalog row of one entry; every failure becomes its reason."""
    row = _row(entry, clock)
    path = root / entry.path
    try:
        _check_names(entry)
        if not path.resolve().is_relative_to(root.resolve()):
            raise RecordingError("the path is outside the dataset", entry.path)
        if not path.is_file():
            return {**row, "status": "missing", "reason": _missing(root, entry.path)}
        header = _probe(path, entry, modality)
        row["content_hash"] = modality.identity(path, entry.item)
    except RecordingError as error:
        return {**row, "status": "quarantined", "reason": one_line(error.reason)}
    except Exception as error:  # any failure of a reader belongs to its recording
        return {**row, "status": "quarantined", "reason": one_line(unreadable(error))}
    return {**row, **vars(header), "status": "ok", "reason": None}


def _missing(root: Path, path: str) -> str:
    """Return why a listed file does not exist, and the remedy."""
    place = root / path
    if place.is_symlink():
        target = str(place.readlink())
        if ANNEX in target:
            remedy = f"run 'git annex get {path}' or 'datalad get {path}' in the dataset"
            return one_line(f"git-annex has not fetched its content ({remedy})")
        return one_line(f"a link to '{target}', which does not exist (copy the file)")
    near = near_name(root, path)
    similar = f"; a similar name is '{one_line(near)}'" if near else ""
    return f"listed, but the file does not exist{similar}"


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


def _row(entry: Entry, clock: str) -> dict[str, object]:
    return {
        "recording": one_line(f"{entry.session}_{entry.modality}"),
        "session": one_line(entry.session),
        "subject": one_line(entry.subject),
        "modality": entry.modality,
        "path": one_line(entry.path),
        "item": entry.item and one_line(entry.item),
        "clock": entry.clock or clock,
        "bad_channels": one_line(",".join(entry.bad_channels)) or None,
    }


def _failed(entry: Entry, reason: str, clock: str) -> dict[str, object]:
    """Return the row of an entry whose worker crashed or exceeded the time limit."""
    return {**_row(entry, clock), "status": "quarantined", "reason": reason}


def _check_names(entry: Entry) -> None:
    """Raise if the session is not a safe file name, or a name cannot be stored as text."""
    session = entry.session
    if not FILE_NAME.fullmatch(session) or len(session.encode("utf-8", "replace")) > MAX_NAME_BYTES:
        raise RecordingError(
            "the session name is not valid as part of a file name",
            entry.path,
            f"at most {MAX_NAME_BYTES} bytes, without / or \\, no leading dot",
        )
    names = (entry.session, entry.subject, entry.path, entry.item or "")
    if any(text != one_line(text) for text in names):
        raise RecordingError(
            "its name, session or subject contains undecodable or unprintable characters",
            entry.path,
            "rename it",
        )


def _probe(path: Path, entry: Entry, modality: Modality) -> Header:
    """Read and check the header; raise a `RecordingError` if it is invalid."""
    if is_side_file(path):
        raise RecordingError(
            "a side file of macOS, not a recording", entry.path, "list the file without '._'"
        )
    if path.suffix.lower() not in modality.suffixes:
        raise RecordingError(
            f"unsupported {modality.name} file extension '{path.suffix}'",
            entry.path,
            f"expected {', '.join(modality.suffixes)}",
        )
    if path.stat().st_size == 0:
        raise RecordingError("the file is empty", entry.path, "record or copy it again")
    header = modality.probe(path, entry.item)
    _check_header(header, entry)
    declared = entry.declared_rate_hz
    rate = header.rate_hz
    if declared and rate and abs(rate - declared) > RATE_TOLERANCE * declared:
        raise RecordingError(
            f"sampling rate mismatch: {rate:g} Hz in the header, {declared:g} Hz in the dataset",
            entry.path,
            "correct the wrong one",
        )
    return header


def _check_header(header: Header, entry: Entry) -> None:
    rate_hz, duration_s = header.rate_hz, header.duration_s
    if rate_hz is not None and not 0 < rate_hz < math.inf:
        raise RecordingError(
            f"invalid sampling rate in the header: {rate_hz:g} Hz",
            entry.path,
            "correct the header",
        )
    if duration_s is not None and not 0 <= duration_s <= MAX_DURATION_S:
        raise RecordingError(
            f"invalid duration in the header: {duration_s:g} s",
            entry.path,
            f"correct the header; the longest recording supported has {MAX_DURATION_S:g} s",
        )


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
            (name, f"{count} rows of session '{session}', which has no recording", "left out")
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
            f"{count} rows of session '{session}' from {first:g} to {last:g} s are partly or "
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
            f"{len(set(changed))} files changed while they were catalogued, such as '{changed[0]}'",
            str(root),
            "when they are complete, run 'dvc repro'",
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
        As `build_catalog`, and at any problem if ``dataset.on_problem`` is ``fail``.
    """
    settings = project.section(DatasetParams)
    dataset = registry.get("datasets", settings.name)
    modalities = modality_params(project)
    before = file_states(project.dataset_root)
    catalog = build_catalog(dataset, project.dataset_root, modalities, modalities)
    _check_unchanged(project.dataset_root, before)
    for modality, counts in catalog.summary()["modalities"].items():
        emit(
            f"catalog {modality}: {counts['ok']} usable, {counts['quarantined']} quarantined, "
            f"{counts['missing']} missing, {counts['hours']:.2f} h"
        )
    for where, what, remedy in catalog.problems.rows():
        emit(f"  {where}: {what}" + (f" ({remedy})" if remedy else ""))
    if settings.on_problem == "fail" and catalog.problems.height:
        raise ConsilienceError(
            f"{catalog.problems.height} problems, listed above",
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
        write_json(folder / "dataset.json", {"name": catalog.dataset, "classes": catalog.classes})
        write_json(folder / "summary.json", catalog.summary())

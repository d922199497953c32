"""The catalog: what a dataset lists, checked file by file before anything is computed."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import polars as pl

from consilience.core import registry
from consilience.core.errors import ConsilienceError, RecordingError, one_line, unreadable
from consilience.core.files import atomic_folder, write_json
from consilience.core.isolation import isolated_map
from consilience.datasets.base import Dataset, Entry, bind_to_root, source_modality
from consilience.modalities.base import Modality
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
MAX_NAME_BYTES = 150
LIMIT_S = 600.0  # to open a file and hash its bytes
MAX_DURATION_S = 7 * 86_400.0
RATE_TOLERANCE = 0.01  # relative: clocks differ by 1e-3 at the most, wrong headers by far more


@dataclass(frozen=True)
class Catalog:
    """Checked tables of a dataset: recordings of each modality, and what belongs to sessions."""

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


def build_catalog(dataset: Dataset, root: Path, modalities: Iterable[str] | None = None) -> Catalog:
    """List a dataset and check every recording's file.

    Parameters
    ----------
    dataset : Dataset
        The adapter that knows the layout.
    root : Path
        The dataset's folder.
    modalities : iterable of str or None
        Those the parameters name, in order; None for all that are listed.

    Returns
    -------
    Catalog
        A bad recording has status ``quarantined`` or ``missing`` and its reason.

    Raises
    ------
    ConsilienceError
        If the folder is not there, the dataset does not offer a modality, or not a
        single recording of a modality is listed.
    """
    if not root.is_dir():
        raise ConsilienceError(
            f"the root of dataset '{dataset.name}' is no folder", str(root), "set dataset.root"
        )
    dataset = bind_to_root(dataset, root)
    listing = dataset.list(root)
    problems = list(listing.problems)
    recordings: dict[str, pl.DataFrame] = {}
    if modalities is None:
        listed = {entry.modality for entry in listing.entries}
        modalities = [name for name in dataset.modalities if name in listed]
    for name in modalities:
        source = source_modality(dataset, name)
        entries = sorted(
            (
                replace(entry, modality=name)
                for entry in listing.entries
                if entry.modality == source
            ),
            key=lambda entry: (entry.session, entry.path, entry.item or ""),
        )
        if not entries:
            raise ConsilienceError(
                f"dataset '{dataset.name}' lists no recording of modality '{name}'",
                str(root),
                f"it offers: {', '.join(dataset.modalities)}",
            )
        modality = registry.get("modalities", name)
        check = partial(_check, root=root, modality=modality, clock=dataset.clock)
        lost = partial(_lost, clock=dataset.clock)
        rows = _mark_duplicates(isolated_map(check, entries, f"catalog {name}", LIMIT_S, lost))
        recordings[name] = frame_of(rows, Recordings)
        problems += [
            (str(row["path"]), str(row["reason"]), f"left out: {row['status']}")
            for row in rows
            if row["status"] != "ok"
        ]
    sessions = {entry.session for entry in listing.entries}
    trials, pulses, annotations = (
        _of_sessions(table, schema.__name__.lower(), sessions, problems)
        for table, schema in (
            (listing.trials, Trials),
            (listing.pulses, Pulses),
            (listing.annotations, Annotations),
        )
    )
    table = frame_of(
        [
            {"where": one_line(where), "what": one_line(what), "remedy": one_line(remedy)}
            for where, what, remedy in problems
        ],
        Problems,
    )
    notes = [(one_line(where), one_line(what)) for where, what in listing.notes]
    return Catalog(
        dataset.name, dataset.classes, recordings, trials, pulses, annotations, table, notes
    )


def _check(entry: Entry, root: Path, modality: Modality, clock: str) -> dict[str, object]:
    """Return the catalog row of one entry; whatever its file does ends as a reason."""
    row = _row(entry, clock)
    path = root / entry.path
    try:
        _check_names(entry)
        if not path.resolve().is_relative_to(root.resolve()):
            raise RecordingError("the path leads out of the dataset", entry.path)
        if not path.is_file():
            return {**row, "status": "missing", "reason": "listed, but there is no such file"}
        header = _probe(path, entry, modality)
        row["content_hash"] = modality.identity(path, entry.item)
    except RecordingError as error:
        return {**row, "status": "quarantined", "reason": one_line(error.reason)}
    except Exception as error:  # a reader's own failure belongs to its recording
        return {**row, "status": "quarantined", "reason": one_line(unreadable(error))}
    return {**row, **vars(header), "status": "ok", "reason": None}


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


def _lost(entry: Entry, reason: str, clock: str) -> dict[str, object]:
    return {**_row(entry, clock), "status": "quarantined", "reason": reason}


def _check_names(entry: Entry) -> None:
    """Check that a recording's results can be stored under its name, and its path at all."""
    session = entry.session
    if not FILE_NAME.fullmatch(session) or len(session.encode("utf-8", "replace")) > MAX_NAME_BYTES:
        raise RecordingError(
            "its session's name cannot be part of a file name",
            entry.path,
            f"at most {MAX_NAME_BYTES} bytes, without / or \\, no leading point",
        )
    told = (entry.session, entry.subject, entry.path, entry.item or "")
    if any(text != one_line(text) for text in told):
        raise RecordingError(
            "its name, session or subject holds undecodable or unprintable characters",
            entry.path,
            "rename it",
        )


def _probe(path: Path, entry: Entry, modality: Modality) -> Header:
    if path.suffix.lower() not in modality.suffixes:
        raise RecordingError(
            f"{path.suffix or 'no extension'} is no {modality.name} format",
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
            f"the header says {rate:g} Hz, the dataset {declared:g} Hz",
            entry.path,
            "correct whichever is wrong",
        )
    return header


def _check_header(header: Header, entry: Entry) -> None:
    rate_hz, duration_s = header.rate_hz, header.duration_s
    if rate_hz is not None and not 0 < rate_hz < math.inf:
        raise RecordingError(f"the header says {rate_hz:g} Hz", entry.path, "correct the header")
    if duration_s is not None and not 0 <= duration_s <= MAX_DURATION_S:
        raise RecordingError(
            f"the header says {duration_s:g} s",
            entry.path,
            f"correct the header; at most {MAX_DURATION_S:g} s are read",
        )


def _mark_duplicates(rows: list[dict[str, object]]) -> list[dict[str, object]]:
    """Keep the first usable recording of a session, and of the same bytes, in order of path."""
    by_name: dict[object, object] = {}
    by_bytes: dict[object, object] = {}
    ids: dict[object, int] = {}
    marked = []
    for row in rows:
        twin = by_name.get(row["recording"]) or by_bytes.get(row.get("content_hash"))
        if row["status"] == "ok" and twin:
            row = {**row, "status": "quarantined", "reason": f"duplicate of {twin}"}
        elif row["status"] == "ok":
            by_name[row["recording"]] = by_bytes[row["content_hash"]] = row["path"]
        name = row["recording"]
        ids[name] = ids.get(name, 0) + 1
        suffix = f"~{ids[name]}" if ids[name] > 1 else ""
        marked.append({**row, "recording": f"{name}{suffix}"})
    return marked


def _of_sessions(
    table: pl.DataFrame, name: str, sessions: set[str], problems: list[tuple[str, str, str]]
) -> pl.DataFrame:
    """Drop rows that name no recorded session, telling how many."""
    known = pl.col("session").is_in(sorted(sessions))
    for session, count in table.filter(~known).group_by("session").len().sort("session").rows():
        problems.append(
            (name, f"{count} rows name session '{session}', which no recording has", "left out")
        )
    return table.filter(known)


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
    catalog = build_catalog(dataset, project.dataset_root, list(project.content["modalities"]))
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

"""Ingest: recordings to feature frames, one by one, each computed once for the same content.

Results are kept in a store under a key of everything they depend on, and the stage's output
is put together from it by links. So a run processes only recordings that are new or changed,
and ends with the bytes a run from nothing would have written.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import polars as pl

from consilience.core import registry
from consilience.core.errors import ConsilienceError, RecordingError, one_line, unreadable
from consilience.core.files import link_or_copy, text_hash, write_json
from consilience.core.fingerprint import fingerprint
from consilience.core.isolation import isolated_map
from consilience.core.store import Store, Stored
from consilience.ingest import features
from consilience.ingest.kept_rows import UnchangedFiles
from consilience.schema.params.plugins import ModalityParams
from consilience.schema.tables import Findings, Ingested, Problems, Quality, frame_of, write_table

LIMIT_S = 2 * 3600.0  # for one recording


@dataclass(frozen=True)
class Result:
    """Outcome of ingesting one recording, with its arrays in the store and their hash."""

    recording: str
    new: bool
    arrays: Path | None
    content_hash: str | None
    status: str
    reason: str | None = None
    names: tuple[str, ...] = ()
    n_frames: int = 0
    first_frame_s: float | None = None
    last_frame_s: float | None = None
    duration_s: float | None = None
    quality: dict[str, float | None] | None = None
    findings: tuple[str, ...] = ()


def ingest(
    table: pl.DataFrame,
    root: Path,
    name: str,
    settings: ModalityParams,
    store: Path,
    output: Path,
    kept_rows: Path | None = None,
) -> list[Result]:
    """Ingest every usable recording of one modality into a folder.

    Parameters
    ----------
    table : polars.DataFrame
        `Recordings` of the modality.
    root : Path
        Root of the dataset.
    name : str
        The modality.
    settings : ModalityParams
        Its parameters.
    store : Path
        Folder of results by key, kept between runs.
    output : Path
        Folder to fill: ``<recording>.npz``, ``recordings.parquet``, ``problems.parquet``,
        ``findings.parquet``, ``quality.parquet``, ``features.json``. Without a usable result it
        gets the first three tables only.
    kept_rows : Path, optional
        File of the catalog's rows with the states of their files. Without it the content of every
        new recording is compared with the catalogued one.

    Returns
    -------
    list of Result
        One per usable recording, in the catalog's order.

    Raises
    ------
    ConsilienceError
        If recordings differ in their features, or one changed after it was catalogued.
    """
    usable = list(table.filter(pl.col("status") == "ok").iter_rows(named=True))
    code, results = code_key(name, settings, store), Store(store)
    # Results in the store are looked up here: a run with nothing new starts no worker process.
    kept = {row["recording"]: results.load(_key(row, code)) for row in usable}
    new = [row for row in usable if kept[row["recording"]] is None]
    work = partial(
        _ingest_one,
        root=root,
        name=name,
        settings=settings,
        store=results,
        code=code,
        unchanged=UnchangedFiles(kept_rows, root),
    )
    computed = isolated_map(work, new, f"ingest {name}", LIMIT_S, _lost)
    by_recording = {result.recording: result for result in computed}
    for recording, stored in kept.items():
        if stored is not None:
            by_recording[recording] = _result(recording, False, stored)
    ordered = [by_recording[row["recording"]] for row in usable]
    _write(table, ordered, output, name)
    return ordered


def code_key(name: str, settings: ModalityParams, store: Path | None = None) -> str:
    """Hash what a stored result depends on besides its recording: code, libraries, parameters."""
    # Encoders read windows, long after ingest: a new network must not repeat thousands of hours.
    code = fingerprint([features.__name__], {"modalities": [name], "encoders": []}, store)
    return text_hash(settings.model_dump_json(exclude={"corruptions"}), code.digest)


def _key(row: dict[str, Any], code: str) -> str:
    return text_hash(row["recording"], row["content_hash"], row["bad_channels"] or "", code)


def _result(recording: str, new: bool, stored: Stored) -> Result:
    return Result(recording, new, stored.arrays, stored.content_hash, **stored.outcome)


def _ingest_one(
    row: dict[str, Any],
    root: Path,
    name: str,
    settings: ModalityParams,
    store: Store,
    code: str,
    unchanged: UnchangedFiles,
) -> Result:
    arrays, outcome, lasting = _computed(row, root, name, settings)
    unchanged.check(row, registry.get("modalities", name).configured(settings))
    if not lasting:
        return Result(row["recording"], True, None, None, **outcome)
    return _result(row["recording"], True, store.save(_key(row, code), outcome, arrays))


def _computed(
    row: dict[str, Any], root: Path, name: str, settings: ModalityParams
) -> tuple[dict[str, Any] | None, dict[str, Any], bool]:
    """Return a recording's arrays, if any, its outcome, and whether the outcome is to be kept.

    What the system refuses, such as memory or an open file, may succeed the next time.
    """
    try:
        return *features.compute(row, root, name, settings), True
    except RecordingError as error:
        return None, {"status": "quarantined", "reason": error.reason}, True
    except Exception as error:  # a library's own failure belongs to its recording
        lasting = not isinstance(error, MemoryError | OSError)
        return None, {"status": "quarantined", "reason": one_line(unreadable(error))}, lasting


def _lost(row: dict[str, Any], reason: str) -> Result:
    """Return what came of a recording whose reader was lost; it is not kept in the store."""
    return Result(row["recording"], True, None, None, "quarantined", reason)


def _write(table: pl.DataFrame, results: list[Result], output: Path, name: str) -> None:
    by_recording = {result.recording: result for result in results}
    rows = [
        _ingested_row(row, by_recording.get(row["recording"]))
        for row in table.iter_rows(named=True)
    ]
    write_table(output / "recordings.parquet", frame_of(rows, Ingested), Ingested)
    problems = [_problem(result, name) for result in results if result.status != "ok"]
    write_table(output / "problems.parquet", frame_of(problems, Problems), Problems)
    paths: dict[str, str] = dict(table.select("recording", "path").iter_rows())
    findings: list[dict[str, object]] = [
        {"recording": result.recording, "path": paths[result.recording], "what": what}
        for result in results
        for what in result.findings
    ]
    write_table(output / "findings.parquet", frame_of(findings, Findings), Findings)
    good = [result for result in results if result.status == "ok"]
    if not good:
        return
    for result in good:
        if tuple(result.names) != tuple(good[0].names):
            raise ConsilienceError(
                f"{len(result.names)} features where {good[0].recording} has {len(good[0].names)}",
                result.recording,
                "set the modality's parameters so that all recordings yield the same",
            )
        assert result.arrays is not None  # a usable recording has feature frames
        link_or_copy(result.arrays, output / f"{result.recording}.npz")
    measures = [
        {
            "recording": result.recording,
            "measure": measure,
            "value": math.nan if value is None else float(value),
        }
        for result in good
        for measure, value in sorted((result.quality or {}).items())
    ]
    write_table(output / "quality.parquet", frame_of(measures, Quality), Quality)
    write_json(output / "features.json", {"names": list(good[0].names)})


def _problem(result: Result, name: str) -> dict[str, object]:
    """Return the row of `Problems` on a recording that could not be ingested."""
    remedy = f"left out of {name}: {result.status}"
    return {"where": result.recording, "what": result.reason or "", "remedy": remedy}


def _ingested_row(row: dict[str, Any], result: Result | None) -> dict[str, object]:
    status, reason = (result.status, result.reason) if result else (row["status"], row["reason"])
    return {
        "recording": row["recording"],
        "session": row["session"],
        "subject": row["subject"],
        "status": status,
        "reason": reason,
        "n_frames": result.n_frames if result else 0,
        "first_frame_s": result.first_frame_s if result else None,
        "last_frame_s": result.last_frame_s if result else None,
        "duration_s": result.duration_s if result else None,
        "quality": (result.quality or {}).get("quality") if result else None,
        "content_hash": result.content_hash if result else None,
    }

"""Ingest: recordings to feature frames, one by one, each computed once for the same content.

Results are kept in a store under a key of everything they depend on, and the stage's output
is put together from it by links. So a run processes only recordings that are new or changed,
and ends with the bytes a run from nothing would have written.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import json
import math
import os
import re
import shutil
import sys
from dataclasses import dataclass
from functools import partial
from importlib import metadata
from importlib.util import resolve_name
from pathlib import Path
from pkgutil import iter_modules
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from consilience.core import registry
from consilience.core.errors import ConsilienceError, RecordingError, unreadable
from consilience.core.files import text_hash, write_arrays, write_json
from consilience.core.isolation import isolated_map
from consilience.core.seeds import generator
from consilience.modalities.base import Modality
from consilience.schema.params.plugins import ModalityParams
from consilience.schema.tables import CLEAN, SEVERITIES, Ingested, Quality, frame_of, write_table
from consilience.signals.types import Features, Signal

LIMIT_S = 6 * 3600.0  # for one recording and all its corrupted variants


@dataclass(frozen=True)
class Result:
    """What ingesting one recording gave, as kept in the store beside its arrays."""

    recording: str
    key: str
    new: bool
    status: str
    reason: str | None = None
    names: tuple[str, ...] = ()
    n_frames: int = 0
    duration_s: float | None = None
    quality: dict[str, float | None] | None = None


def ingest(
    table: pl.DataFrame, root: Path, name: str, settings: ModalityParams, store: Path, output: Path
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
        Folder to fill: ``<recording>.npz``, ``recordings.parquet``, ``quality.parquet``,
        ``features.json``.

    Returns
    -------
    list of Result
        One per usable recording, in the catalog's order.

    Raises
    ------
    ConsilienceError
        If no recording could be ingested, or recordings differ in their features.
    """
    usable = table.filter(pl.col("status") == "ok")
    work = partial(
        _ingest_one,
        root=root,
        name=name,
        settings=settings,
        store=store,
        fingerprint=_fingerprint(registry.get("modalities", name), settings),
    )
    rows = list(usable.iter_rows(named=True))
    results = isolated_map(work, rows, f"ingest {name}", LIMIT_S, _lost)
    _write(table, results, store, output, name)
    return results


def _fingerprint(modality: Modality, settings: ModalityParams) -> str:
    """Hash what a result depends on besides the recording: code, parameters, libraries."""
    requirements = metadata.requires("consilience") or []
    names = sorted({re.split(r"[^\w.-]", line)[0] for line in requirements if "extra" not in line})
    versions = [f"{library} {metadata.version(library)}" for library in names]
    return text_hash(settings.model_dump_json(), *_sources(modality), *versions)


def _sources(modality: Modality) -> list[str]:
    """Return the code behind the features: of this module, the random numbers and the modality.

    A modality's code is that of its class, of the classes it is derived from, and of all that
    these modules import of their own packages, or of the alignment to read a container's clock.
    """
    bases = [part.__module__ for part in type(modality).__mro__]
    own = [name for name in bases if name.split(".")[0] not in sys.stdlib_module_names]
    packages = {name.rpartition(".")[0] for name in own} | {"consilience.alignment"}
    todo, sources = [__name__, generator.__module__, *own], {}
    while todo:
        name = todo.pop()
        if name not in sources:
            sources[name] = inspect.getsource(importlib.import_module(name))
            todo += _imported(sources[name], name.rpartition(".")[0]) & _modules_of(packages)
    return [sources[name] for name in sorted(sources)]


def _imported(source: str, package: str) -> set[str]:
    """Return what may be modules among the names that the code of one of a package imports."""
    names = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom):
            base = resolve_name("." * node.level + (node.module or ""), package)
            names |= {base, *(f"{base}.{alias.name}" for alias in node.names)}
        elif isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
    return names


def _modules_of(packages: set[str]) -> set[str]:
    """Return the names of all modules directly in some packages."""
    paths = {name: importlib.import_module(name).__path__ for name in packages if name}
    return {
        f"{name}.{module.name}" for name, path in paths.items() for module in iter_modules(path)
    }


def _ingest_one(
    row: dict[str, Any],
    root: Path,
    name: str,
    settings: ModalityParams,
    store: Path,
    fingerprint: str,
) -> Result:
    told = (row["recording"], row["content_hash"], row["bad_channels"] or "")
    key = text_hash(*told, fingerprint)
    card = store / f"{key}.json"
    if card.is_file():
        return Result(row["recording"], key, False, **json.loads(card.read_text()))
    outcome: dict[str, Any]
    try:
        arrays, outcome = _compute(row, root, name, settings)
        write_arrays(store / f"{key}.npz", arrays)
    except RecordingError as error:
        outcome = {"status": "quarantined", "reason": error.reason}
    except Exception as error:  # a library's own failure belongs to its recording
        outcome = {"status": "quarantined", "reason": unreadable(error)}
    write_json(card, outcome)  # last: a card means that the arrays are complete
    return Result(row["recording"], key, True, **outcome)


def _lost(row: dict[str, Any], reason: str) -> Result:
    """Return what came of a recording whose reader was lost; it is not kept in the store."""
    return Result(row["recording"], "", True, "quarantined", reason)


def _compute(
    row: dict[str, Any], root: Path, name: str, settings: ModalityParams
) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
    modality: Modality = registry.get("modalities", name)
    path = root / row["path"]
    if modality.identity(path, row["item"]) != row["content_hash"]:
        raise RecordingError("the file changed while the pipeline ran", row["path"])
    signal = modality.read(path, row["item"], settings)
    if row["bad_channels"]:
        signal = signal.masked(row["bad_channels"].split(","))
    clean = modality.features(signal, settings)
    _check_features(clean, row["path"])
    arrays: dict[str, NDArray[Any]] = {
        "times_s": clean.times_s,
        "pulses_s": signal.pulses_s,
        "anchors_s": signal.anchors_s,
        CLEAN: clean.values,
    }
    for kind in settings.corruptions:
        for severity in SEVERITIES:
            rng = generator(kind, row["recording"], severity)
            spoilt = modality.corrupt(signal, kind, severity, settings, rng)
            arrays[f"{kind}_{severity}"] = _spoilt_features(modality, spoilt, settings, clean)
    outcome = {
        "status": "ok",
        "names": clean.names,
        "n_frames": len(clean.times_s),
        "duration_s": _duration_s(signal),
        "quality": clean.quality,
    }
    return arrays, outcome


def _check_features(features: Features, path: str) -> None:
    """Check what samples beyond all measure make of features: they would end the whole stage."""
    quality = features.quality.get("quality", 1.0)
    if np.isinf(features.values).any() or not 0 <= quality <= 1:
        raise RecordingError(
            "its features or its quality are no numbers: the samples are beyond all measure",
            path,
            "correct their unit",
        )


def _spoilt_features(
    modality: Modality, spoilt: Signal, settings: ModalityParams, clean: Features
) -> NDArray[np.float32]:
    """Return features on the clean frames' grid; all NaN if nothing usable is left."""
    try:
        return modality.features(spoilt, settings).values
    except RecordingError:
        return np.full_like(clean.values, np.nan)


def _duration_s(signal: Signal) -> float | None:
    times = signal.times_s
    if len(times) < 2:
        return None
    return float(times[-1] - times[0] + np.median(np.diff(times)))


def _write(
    table: pl.DataFrame, results: list[Result], store: Path, output: Path, name: str
) -> None:
    by_recording = {result.recording: result for result in results}
    good = [result for result in results if result.status == "ok"]
    if not good:
        raise ConsilienceError(
            f"none of {table.height} recordings could be ingested",
            f"modality {name}",
            "the reasons are in the catalog and above",
        )
    for result in good:
        if tuple(result.names) != tuple(good[0].names):
            raise ConsilienceError(
                f"{len(result.names)} features where {good[0].recording} has {len(good[0].names)}",
                result.recording,
                "set the modality's parameters so that all recordings yield the same",
            )
        link_or_copy(store / f"{result.key}.npz", output / f"{result.recording}.npz")
    rows = [
        _ingested_row(row, by_recording.get(row["recording"]))
        for row in table.iter_rows(named=True)
    ]
    measures = [
        {
            "recording": result.recording,
            "measure": measure,
            "value": math.nan if value is None else float(value),
        }
        for result in good
        for measure, value in sorted((result.quality or {}).items())
    ]
    write_table(output / "recordings.parquet", frame_of(rows, Ingested), Ingested)
    write_table(output / "quality.parquet", frame_of(measures, Quality), Quality)
    write_json(output / "features.json", {"names": list(good[0].names)})


def _ingested_row(row: dict[str, Any], result: Result | None) -> dict[str, object]:
    status, reason = (result.status, result.reason) if result else (row["status"], row["reason"])
    return {
        "recording": row["recording"],
        "session": row["session"],
        "subject": row["subject"],
        "status": status,
        "reason": reason,
        "n_frames": result.n_frames if result else 0,
        "duration_s": result.duration_s if result else None,
        "quality": (result.quality or {}).get("quality") if result else None,
    }


def link_or_copy(source: Path, target: Path) -> None:
    """Give `source` a second name; copy where the file system has no hard links."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)

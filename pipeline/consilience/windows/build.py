"""Cut a project's aligned recordings into labelled windows, session by session."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from consilience.core.errors import ConsilienceError
from consilience.core.files import (
    atomic_folder,
    link_or_copy,
    read_arrays,
    read_json,
    write_json,
)
from consilience.core.store import Store, Stored
from consilience.core.workers import parallel_map
from consilience.project import Project
from consilience.schema.params.dataset import DatasetParams
from consilience.schema.params.windows import SplitParams, WindowParams
from consilience.schema.tables import (
    LABELLED,
    Labels,
    Levels,
    Quality,
    Splits,
    frame_of,
    read_table,
    write_table,
)
from consilience.signals.types import LEVEL_DB
from consilience.windows import cutting
from consilience.windows.cutting import COVERAGE, Cutter, Session, cut_session
from consilience.windows.sessions import code_hash, cutters_of, key_of, sessions_of
from consilience.windows.splits import split
from consilience.windows.store import SESSIONS

SERIAL = 200  # sessions cut in this process: fewer take less time than starting others


def window(project: Project, emit: Callable[[str], None] = print) -> None:
    """Cut every aligned recording, divide the windows by subject and write ``data/windows``.

    Parameters
    ----------
    project : Project
        Labelled.
    emit : callable
        Receives the lines of the summary.

    Raises
    ------
    ConsilienceError
        As `write_windows`, or if all labels are of one class, or there are too few subjects for the
        folds.
    """
    with atomic_folder(project.windows) as folder:
        index = write_windows(project, folder, emit)
        _check_classes(index, project)
        splits = split(index["subject"], project.section(SplitParams))
        write_table(folder / "splits.parquet", splits, Splits)


def _check_classes(index: pl.DataFrame, project: Project) -> None:
    """Raise if there is one class only: every metric of a model of it would be perfect."""
    summary = project.labels / "summary.json"
    classes = list(read_json(summary)["classes"])
    rows = index["class_probability"].drop_nulls().to_list()
    # Classes of equal probability are all likeliest.
    likeliest = {place for row in rows for place, p in enumerate(row) if p == max(row)}
    if len(likeliest) == 1 or len(classes) == 1:
        raise ConsilienceError(
            f"'{classes[min(likeliest, default=0)]}' is the only class of the labels",
            str(summary),
            "annotate windows of another class: a model needs two",
        )


def write_windows(
    project: Project, folder: Path, emit: Callable[[str], None], *, labelled: bool = True
) -> pl.DataFrame:
    """Cut every aligned recording into windows, without dividing them by subject.

    Sessions that were cut before, with the same recordings, clocks, parameters and code, are taken
    from the project's store.

    Parameters
    ----------
    project : Project
        Labelled.
    folder : Path
        Empty; receives all of a window store but ``splits.parquet``.
    emit : callable
        Receives the lines of the summary.
    labelled : bool
        Whether only windows with a label are cut, as for a training; for a prediction, all.

    Returns
    -------
    polars.DataFrame
        `Labels` of the windows, in the order of the arrays.

    Raises
    ------
    ConsilienceError
        If no window has an aligned recording and, with `labelled`, a label.
    """
    settings = project.section(WindowParams)
    labels_path = project.labels / "labels.parquet"
    labels = read_table(labels_path, Labels).sort("session", "start_s", "trial")
    labels = labels.filter(LABELLED) if labelled else labels
    what = "labelled windows" if labelled else "windows"
    cutters = cutters_of(project)
    sessions = sessions_of(project, labels, cutters)
    stored = _cut(project, sessions, cutters, settings.min_coverage)
    coverages = [read_arrays(_arrays(result), COVERAGE)[COVERAGE] for result in stored]
    covered = np.concatenate([np.zeros((0, len(cutters))), *coverages])
    available = covered >= settings.min_coverage
    usable = available.any(axis=1)
    if not usable.any():
        raise ConsilienceError(
            f"no window has {'both a label and ' if labelled else ''}an aligned recording",
            str(labels_path),
            "see data/alignment and data/labels for what was left out, and why",
        )
    index, available = labels.filter(pl.Series(usable)), available[usable]
    np.save(folder / "availability.npy", available)
    np.save(folder / "coverage.npy", covered[usable].astype(np.float32))
    write_table(folder / "index.parquet", index, Labels)
    write_table(folder / "levels.parquet", _levels(project, sessions, cutters), Levels)
    shards = _link(folder, sessions, stored, coverages, settings.min_coverage)
    write_json(folder / "meta.json", _meta(project, cutters, settings) | {"shards": shards})
    counts = ", ".join(
        f"{cutter.name} in {count}"
        for cutter, count in zip(cutters, available.sum(axis=0), strict=True)
    )
    emit(f"window: {len(available)} of {labels.height} {what} have a recording: {counts}")
    return index


def _cut(
    project: Project, sessions: list[Session], cutters: list[Cutter], min_coverage: float
) -> list[Stored]:
    """Return the stored model inputs of every session; compute those that are not in the store."""
    store = Store(project.store("windows"))
    code = code_hash(cutting.__name__, project)
    keys = [key_of(session, cutters, code, repr(min_coverage)) for session in sessions]
    stored = [store.load(key) for key in keys]
    new = [number for number, result in enumerate(stored) if result is None]
    work = partial(_cut_one, store, cutters, min_coverage)
    items = [(keys[number], sessions[number]) for number in new]
    results = (
        list(map(work, items)) if len(items) <= SERIAL else parallel_map(work, items, "window")
    )
    for number, result in zip(new, results, strict=True):
        stored[number] = result
    return [result for result in stored if result is not None]


def _cut_one(
    store: Store, cutters: list[Cutter], min_coverage: float, item: tuple[str, Session]
) -> Stored:
    key, session = item
    return store.save(key, {}, cut_session(session, cutters, min_coverage))


def _arrays(result: Stored) -> Path:
    assert result.arrays is not None  # a session always has arrays
    return result.arrays


def _link(
    folder: Path,
    sessions: list[Session],
    stored: list[Stored],
    coverages: list[NDArray[np.float64]],
    min_coverage: float,
) -> dict[str, str]:
    """Link the arrays of sessions with a usable window; return their hashes by session."""
    (folder / SESSIONS).mkdir()
    shards = {}
    for session, result, covered in zip(sessions, stored, coverages, strict=True):
        if (covered >= min_coverage).any():
            link_or_copy(_arrays(result), folder / SESSIONS / f"{session.name}.npz")
            shards[session.name] = str(result.content_hash)
    return shards


def _levels(project: Project, sessions: list[Session], cutters: list[Cutter]) -> pl.DataFrame:
    """Return `Levels` of the sessions' recordings."""
    rows: list[dict[str, object]] = []
    for name in [cutter.name for cutter in cutters]:
        recordings = {
            session.sources[name].arrays.stem: session.name
            for session in sessions
            if name in session.sources
        }
        if recordings:
            quality = read_table(project.signals(name) / "quality.parquet", Quality)
            rows += [
                {"session": recordings[recording], "modality": name, "level_db": value}
                for recording, _, value in quality.filter(measure=LEVEL_DB).iter_rows()
                if recording in recordings
            ]
    return frame_of(rows, Levels)


def _meta(project: Project, cutters: list[Cutter], settings: WindowParams) -> dict[str, object]:
    # The label summary lists the classes in the order of the label vectors.
    classes = list(read_json(project.labels / "summary.json")["classes"])
    return {
        "dataset": project.section(DatasetParams).name,
        "modalities": [cutter.name for cutter in cutters],
        "classes": classes,
        "features": {cutter.name: cutter.features for cutter in cutters},
        "encodings": {cutter.name: cutter.params.encoding for cutter in cutters},
        "frame_rate_hz": {cutter.name: cutter.grid.rate_hz for cutter in cutters},
        "length_s": settings.length_s,
    }

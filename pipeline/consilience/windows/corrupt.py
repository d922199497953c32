"""Write the corrupted and desynchronised windows of a project, which only evaluations use.

Each recording is read once more, after the clean windows are cut, so that corruptions delay
neither the clean features nor a change of labels or clocks.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from consilience.core import registry
from consilience.core.errors import ConsilienceError, one_line, unreadable
from consilience.core.files import atomic_folder, link_or_copy, read_array, write_json
from consilience.core.isolation import isolated_map
from consilience.core.store import Store, Stored
from consilience.core.wording import counted
from consilience.ingest.kept_rows import UnchangedFiles
from consilience.project import Project
from consilience.schema.params.windows import WindowParams
from consilience.schema.tables import Labels, Recordings, read_table
from consilience.windows import corrupted
from consilience.windows.corrupted import corrupt_recording, variants_of
from consilience.windows.cutting import Cutter, Session, Source
from consilience.windows.layout import Window
from consilience.windows.sessions import code_hash, cutters_of, key_of, sessions_of
from consilience.windows.store import SESSIONS

LIMIT_S = 6 * 3600.0  # for all corrupted variants of one recording


class _Task(NamedTuple):
    """A recording whose variants are to be computed."""

    key: str
    session: str
    source: Source
    windows: list[Window]
    available: NDArray[np.bool_]
    cutter: Cutter
    row: dict[str, Any]
    variants: list[str]


def corrupt(project: Project, emit: Callable[[str], None] = print) -> None:
    """Compute every variant of the windows and write ``data/corrupted``.

    Parameters
    ----------
    project : Project
        With windows.
    emit : callable
        Receives the lines of the summary.

    Raises
    ------
    ConsilienceError
        If a recording cannot be read again.
    """
    settings = project.section(WindowParams)
    cutters = cutters_of(project)
    code = code_hash(corrupted.__name__, project)
    store = Store(project.store("corrupted"))
    index = read_table(project.windows / "index.parquet", Labels)
    available = read_array(project.windows / "availability.npy")
    sessions = sessions_of(project, index, cutters)
    variants = {
        cutter.name: variants_of(cutter, settings.length_s, settings.desync_s) for cutter in cutters
    }
    tasks = {
        cutter.name: _tasks(
            project,
            cutter,
            variants[cutter.name],
            sessions,
            available[:, column],
            settings,
            code,
        )
        for column, cutter in enumerate(cutters)
    }
    everything = [task for of_modality in tasks.values() for task in of_modality]
    stored = {task.key: store.load(task.key) for task in everything}
    new = [task for task in everything if stored[task.key] is None]
    root = project.dataset_root
    unchanged = {
        cutter.name: UnchangedFiles(project.kept_rows(cutter.name), root) for cutter in cutters
    }
    work = partial(_compute, store=store, root=root, settings=settings, unchanged=unchanged)
    for task, result in zip(new, isolated_map(work, new, "corrupt", LIMIT_S, _lost), strict=True):
        if isinstance(result, str):
            raise ConsilienceError(
                result, task.row["path"], "run 'dvc repro -f catalog', then 'dvc repro'"
            )
        stored[task.key] = result
    with atomic_folder(project.corrupted) as folder:
        for name, of_modality in tasks.items():
            _write(folder / name, of_modality, stored, variants[name])
    emit(f"corrupt: {counted(len(everything), 'recording')}, {len(new)} processed")


def _tasks(
    project: Project,
    cutter: Cutter,
    variants: list[str],
    sessions: list[Session],
    available: NDArray[np.bool_],
    settings: WindowParams,
    code: str,
) -> list[_Task]:
    """Return a task for each session that has the modality; none without variants.

    `available` (n_windows,) has the windows of all sessions in their order.
    """
    table = read_table(project.recordings_table(cutter.name), Recordings)
    rows = {row["recording"]: row for row in table.iter_rows(named=True)}
    ends = np.cumsum([len(session.windows) for session in sessions])
    tasks = []
    for session, has in zip(sessions, np.split(available, ends[:-1]), strict=True):
        source = session.sources.get(cutter.name)
        if source is None or not variants:
            continue
        row = rows[source.arrays.stem]
        depends = (
            code,
            cutter.params.model_dump_json(),
            row["content_hash"],
            row["recording"],
            row["bad_channels"] or "",
            repr((has.tolist(), variants, settings.desync_s)),
        )
        key = key_of(session, [cutter], *depends)
        tasks.append(_Task(key, session.name, source, session.windows, has, cutter, row, variants))
    return tasks


def _compute(
    task: _Task,
    store: Store,
    root: Path,
    settings: WindowParams,
    unchanged: dict[str, UnchangedFiles],
) -> Stored | str:
    """Return the stored variants of a recording, or why it cannot be read."""
    try:
        inputs = corrupt_recording(
            task.source,
            task.windows,
            task.available,
            task.cutter,
            task.row,
            root,
            task.variants,
            settings.desync_s,
        )
    except Exception as error:  # the recording was read before: it changed, or memory is short
        return one_line(unreadable(error))
    name = task.cutter.name
    modality = registry.get("modalities", name).configured(task.cutter.params)
    unchanged[name].check(task.row, modality)
    return store.save(task.key, {}, inputs)


def _lost(task: _Task, reason: str) -> str:
    return reason


def _write(
    folder: Path, tasks: list[_Task], stored: dict[str, Stored | None], variants: list[str]
) -> None:
    (folder / SESSIONS).mkdir(parents=True)
    shards = {}
    for task in tasks:
        result = stored[task.key]
        assert result is not None
        assert result.arrays is not None
        link_or_copy(result.arrays, folder / SESSIONS / f"{task.session}.npz")
        shards[task.session] = result.content_hash
    write_json(folder / "meta.json", {"variants": variants, "shards": shards})

"""Export of ranked windows as tasks of Label Studio."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from consilience.alignment.clock import Clock
from consilience.core import registry
from consilience.core.errors import ConsilienceError, RecordingError
from consilience.core.files import atomic_folder, read_json, write_bytes
from consilience.core.wording import counted
from consilience.label_studio.clips import (
    Stretch,
    curves,
    shown_channels,
    time_column,
    write_pictures,
    write_sound,
)
from consilience.label_studio.config import (
    AUDIO,
    QUESTION,
    SIGNALS,
    VIDEO,
    Layout,
    labelling_config,
)
from consilience.modalities.base import Modality
from consilience.modalities.settings import modality_params
from consilience.project import Project
from consilience.schema.constants import AFFECT
from consilience.schema.tables import Annotations, Ranking, Trials, read_table
from consilience.signals.types import Signal
from consilience.windows.places import Source, session_sources

CONTEXT_S = 1.0  # shown before and after a window, within its trial
SERVED = "/data/local-files/?d="  # where Label Studio serves files of its document root
PICTURES, SOUND = 0, 1  # ranks of sources


class Exported(NamedTuple):
    """Files of an export.

    Attributes
    ----------
    tasks, config, media : Path
        The tasks, the labelling configuration, and the folder of the clips.
    n_tasks : int
    problems : list of str
        Recordings that could not be read.
    """

    tasks: Path
    config: Path
    media: Path
    n_tasks: int
    problems: list[str]


def export_tasks(
    project: Project,
    output: Path,
    emit: Callable[[str], None],
    *,
    pictures: bool = True,
    url: str | None = None,
) -> Exported:
    """Write the ranked windows of a project as tasks, with their clips.

    Parameters
    ----------
    project : Project
        With ``data/query``.
    output : Path
        File of the tasks. Beside it lie the configuration (``.xml``) and the folder of the clips.
    emit : callable
        Receives the progress.
    pictures : bool
        False leaves the video out, so that faces stay where they are.
    url : str or None
        Address of the folder of clips; by default that of Label Studio's local files, with the
        folder of the tasks as their document root.

    Raises
    ------
    ConsilienceError
        If no window is ranked, or the file does not end in ``.json``.
    """
    if output.suffix.lower() != ".json":
        raise ConsilienceError("not a .json file", str(output), "name one: -o tasks.json")
    ranking = read_table(project.ranking, Ranking)
    if not ranking.height:
        raise ConsilienceError(
            "no window is ranked", str(project.query), "all are answered, or none is predicted"
        )
    if not ranking["end_s"].is_finite().all():
        raise ConsilienceError(
            "windows without a time axis cannot be shown", str(output), "annotate recordings"
        )
    exporter = _Exporter(project, pictures)
    media = output.with_name(f"{output.stem}_media")
    address = url or f"{SERVED}{media.name}/"
    tasks: dict[int, dict[str, Any]] = {}
    with atomic_folder(media) as folder:
        # Session by session, so that each recording is read once.
        for (session,), windows in ranking.group_by("session", maintain_order=True):
            emit(f"clips: {len(tasks)} of {ranking.height}")
            for row in windows.iter_rows(named=True):
                tasks[row["rank"]] = exporter.task(row, str(session), folder, address)
    ordered = [tasks[rank] for rank in sorted(tasks)]
    config = output.with_suffix(".xml")
    write_bytes(config, labelling_config(exporter.layout).encode())
    write_bytes(output, (json.dumps(ordered, indent=1, allow_nan=False) + "\n").encode())
    return Exported(output, config, media, len(ordered), exporter.problems)


class _Exporter:
    """Reads the recordings of one session at a time and cuts its clips."""

    def __init__(self, project: Project, pictures: bool) -> None:
        self._project, self._root = project, project.dataset_root
        self._settings = modality_params(project)
        self._sources = session_sources(project, list(self._settings))
        self._trials = _trials(project)
        self._session: str | None = None
        self._signals: dict[str, tuple[Signal, Clock]] = {}
        self.problems: list[str] = []
        self.layout = self._layout(pictures)

    def _layout(self, pictures: bool) -> Layout:
        """Return what every task has: each kind of content that any session has."""
        ranks = {source.rank for listed in self._sources.values() for source in listed}
        self._channels: dict[str, list[str]] = {}
        for listed in self._sources.values():
            for source in listed:
                if source.rank > SOUND and source.modality not in self._channels:
                    signal = self._read(source)
                    if signal is not None:
                        self._channels[source.modality] = shown_channels(signal)
        classes = read_json(self._project.catalog / "dataset.json")["classes"]
        rated = read_table(self._project.catalog / "annotations.parquet", Annotations)["target"]
        return Layout(
            has_video=pictures and PICTURES in ranks,
            has_audio=SOUND in ranks or PICTURES in ranks,
            channels=[f"{m}_{name}" for m, names in self._channels.items() for name in names],
            classes=classes,
            ratings=[name for name in AFFECT if name in set(rated)],
        )

    def task(
        self, row: Mapping[str, Any], session: str, folder: Path, address: str
    ) -> dict[str, Any]:
        """Write the clips of a window and return its task."""
        self._open(session)
        stretch = self._stretch(row)
        name = f"{row['rank']:05d}"
        data: dict[str, Any] = {
            "window": row["window"],
            "session": session,
            "start_s": row["start_s"],
            "end_s": row["end_s"],
            QUESTION: (
                f"What is felt from {row['start_s'] - stretch.start_s:.1f} s to "
                f"{row['end_s'] - stretch.start_s:.1f} s of this clip?"
            ),
        }
        if self.layout.has_video:
            self._write_video(folder / f"{name}.mp4", session, stretch)
            data[VIDEO] = f"{address}{name}.mp4"
        if self.layout.has_audio:
            signal, clock = self._signals.get(AUDIO, (None, Clock()))
            write_sound(folder / f"{name}.wav", signal, clock, stretch)
            data[AUDIO] = f"{address}{name}.wav"
        if self.layout.channels:
            data[SIGNALS] = time_column(stretch)
            for modality, channels in self._channels.items():
                signal, clock = self._signals.get(modality, (None, Clock()))
                data[SIGNALS] |= curves(signal, clock, stretch, modality, channels)
        return {"data": data}

    def _open(self, session: str) -> None:
        """Read the recordings of a session, except its pictures, and forget those before."""
        if session == self._session:
            return
        self._session, self._signals = session, {}
        # Sound files before videos with a sound track.
        for source in sorted(self._sources.get(session, ()), key=lambda s: s.rank != SOUND):
            if source.rank > SOUND:
                signal, key = self._read(source), source.modality
            elif AUDIO not in self._signals:
                signal, key = self._sound(source), AUDIO
            else:
                continue
            if signal is not None:
                self._signals[key] = signal, source.clock

    def _read(self, source: Source) -> Signal | None:
        modality: Modality = registry.get("modalities", source.modality)
        try:
            return modality.read(
                self._root / source.path, source.item, self._settings[source.modality]
            )
        except RecordingError as error:
            self.problems.append(str(error))
            return None

    def _sound(self, source: Source) -> Signal | None:
        modality: Modality = registry.get("modalities", source.modality)
        return modality.sound(self._root / source.path, source.item, 16_000)

    def _write_video(self, path: Path, session: str, stretch: Stretch) -> None:
        source = next((s for s in self._sources.get(session, ()) if s.rank == PICTURES), None)
        try:
            file = self._root / source.path if source else None
            write_pictures(path, file, source.clock if source else Clock(), stretch)
        except RecordingError as error:
            self.problems.append(str(error))
            write_pictures(path, None, Clock(), stretch)

    def _stretch(self, row: Mapping[str, Any]) -> Stretch:
        """Return a window with its context, within its trial."""
        # Without trials, the whole session is context.
        first_s, last_s = self._trials.get((row["session"], row["trial"]), (0.0, math.inf))
        start_s = min(row["start_s"], max(first_s, row["start_s"] - CONTEXT_S))
        return Stretch(start_s, max(row["end_s"], min(last_s, row["end_s"] + CONTEXT_S)))


def _trials(project: Project) -> dict[tuple[str, str], tuple[float, float]]:
    """Return the borders of every trial by session and name."""
    trials = read_table(project.catalog / "trials.parquet", Trials)
    return {
        (session, trial): (start_s, end_s)
        for session, trial, start_s, end_s in trials.select(
            "session", "trial", "start_s", "end_s"
        ).iter_rows()
    }


def summary(exported: Exported) -> Sequence[str]:
    """Return what was written, and how Label Studio serves the clips."""
    problems = [f"not shown: {line}" for line in dict.fromkeys(exported.problems)]
    return [
        *problems,
        f"{counted(exported.n_tasks, 'task')}: {exported.tasks}",
        f"labelling configuration: {exported.config}",
        f"clips: {exported.media}; serve them as local files of Label Studio with "
        f"LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT={exported.media.absolute().parent}",
    ]

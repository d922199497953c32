"""A project of three sessions with one bodily signal whose feature is the session time."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from consilience.core.files import content_hash, write_arrays, write_json
from consilience.core.registry import params as params_of
from consilience.modalities.gsr import Gsr
from consilience.project import Project
from consilience.schema.params.dataset import DatasetParams
from consilience.schema.params.windows import SplitParams, WindowParams
from consilience.schema.tables import (
    Alignment,
    Ingested,
    Labels,
    Pieces,
    Quality,
    Recordings,
    Table,
    frame_of,
    read_table,
    write_table,
)
from consilience.signals.types import Features, Signal

SUBJECTS = ("p0", "p1", "p2")
OFFSET_S = 2.0
WINDOWS_S = (4.0, 8.0)  # starts of the windows of each session
NAMES = ("time_s", "one")
CORRUPTIONS = {"noise": [20.0, 10.0, 5.0, 0.0, -5.0]}

Make = Callable[..., Project]


def write(path: Path, rows: list[dict[str, object]], schema: type[Table]) -> None:
    write_table(path, frame_of(rows, schema), schema)


def write_signals(project: Project, subject: str, offset: float = 0.0) -> str:
    """Write the feature frames of a subject's session; return the hash of the file."""
    path = project.signals("gsr") / f"s{subject}_gsr.npz"
    times_s = np.arange(0.05, 8, 0.1)  # ends at session time 10: half of the second window
    values = np.stack([times_s + OFFSET_S + offset, np.ones(len(times_s))], 1).astype(np.float32)
    write_arrays(path, {"times_s": times_s, "clean": values})
    table_path = project.signals("gsr") / "recordings.parquet"
    if table_path.is_file():
        table = read_table(table_path, Ingested)
        changed = pl.when(pl.col("subject") == subject).then(pl.lit(content_hash(path)))
        table = table.with_columns(content_hash=changed.otherwise("content_hash"))
        write_table(table_path, table, Ingested)
    return content_hash(path)


@pytest.fixture
def make_project(tmp_path: Path) -> Make:
    def make(params: WindowParams, status: str = "aligned") -> Project:
        project = Project(tmp_path)
        (tmp_path / "data").mkdir()
        sections = [
            DatasetParams(root="recordings", synthetic=[]),
            params,
            SplitParams(folds=3, validation_subjects=1),
        ]
        content: dict[str, Any] = {part.KEY: part.model_dump(mode="json") for part in sections}
        gsr = params_of("modalities", "gsr")(hop_s=0.1, corruptions=CORRUPTIONS)
        content["modalities"] = {"gsr": gsr.model_dump(mode="json")}
        project.params_file.write_text(json.dumps(content))
        labels, ingested, aligned, pieces = [], [], [], []
        for subject in SUBJECTS:
            session, name = f"s{subject}", f"s{subject}_gsr"
            labels += [
                {"window": f"{session}{start}", "session": session, "subject": subject}
                | {"trial": "t", "start_s": start, "end_s": start + 4}
                | {"n_annotators": 1, "valence": 0.5}
                for start in WINDOWS_S
            ]
            keys: dict[str, object] = {"recording": name, "session": session}
            ingested.append(
                {**keys, "subject": subject, "status": "ok", "n_frames": 80}
                | {"content_hash": write_signals(project, subject)}
            )
            aligned.append(
                {**keys, "modality": "gsr", "method": "pulses", "n_anchors": 9, "n_pieces": 1}
                | {"status": status}
            )
            pieces.append(
                {"recording": name, "from_native_s": -np.inf, "until_native_s": np.inf}
                | {"offset_s": OFFSET_S, "drift_ppm": 0.0}
            )
        write(project.labels / "labels.parquet", labels, Labels)
        write(project.signals("gsr") / "recordings.parquet", ingested, Ingested)
        # The level of one recording was measured, besides another quality of all.
        quality: list[dict[str, object]] = [
            {"recording": row["recording"], "measure": "snr_db", "value": 9.0} for row in ingested
        ]
        quality.append({"recording": "sp1_gsr", "measure": "level_db", "value": -20.0})
        write(project.signals("gsr") / "quality.parquet", quality, Quality)
        write(project.alignment / "alignment.parquet", aligned, Alignment)
        write(project.alignment / "pieces.parquet", pieces, Pieces)
        write_json(project.signals("gsr") / "features.json", {"names": list(NAMES)})
        write_json(project.labels / "summary.json", {"classes": {"calm": 0, "sad": 0}})
        return project

    return make


def catalog(project: Project) -> None:
    """Write a file for every session, and its row of the catalog."""
    rows = []
    project.dataset_root.mkdir(parents=True)
    for subject in SUBJECTS:
        path = project.dataset_root / f"s{subject}.csv"
        path.write_text(f"of {subject}")
        rows.append(
            {"recording": f"s{subject}_gsr", "session": f"s{subject}", "subject": subject}
            | {"modality": "gsr", "path": path.name, "clock": "shared", "status": "ok"}
            | {"content_hash": content_hash(path)}
        )
    write(project.recordings_table("gsr"), rows, Recordings)


def change_params(project: Project, section: str, changes: dict[str, object]) -> None:
    content = json.loads(project.params_file.read_text())
    content[section] |= changes
    project.params_file.write_text(json.dumps(content))


class Sensor(Gsr):
    """Electrodermal activity whose samples are the session time and whose features they are."""

    def read(self, path: Path, item: str | None, params: Any) -> Signal:
        times_s = np.arange(0.05, 8, 0.1)
        values = np.stack([times_s + OFFSET_S, np.ones(len(times_s))], 1)
        return Signal(values, times_s, NAMES)

    def identity(self, path: Path, item: str | None) -> str:
        return content_hash(path)

    def corrupt(self, signal: Signal, kind: str, severity: int, params: Any, rng: Any) -> Signal:
        noise = severity * rng.standard_normal(signal.values.shape)
        return replace(signal, values=signal.values + noise)

    def features(self, signal: Signal, params: Any) -> Features:
        return Features(signal.values.astype(np.float32), signal.times_s, NAMES, {})

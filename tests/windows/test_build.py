from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from consilience.core.errors import ConsilienceError
from consilience.core.files import write_arrays, write_json
from consilience.project import Project
from consilience.schema.params.dataset import DatasetParams
from consilience.schema.params.windows import SplitParams, WindowParams
from consilience.schema.tables import (
    Alignment,
    Ingested,
    Labels,
    Pieces,
    Table,
    frame_of,
    write_table,
)
from consilience.windows import build
from consilience.windows.build import window
from consilience.windows.store import load_corpus

SUBJECTS = ("p0", "p1", "p2")
OFFSET_S = 2.0
WINDOWS_S = (4.0, 8.0)  # starts of the windows of each session


def write(path: Path, rows: list[dict[str, object]], schema: type[Table]) -> None:
    write_table(path, frame_of(rows, schema), schema)


def make_project(folder: Path, params: WindowParams, status: str = "aligned") -> Project:
    """Write labels, clocks and features of one modality whose feature is the session time."""
    project = Project(folder)
    sections = [DatasetParams(), params, SplitParams(folds=3, validation_subjects=1)]
    content: dict[str, Any] = {part.KEY: part.model_dump(mode="json") for part in sections}
    project.params_file.write_text(json.dumps({**content, "modalities": {"gsr": {}}}))
    labels, ingested, aligned, pieces = [], [], [], []
    for subject in SUBJECTS:
        session, name = f"s{subject}", f"s{subject}_gsr"
        labels += [
            {"window": f"{session}{start}", "session": session, "subject": subject, "trial": "t"}
            | {"start_s": start, "end_s": start + 4, "n_annotators": 1, "valence": 0.5}
            for start in WINDOWS_S
        ]
        times_s = np.arange(0.05, 8, 0.1)  # ends at session time 10: half of the second window
        values = (times_s + OFFSET_S).astype(np.float32)[:, None]
        write_arrays(
            project.signals("gsr") / f"{name}.npz",
            {"times_s": times_s, "clean": values, "noise_1": values + 100},
        )
        keys: dict[str, object] = {"recording": name, "session": session}
        ingested.append(
            {**keys, "subject": subject, "status": "ok", "n_frames": 80, "quality": 0.75}
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
    write(project.alignment / "alignment.parquet", aligned, Alignment)
    write(project.alignment / "pieces.parquet", pieces, Pieces)
    write_json(project.signals("gsr") / "features.json", {"names": ["time_s"]})
    write_json(project.labels / "summary.json", {"classes": {"calm": 0, "sad": 0}})
    return project


@pytest.fixture(autouse=True)
def modality(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    params = SimpleNamespace(variants=("noise_1",), encoding={"width": 8}, frame_rate_hz=10.0)
    monkeypatch.setattr(build, "modality_params", lambda project: {"gsr": params})
    return params


def test_windows_are_cut_at_their_session_times(tmp_path: Path) -> None:
    project = make_project(tmp_path, WindowParams(min_coverage=0.6))
    lines: list[str] = []
    window(project, emit=lines.append)
    corpus = load_corpus(project.windows)
    windows = corpus.windows("gsr")
    assert windows.shape == (3, 40, 1)  # the second window of each session is half covered
    for row in windows:
        np.testing.assert_allclose(row[:, 0], 4.05 + np.arange(40) / 10, atol=1e-5)
    assert lines == ["window: 3 of 6 labelled windows have a recording: gsr in 3"]
    np.testing.assert_array_equal(np.load(project.windows / "quality.npy"), [[0.75]] * 3)


def test_every_variant_is_cut_from_its_features_and_clock(tmp_path: Path) -> None:
    project = make_project(tmp_path, WindowParams(desync_s=(0.1, 0.2, 0.5, 1.0, 1.5)))
    window(project, emit=lambda line: None)
    corpus = load_corpus(project.windows)
    assert corpus.variants["gsr"] == ("noise_1", *(f"desync_{level}" for level in range(1, 6)))
    clean = corpus.windows("gsr")[0, :, 0]
    np.testing.assert_allclose(corpus.windows("gsr", "noise_1")[0, :, 0], clean + 100, atol=1e-4)
    late = corpus.windows("gsr", "desync_4")[0, :, 0]
    np.testing.assert_allclose(late, clean - 1.0, atol=1e-4)


@pytest.mark.parametrize(("length_s", "rate_hz"), [(None, 10.0), (4.0, None)])
def test_desynchronised_variants_need_a_time_axis_and_windows_within_trials(
    tmp_path: Path, modality: SimpleNamespace, length_s: float | None, rate_hz: float | None
) -> None:
    modality.frame_rate_hz = rate_hz
    project = make_project(tmp_path, WindowParams(length_s=length_s, max_length_s=4.0))
    window(project, emit=lambda line: None)
    assert load_corpus(project.windows).variants["gsr"] == ("noise_1",)


def test_coverage_below_the_threshold_makes_a_modality_unavailable(tmp_path: Path) -> None:
    project = make_project(tmp_path, WindowParams(min_coverage=0.5))
    window(project, emit=lambda line: None)
    corpus = load_corpus(project.windows)
    assert corpus.available.shape == (6, 1)
    covered = np.load(project.windows / "coverage.npy")
    np.testing.assert_allclose(covered[:2, 0], [1.0, 0.5], atol=0.03)


def test_a_project_without_an_aligned_recording_is_an_error(tmp_path: Path) -> None:
    project = make_project(tmp_path, WindowParams(), status="coarse")
    with pytest.raises(ConsilienceError, match="no window has both a label and an aligned"):
        window(project, emit=lambda line: None)
    assert not project.windows.exists()


def test_the_meta_data_describe_the_store(tmp_path: Path) -> None:
    project = make_project(tmp_path, WindowParams())
    window(project, emit=lambda line: None)
    meta = json.loads((project.windows / "meta.json").read_text())
    assert meta["classes"] == ["calm", "sad"]
    assert meta["features"] == {"gsr": ["time_s"]}
    assert meta["encodings"] == {"gsr": {"width": 8}}
    assert (meta["frame_rate_hz"], meta["length_s"]) == ({"gsr": 10.0}, 4.0)

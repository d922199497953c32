from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from consilience.alignment import run
from consilience.alignment.clock import SHARED, Clock, ClockFit, Line, Piece, unaligned
from consilience.alignment.session import Recording
from consilience.ingest.usable import UnusableModalityError
from consilience.project import Project
from consilience.schema.tables import Alignment, Anchors, Pieces, read_table


def recording(folder: Path, name: str, duration_s: float | None = 20.0) -> Recording:
    path = folder / name
    return Recording(
        name, "s", "eeg", folder, path, None, "anchors", None, 1.0, 0.5, 19.5, duration_s
    )


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """Return a project with an aligned, an unaligned and a shared clock."""
    reset = Clock((Piece(Line(1.0), -np.inf, 8.0), Piece(Line(2.0, 50.0), 10.0)))
    anchors = np.array([[2.0, 3.001], [6.0, 7.0], [15.0, 17.0]])
    fits = [
        (recording(tmp_path, "a"), ClockFit(reset, "pulses", anchors, 0.5, 2.0, 0.99, "aligned")),
        (recording(tmp_path, "b"), unaligned("pulses", "no pulse")),
        (recording(tmp_path, "c", None), SHARED),
    ]
    monkeypatch.setattr(run, "align_recordings", lambda project: fits)
    (tmp_path / "params.yaml").write_text("modalities: {eeg: {}}")
    return Project(tmp_path)


def test_clocks_are_written_as_tables(project: Project) -> None:
    run.align(project, emit=lambda line: None)
    table = read_table(project.alignment / "alignment.parquet", Alignment)
    rows = {row["recording"]: row for row in table.iter_rows(named=True)}
    assert (rows["a"]["offset_s"], rows["a"]["drift_ppm"], rows["a"]["n_pieces"]) == (1.0, 0.0, 2)
    assert rows["a"]["start_s"] == 1.0
    assert rows["a"]["end_s"] == pytest.approx(22.001)
    assert (rows["b"]["offset_s"], rows["b"]["n_pieces"], rows["b"]["end_s"]) == (None, 0, None)
    assert (rows["c"]["offset_s"], rows["c"]["end_s"]) == (0.0, None)
    pieces = read_table(project.alignment / "pieces.parquet", Pieces)
    assert pieces["recording"].to_list() == ["a", "a", "c"]
    assert pieces["until_native_s"].to_list()[0] == 8.0


def test_anchors_are_written_with_their_residuals(project: Project) -> None:
    run.align(project, emit=lambda line: None)
    anchors = read_table(project.alignment / "anchors.parquet", Anchors)
    assert anchors["recording"].to_list() == ["a"] * 3
    assert anchors["residual_ms"].to_list() == pytest.approx([1.0, 0.0, -0.75])


def test_the_summary_counts_statuses_and_methods(project: Project) -> None:
    lines: list[str] = []
    run.align(project, emit=lines.append)
    summary = json.loads((project.alignment / "summary.json").read_text())
    assert (summary["recordings"], summary["aligned"], summary["unaligned"]) == (3, 2, 1)
    assert summary["methods"] == {"pulses": 2, "shared clock": 1}
    assert summary["median_residual_ms"] == {"eeg": 0.5}
    assert lines == [
        "align: 3 recordings, 2 aligned, 0 coarse, 1 unaligned",
        "  unaligned b: no pulse",
    ]


def test_a_modality_without_an_aligned_recording_ends_the_run_with_the_reasons(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    lost = [(recording(project.root, name), unaligned("pulses", "no pulse")) for name in "ab"]
    monkeypatch.setattr(run, "align_recordings", lambda project: lost)
    with pytest.raises(UnusableModalityError) as caught:
        run.align(project, emit=lambda line: None)
    assert str(caught.value) == (
        "modality eeg: none of 2 recordings is usable: 2 × no pulse (all are in "
        "data/alignment/alignment.parquet; correct them, or remove the modality from params.yaml)"
    )
    assert read_table(project.alignment / "alignment.parquet", Alignment).height == 2


def test_a_second_run_writes_the_same_tables(project: Project) -> None:
    tables: list[pl.DataFrame] = []
    for _ in range(2):
        run.align(project, emit=lambda line: None)
        tables.append(read_table(project.alignment / "alignment.parquet", Alignment))
    assert tables[0].equals(tables[1])

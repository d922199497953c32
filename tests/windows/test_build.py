from __future__ import annotations

import json

import numpy as np
import polars as pl
import pytest

from consilience.core.errors import ConsilienceError
from consilience.core.files import write_json
from consilience.core.store import Store
from consilience.project import Project
from consilience.schema.params.windows import WindowParams
from consilience.schema.tables import Alignment, Labels, read_table, write_table
from consilience.windows import build
from consilience.windows.build import window
from consilience.windows.store import load_corpus
from tests.windows.conftest import NAMES, Make, write_signals

MEAN, SLOPE = 0, 7 * len(NAMES)  # places of functionals of the first feature


def quiet(line: str) -> None:
    pass


def test_windows_are_cut_at_their_session_times(make_project: Make) -> None:
    project = make_project(WindowParams(min_coverage=0.6))
    lines: list[str] = []
    window(project, emit=lines.append)
    corpus = load_corpus(project.windows)
    inputs = corpus.windows("gsr")
    assert len(inputs) == 3  # the second window of each session is half covered
    # The feature is the session time: its mean is the middle of the window, from 4 to 8 s.
    np.testing.assert_allclose(inputs[:, MEAN], 6.0, atol=1e-5)
    assert lines == ["window: 3 of 6 labelled windows have a recording: gsr in 3"]


def test_levels_are_those_of_the_recordings(make_project: Make) -> None:
    project = make_project(WindowParams(min_coverage=0.6))
    window(project, emit=quiet)
    assert load_corpus(project.windows).levels.rows() == [("sp1", "gsr", -20.0)]


def test_coverage_below_the_threshold_makes_a_modality_unavailable(make_project: Make) -> None:
    project = make_project(WindowParams(min_coverage=0.5))
    window(project, emit=quiet)
    corpus = load_corpus(project.windows)
    assert corpus.available.shape == (6, 1)
    covered = np.load(project.windows / "coverage.npy")
    np.testing.assert_allclose(covered[:2, 0], [1.0, 0.5], atol=0.03)


def test_a_project_without_an_aligned_recording_is_an_error(make_project: Make) -> None:
    project = make_project(WindowParams(), "coarse")
    with pytest.raises(ConsilienceError, match="no window has both a label and an aligned"):
        window(project, emit=quiet)
    assert not project.windows.exists()


def of_classes(project: Project, *likeliest: int) -> None:
    """Give the windows of the project these classes, one after the other."""
    path = project.labels / "labels.parquet"
    table = read_table(path, Labels)
    rows = [[float(n == likeliest[row % len(likeliest)]) for n in (0, 1)] for row in range(6)]
    probability = pl.Series("class_probability", rows, pl.List(pl.Float64))
    write_table(path, table.with_columns(probability), Labels)


def test_labels_of_one_class_are_an_error_of_one_line(make_project: Make) -> None:
    project = make_project(WindowParams())
    of_classes(project, 1)
    with pytest.raises(ConsilienceError) as caught:
        window(project, emit=quiet)
    assert str(caught.value) == (
        f"{project.labels / 'summary.json'}: 'sad' is the only class of the labels "
        "(annotate windows of another class: a model needs two)"
    )
    assert not project.windows.exists()
    of_classes(project, 1, 0)
    window(project, emit=quiet)
    assert project.windows.exists()


def test_undecided_labels_are_of_all_their_classes(make_project: Make) -> None:
    project = make_project(WindowParams())
    path = project.labels / "labels.parquet"
    halves = pl.Series("class_probability", [[0.5, 0.5]] * 6, pl.List(pl.Float64))
    write_table(path, read_table(path, Labels).with_columns(halves), Labels)
    window(project, emit=quiet)
    assert project.windows.exists()


def test_a_dataset_of_one_class_is_an_error(make_project: Make) -> None:
    project = make_project(WindowParams())
    write_json(project.labels / "summary.json", {"classes": {"calm": 0}})
    with pytest.raises(ConsilienceError, match="'calm' is the only class"):
        window(project, emit=quiet)


def test_the_meta_data_describe_the_store(make_project: Make) -> None:
    project = make_project(WindowParams())
    window(project, emit=quiet)
    meta = json.loads((project.windows / "meta.json").read_text())
    assert meta["classes"] == ["calm", "sad"]
    assert meta["features"] == {"gsr": list(NAMES)}
    assert (meta["frame_rate_hz"], meta["length_s"]) == ({"gsr": 10.0}, 4.0)
    assert list(meta["shards"]) == ["sp0", "sp1", "sp2"]


def test_only_sessions_that_changed_are_cut_again(
    make_project: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = make_project(WindowParams())
    window(project, emit=quiet)
    before = {path.name: path.read_bytes() for path in (project.windows / "sessions").iterdir()}
    cut: list[str] = []
    compute = build.cut_session

    def counted(session: build.Session, *further: object) -> object:
        cut.append(session.name)
        return compute(session, *further)  # type: ignore[arg-type]

    monkeypatch.setattr(build, "cut_session", counted)
    window(project, emit=quiet)
    assert cut == []
    write_signals(project, "p1", offset=3.0)
    window(project, emit=quiet)
    assert cut == ["sp1"]
    after = {path.name: path.read_bytes() for path in (project.windows / "sessions").iterdir()}
    assert {name for name in after if after[name] != before[name]} == {"sp1.npz"}


def test_a_clock_or_a_window_that_changed_changes_the_session(make_project: Make) -> None:
    project = make_project(WindowParams())
    window(project, emit=quiet)
    first = load_corpus(project.windows).windows("gsr")
    labels = read_table(project.labels / "labels.parquet", Labels)
    moved = pl.when(pl.col("session") == "sp2").then(pl.col("start_s") - 0.5)
    labels = labels.with_columns(start_s=moved.otherwise(pl.col("start_s")))
    write_table(project.labels / "labels.parquet", labels, Labels)
    window(project, emit=quiet)
    second = load_corpus(project.windows).windows("gsr")
    np.testing.assert_array_equal(first[:4], second[:4])
    assert not np.allclose(first[4:], second[4:])


def test_a_damaged_entry_of_the_store_is_computed_again(make_project: Make) -> None:
    project = make_project(WindowParams())
    window(project, emit=quiet)
    first = load_corpus(project.windows).windows("gsr")
    for path in Store(project.store("windows")).folder.glob("*.npz"):
        path.write_bytes(path.read_bytes()[:-9] + b"123456789")
    window(project, emit=quiet)
    np.testing.assert_array_equal(load_corpus(project.windows).windows("gsr"), first)


def test_a_session_without_an_aligned_recording_has_no_windows(make_project: Make) -> None:
    project = make_project(WindowParams())
    path = project.alignment / "alignment.parquet"
    status = pl.when(pl.col("session") == "sp1").then(pl.lit("coarse")).otherwise("status")
    write_table(path, read_table(path, Alignment).with_columns(status=status), Alignment)
    project.windows.mkdir()
    index = build.write_windows(project, project.windows, quiet)
    assert index["session"].unique().sort().to_list() == ["sp0", "sp2"]
    shards = json.loads((project.windows / "meta.json").read_text())["shards"]
    assert list(shards) == ["sp0", "sp2"]

"""The files written here have the names, layout and faults of the published ones."""

from __future__ import annotations

import tarfile
from pathlib import Path

import numpy as np
import pytest

from benchmarks.evidence.unpack import write_files
from consilience import params
from consilience.core.errors import ConsilienceError
from consilience.core.seeds import generator
from consilience.datasets.stress_predict import CLASS_OF, FILES, dataset
from consilience.ingest.catalog import build_catalog
from consilience.schema.tables import Annotations, Trials
from consilience.testing import DATASET_CHECKS, DatasetCase, name_of

START_S = 1645456369.0
MARKS_S = (600, 900, 1200, 1800, 2100, 2220, 2520)
SPANS_S = {
    "baseline": (180, 570),
    "stroop": (600, 900),
    "relax": (900, 1200),
    "interview": (1200, 1800),
    "relax-2": (1800, 2100),
    "relax-3": (2220, 2520),
}
HALF_DAY_S = 43200


def samples(name: str, times_s: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return what a sensor of the wrist gives, shape (n_samples, n_axes)."""
    noise = rng.standard_normal((len(times_s), 3 if name == "acceleration" else 1))
    wave = {
        "ppg": 60 * np.clip(np.sin(2 * np.pi * 1.2 * times_s), 0, None) ** 3,
        "gsr": 0.4 + 0.05 * np.sin(times_s / 7),
        "temperature": 32 + 0.2 * np.sin(times_s / 50),
        "acceleration": np.full(len(times_s), 37.0),
    }[name]
    return wave[:, None] + {"gsr": 1e-3, "temperature": 0.01}.get(name, 1.0) * noise


def write_file(path: Path, name: str, start_s: float, duration_s: float) -> None:
    rate_hz = FILES[name][1]
    values = samples(name, np.arange(int(duration_s * rate_hz)) / rate_hz, generator(str(path)))
    rows = [[start_s] * values.shape[1], [rate_hz] * values.shape[1], *values]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(", ".join(f"{value:.6f}" for value in row) + "\n" for row in rows))


def write_session(
    root: Path, subject: str, marks_s: tuple[float, ...] = MARKS_S, duration_s: float = 30
) -> Path:
    folder = root / "Raw_data" / subject
    for name, (file, _) in FILES.items():
        write_file(folder / file, name, START_S, duration_s)
    (folder / "HR.csv").write_text(f"{START_S + 10}\n1.0\n72.0\n")
    tags = "".join(f"{START_S + mark_s:.2f}\n" for mark_s in marks_s)
    (folder / f"tags_{subject}.csv").write_text(tags)
    return folder


def write_root(root: Path) -> None:
    write_session(root, "S05")
    write_session(root, "S07")


@pytest.fixture(scope="module")
def case(tmp_path_factory: pytest.TempPathFactory) -> DatasetCase:
    root = tmp_path_factory.mktemp("stress_predict")
    write_root(root)
    return DatasetCase(dataset, root)


@pytest.mark.parametrize("check", DATASET_CHECKS, ids=name_of)
def test_it_keeps_the_contract(check, case: DatasetCase) -> None:
    check(case)


def spans_s(listing, session: str) -> dict[str, tuple[float, float]]:
    rows = listing.trials.filter(session=session).select("trial", "start_s", "end_s").rows()
    return {trial: (start_s, end_s) for trial, start_s, end_s in rows}


def test_tasks_lie_between_the_marks(case: DatasetCase) -> None:
    listing = dataset.list(case.root)
    assert listing.problems == []
    Trials.validate(listing.trials)
    assert spans_s(listing, "S05") == spans_s(listing, "S07") == SPANS_S
    labels = Annotations.validate(listing.annotations).filter(session="S05")
    expected = [CLASS_OF[trial.split("-")[0]] for trial in SPANS_S]
    assert labels["label"].to_list() == expected


def test_marks_of_a_clock_12_hours_off_are_moved_and_reported(tmp_path: Path) -> None:
    moved = tuple(m - HALF_DAY_S if place in (3, 6) else m for place, m in enumerate(MARKS_S))
    write_session(tmp_path, "S17", moved, 5)
    listing = dataset.list(tmp_path)
    assert spans_s(listing, "S17") == SPANS_S
    assert [(where, what) for where, what, _ in listing.problems] == [
        ("Raw_data/S17/tags_S17.csv", "mark 4 lies 11.5 h before the recording"),
        ("Raw_data/S17/tags_S17.csv", "mark 7 lies 11.3 h before the recording"),
    ]


def test_marks_after_the_seventh_are_not_needed_and_a_late_start_leaves_no_baseline(
    tmp_path: Path,
) -> None:
    early = tuple(mark_s - 520 for mark_s in MARKS_S)  # the first at 80 s
    write_session(tmp_path, "S01", (*early, 2623, 3245), 5)
    listing = dataset.list(tmp_path)
    assert listing.problems == []
    assert list(spans_s(listing, "S01")) == [trial for trial in SPANS_S if trial != "baseline"]


@pytest.mark.parametrize(
    "marks_s",
    [
        (),
        MARKS_S[:6],
        (*MARKS_S[:2], *MARKS_S[3:], 3000),  # one within is missing, one after the last is not
        (*MARKS_S[:1], 610, *MARKS_S[1:]),  # pressed twice
        tuple(reversed(MARKS_S)),
    ],
)
def test_marks_that_do_not_fit_label_nothing_without_a_table(
    tmp_path: Path, marks_s: tuple[float, ...]
) -> None:
    write_session(tmp_path, "S06", marks_s, 5)
    write_session(tmp_path, "S07", MARKS_S, 5)
    listing = dataset.list(tmp_path)
    ((where, what, remedy),) = listing.problems
    assert where == "Raw_data/S06/tags_S06.csv"
    assert "not fit the protocol" in what
    assert remedy == "state its tasks in labels.csv"
    assert set(listing.trials["session"]) == {"S07"}
    assert {entry.session for entry in listing.entries} == {"S06", "S07"}

    rows = ["S06,stroop,600,960", "S06,relax,960,1320", "S06,nap,0,1", "S99,relax,0,9"]
    table = "\n".join(["subject,task,start_s,end_s", *rows, "S06,interview,9,8"])
    (tmp_path / "labels.csv").write_text(table + "\n")
    listing = dataset.list(tmp_path)
    assert spans_s(listing, "S06") == {"stroop": (600, 960), "relax": (960, 1320)}
    assert spans_s(listing, "S07") == SPANS_S
    reported = {where: remedy for where, _, remedy in listing.problems}
    assert reported[where] == "the tasks are those of labels.csv"
    assert sum(place.startswith("labels.csv") for place, _, _ in listing.problems) == 3


def test_a_file_of_another_session_is_left_out_and_a_damaged_one_quarantined(
    tmp_path: Path,
) -> None:
    folder = write_session(tmp_path, "S05")
    write_file(folder / "TEMP.csv", "temperature", START_S + 4000, 30)
    (folder / "EDA.csv").write_bytes(b"\0\1")
    listing = dataset.list(tmp_path)
    assert {entry.modality for entry in listing.entries} == {"ppg", "gsr", "acceleration"}
    assert listing.problems == [
        (
            "Raw_data/S05/TEMP.csv",
            "it begins +4000 s from the session's other files",
            "it belongs to another session; left out",
        )
    ]
    counts = build_catalog(dataset, tmp_path, ["gsr", "ppg"]).summary()["modalities"]
    assert (counts["gsr"]["quarantined"], counts["ppg"]["ok"]) == (1, 1)


def test_two_folders_of_a_subject_are_reported(tmp_path: Path) -> None:
    write_session(tmp_path, "S05", duration_s=5)
    write_session(tmp_path / "copy", "S05", duration_s=5)
    write_session(tmp_path, "extra", duration_s=5)
    listing = dataset.list(tmp_path)
    assert [where for where, _, _ in listing.problems] == ["copy/Raw_data/S05", "Raw_data/extra"]
    assert len(listing.entries) == len(FILES)


def test_the_packed_archive_and_another_folder_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConsilienceError, match="no recording of Stress-Predict found"):
        dataset.list(tmp_path)
    (tmp_path / "raw_data.tar.xz").touch()
    with pytest.raises(ConsilienceError, match=r"are packed .*tar xf raw_data.tar.xz"):
        dataset.list(tmp_path)


def test_the_preset_is_sufficient() -> None:
    content = params.parse(params.defaults("stress_predict", "somewhere"))
    assert set(content.modalities) == set(FILES)
    assert content.windows.length_s == 60


@pytest.mark.real_data
@pytest.mark.slow
def test_the_real_marks_give_the_published_tasks(real_data: Path, tmp_path: Path) -> None:
    with tarfile.open(real_data / "stress_predict" / "raw_data.tar.xz") as archive:
        write_files(archive, tmp_path)
    listing = dataset.list(tmp_path)
    text = (real_data / "stress_predict" / "labels.csv").read_text()
    rows = [line.split(",") for line in text.splitlines()[1:]]
    from_marks = set(listing.trials["session"])
    assert {where[-7:-4] for where, what, _ in listing.problems if "do not fit" in what} == {
        "S01",
        "S06",
    }
    assert len(from_marks) == 24
    stated = {
        (row[0], round(float(row[4])), round(float(row[5])))
        for row in rows
        if row[0] in from_marks and row[3] in CLASS_OF
    }
    marked = {
        (session, round(start_s), round(end_s))
        for session, _, start_s, end_s in listing.trials.rows()
    }
    near = {(s, a + i, b + j) for s, a, b in stated for i in (-1, 0, 1) for j in (-1, 0, 1)}
    assert len(marked) == len(stated)
    assert marked <= near

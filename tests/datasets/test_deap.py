"""DEAP cannot be had freely: these files have its layout and formats, from public descriptions."""

from __future__ import annotations

import pickle
from pathlib import Path

import edfio
import numpy as np
import polars as pl
import pytest
import scipy.io
from hypothesis import given, settings
from hypothesis import strategies as st

from consilience import params
from consilience.core.errors import ConsilienceError
from consilience.core.seeds import generator
from consilience.datasets.deap import LAYOUT, NUMBERS, dataset
from consilience.ingest.catalog import build_catalog
from consilience.schema.tables import Annotations, Trials

HEADER = (
    "Participant_id,Trial,Experiment_id,Start_time,Valence,Arousal,Dominance,Liking,Familiarity"
)
RATE_HZ = 64  # of the files written here; DEAP's is 512
CYCLE_S = 65.0


def status(n_videos: int = 40, flags: int = 0) -> np.ndarray:
    """Return a Status channel: screens 1, 3, video 4, screen 5, with an amplifier's flags."""
    codes = np.zeros(int((n_videos * CYCLE_S + 5) * RATE_HZ), np.int32)
    for video in range(n_videos):
        start = video * CYCLE_S
        for offset_s, code in ((1, 3), (3, 4), (63, 5), (64, 1)):
            at = int((start + offset_s) * RATE_HZ)
            codes[at : at + 4] = code
    return codes + flags


def bdf(path: Path, codes: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    values = generator(path.name).normal(0, 20, (2, len(codes)))
    limits = {"physical_range": (-8388608, 8388607), "digital_range": (-8388608, 8388607)}
    signals = [
        edfio.BdfSignal(
            row, RATE_HZ, label=name, physical_dimension="uV", physical_range=(-500, 500)
        )
        for name, row in zip(("Fp1", "Cz"), values, strict=True)
    ]
    signals.append(
        edfio.BdfSignal.from_digital(codes.astype(np.int32), RATE_HZ, label="Status", **limits)
    )
    edfio.Bdf(signals).write(path)


def ratings(root: Path, *subjects: int, header: str = HEADER) -> None:
    """Rate trial t: video 41 - t, high valence in every other, high arousal in the second half."""
    rows = [
        f"{subject},{trial},{41 - trial},1,{7 if trial % 2 else 3},{8 if trial > 20 else 2},5,5,"
        for subject in subjects
        for trial in range(1, 41)
    ]
    path = root / "metadata_csv/participant_ratings.csv"
    path.parent.mkdir(exist_ok=True)
    path.write_text("\n".join([header, *rows]) + "\n")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    bdf(tmp_path / "data_original/s01.bdf", status())
    ratings(tmp_path, 1)
    return tmp_path


@pytest.mark.parametrize("flags", [0, 0x10000, 0x3F00, 0x18FF00])
def test_trials_are_located_by_the_status_channel(tmp_path, flags):
    """Subjects 23 to 32 were recorded elsewhere, with other flags above the trigger's bits."""
    bdf(tmp_path / "s01.bdf", status(flags=flags))
    ratings(tmp_path, 1)
    trials = Trials.validate(dataset.list(tmp_path).trials)
    assert trials.select("trial", "start_s", "end_s").row(0) == ("trial-01", 3.0, 63.0)
    assert trials.height == 40
    assert trials["start_s"].to_list() == [3 + CYCLE_S * video for video in range(40)]


def test_a_code_of_16_bits_is_not_that_of_its_lower_byte(root):
    codes = status()
    codes[RATE_HZ : RATE_HZ + 4] = 0x104  # not the start of a video
    bdf(root / "data_original/s01.bdf", codes)
    assert dataset.list(root).trials["start_s"].to_list()[0] == 3


def test_a_trial_is_rated_in_the_order_of_presentation(root):
    annotations = Annotations.validate(dataset.list(root).annotations)
    first = annotations.head(3)
    assert first.select("annotator", "target", "label", "value").rows() == [
        ("self", "emotion", "HVLA", None),
        ("self", "valence", None, 0.5),
        ("self", "arousal", None, -0.75),
    ]
    assert set(annotations["label"].drop_nulls()) == set(dataset.classes)


def test_a_preprocessed_trial_is_rated_in_the_order_of_the_videos(tmp_path):
    cube = generator("deap").normal(0, 20, (40, 40, 128 * 4))
    (tmp_path / "data_preprocessed_matlab").mkdir()
    scipy.io.savemat(
        tmp_path / "data_preprocessed_matlab/s01.mat",
        {"data": cube, "labels": np.zeros((40, 4))},
        do_compression=True,
    )
    ratings(tmp_path, 1)
    listing = dataset.list(tmp_path)
    first = listing.entries[0]
    assert (first.session, first.item) == ("s01_video-01", LAYOUT.item(0))
    assert listing.trials.row(0)[2:] == (3.0, 63.0)
    # The first video was trial 40: low valence, high arousal.
    annotations = listing.annotations.filter(session="s01_video-01", target="emotion")
    assert annotations["label"].to_list() == ["LVHA"]
    catalog = build_catalog(dataset, tmp_path, ["eeg"])
    assert catalog.recordings["eeg"]["status"].to_list() == ["ok"] * 40


def test_the_layout_names_forty_channels():
    assert len(LAYOUT.channels) == 40


def test_labels_are_the_subjects_reports(root):
    content = params.defaults("deap", str(root))
    assert content["annotation"]["source"] == "self"


def test_pickles_are_never_opened_and_a_remedy_is_given(root, tmp_path):
    class Trap:
        def __reduce__(self):
            return (Path.touch, (tmp_path / "sprung",))

    (root / "data_preprocessed_python").mkdir()
    (root / "data_preprocessed_python/s01.dat").write_bytes(pickle.dumps(Trap()))
    ((where, what, remedy),) = dataset.list(root).problems
    assert where == "data_preprocessed_python"
    assert "never opened" in what
    assert "data_preprocessed_matlab.zip" in remedy
    (root / "data_original/s01.bdf").unlink()
    with pytest.raises(ConsilienceError, match=r"run code when loaded.*data_original\.zip"):
        dataset.list(root)
    assert not (tmp_path / "sprung").exists()


@pytest.mark.parametrize(
    ("codes", "what"),
    [
        (status(39), "39 videos start"),
        (np.zeros(RATE_HZ * 60, np.int32), "0 videos start"),
    ],
)
def test_an_unknown_order_of_videos_is_not_guessed(root, codes, what):
    bdf(root / "data_original/s01.bdf", codes)
    listing = dataset.list(root)
    assert what in listing.problems[0][1]
    assert listing.trials.is_empty()
    assert listing.annotations.is_empty()
    assert len(listing.entries) == 1


def test_an_unreadable_file_is_reported_and_stays_listed(root):
    (root / "data_original/s02.bdf").write_bytes(b"\xffBIOSEMI" + b" " * 300)
    listing = dataset.list(root)
    assert listing.problems[0][0] == "data_original/s02.bdf"
    assert [entry.session for entry in listing.entries] == ["s01", "s02"]
    assert listing.trials.height == 40


@pytest.mark.parametrize(
    ("old", "new", "what"),
    [
        ("1,2,39,1,3,2", "1,2,39,1,0,2", "not from 1 to 9"),
        ("1,2,39,1,3,2", "1,2,39,1,,2", "not a number"),
        ("1,2,39,1,3,2", "1,1,39,1,3,2", "trial is rated twice"),
        ("1,2,39,1,3,2", "1,2,40,1,3,2", "video is rated twice"),
        ("1,2,39,1,3,2", "1,2,41,1,3,2", "not one of 1 to 40"),
        ("1,2,39,1,3,2", "1,2.5,39,1,3,2", "not one of 1 to 40"),
    ],
)
def test_an_invalid_rating_is_reported_by_row(root, old, new, what):
    path = root / "metadata_csv/participant_ratings.csv"
    path.write_text(path.read_text().replace(old, new))
    listing = dataset.list(root)
    ((where, message, _),) = listing.problems
    assert where == "participant_ratings.csv line 3"
    assert what in message
    assert listing.annotations.height == 3 * 39


whole = st.integers(0, 41).map(str)
cells = whole | st.floats(width=16).map(str) | st.sampled_from(["", '"', "\0", "é", "1e400", "5"])
likely = st.tuples(st.just("1"), whole, whole, *[st.floats(1, 9).map(str)] * 2)


@given(
    columns=st.permutations([*NUMBERS, "Liking"]),
    rows=st.lists(likely | st.tuples(*[cells] * 5), max_size=8),
    tail=st.binary(max_size=8),
)
@settings(max_examples=60)
def test_any_ratings_are_used_or_reported(tmp_path_factory, columns, rows, tail):
    root = tmp_path_factory.mktemp("deap")
    (root / "s01.mat").touch()
    named = [dict(zip((*NUMBERS, "Liking"), (*row, "5"), strict=True)) for row in rows]
    lines = [",".join(row[name] for name in columns) for row in named]
    text = "\n".join([",".join(columns), *lines])
    (root / "participant_ratings.csv").write_bytes(text.encode() + b"\n" + tail)
    listing = dataset.list(root)
    annotations = Annotations.validate(listing.annotations)
    assert annotations.height % 3 == 0
    assert annotations.filter(pl.col("target") != "emotion")["value"].is_between(-1, 1).all()
    assert annotations.select("session", "target").is_unique().all()
    if not tail and all("\0" not in line and '"' not in line for line in lines):
        others = sum(row["Participant_id"] not in ("1", "1.0") for row in named)
        assert annotations.height / 3 + len(listing.problems) + others >= len(rows)


def test_missing_ratings_are_reported(root):
    (root / "metadata_csv/participant_ratings.csv").unlink()
    listing = dataset.list(root)
    assert listing.annotations.is_empty()
    assert "nothing is labelled" in listing.problems[0][2]


def test_another_folder_is_an_error(tmp_path):
    with pytest.raises(ConsilienceError, match=r"data_original/s01\.bdf"):
        dataset.list(tmp_path)

from __future__ import annotations

import gzip
import math

import numpy as np
import pytest

from consilience import params
from consilience.core import registry
from consilience.core.errors import ConsilienceError
from consilience.datasets.base import bind_to_root
from consilience.ingest.catalog import build_catalog
from consilience.schema.tables import Annotations, Pulses, Trials

dataset = registry.get("datasets", "xdf")
NAME = "sub-{}_ses-S001_task-film_run-001_eeg.xdf"
TIMES = np.arange(400) / 100


def session(xdf, root, subject, markers=(), name="Rating", start_s=100.0, offsets=((100, 5),)):
    """Write two EEGs, a skin sensor, an unknown stream and markers, on clocks 5 s apart."""
    stream, write = xdf
    wave = np.sin(TIMES)
    texts = dict(markers)
    return write(
        root / NAME.format(subject),
        stream(
            "Cap", "EEG", 100, np.column_stack([wave, wave]), start_s + TIMES, ("Fp1", "EEG Cz")
        ),
        stream("Spare", "EEG", 100, wave, start_s + TIMES, ("Cz",)),
        stream("Ring", "GSR", 100, wave, start_s - 5 + TIMES, ("EDA",), offsets=offsets),
        stream("Shaker", "ACC", 100, wave, start_s + TIMES),
        stream("Finger", "PPG", 64, [], []),
        stream(name, "Markers", 0, list(texts.values()), list(texts)),
    )


def test_streams_become_recordings_by_their_kind(tmp_path, xdf):
    session(xdf, tmp_path / "sub-P001", "P001")
    listing = dataset.list(tmp_path)
    entries = {
        entry.modality: (entry.item, entry.subject, entry.clock) for entry in listing.entries
    }
    assert entries == {"eeg": ("EEG#1", "sub-P001", None), "gsr": ("GSR#3", "sub-P001", None)}
    assert {entry.session for entry in listing.entries} == {"sub-P001_ses-S001_task-film_run-001"}
    problems = [what for _, what, _ in listing.problems]
    assert any("EEG#2 ('Spare') is not the only one of eeg" in what for what in problems)
    assert any("PPG#5 ('Finger') is empty" in what for what in problems)
    assert listing.notes == [("*.xdf", "streams of kind 'ACC', in 1 file, are not read")]


def test_a_stream_without_clock_offsets_is_on_the_sessions_clock(tmp_path, xdf):
    session(xdf, tmp_path, "P001", offsets=())
    clocks = {entry.modality: entry.clock for entry in dataset.list(tmp_path).entries}
    assert clocks == {"eeg": None, "gsr": "shared"}


def test_markers_become_annotations_and_trials(tmp_path, xdf):
    markers = {
        100.5: "trial = 1",
        101.0: "emotion=calm",
        101.5: "valence: -0.5",
        102.0: "emotion=angry",
        102.5: "trial_end",
        103.0: "hello",
        103.2: "arousal=9",
        103.4: "trial=2",
    }
    session(xdf, tmp_path, "P001", markers)
    listing = dataset.list(tmp_path)
    rows = Annotations.validate(listing.annotations).drop("session").rows()
    assert rows == [
        ("Rating", "emotion", pytest.approx(1), pytest.approx(2), "calm", None),
        ("Rating", "emotion", pytest.approx(2), pytest.approx(2.5), "angry", None),
        ("Rating", "valence", pytest.approx(1.5), pytest.approx(2.5), None, -0.5),
    ]
    trials = Trials.validate(listing.trials).drop("session").rows()
    assert trials == [("1", pytest.approx(0.5), pytest.approx(2.5))]
    problems = " / ".join(what for _, what, _ in listing.problems)
    assert "1 of 8 markers of stream 'Rating'" in problems
    assert "by annotator 'Rating' are outside -1 to 1, such as 9 in session" in problems
    assert "trial '2' has no end" in problems


def test_labels_alone_are_annotations_if_the_classes_are_declared(tmp_path, xdf):
    session(xdf, tmp_path, "P001", {101.0: "glad", 102.0: "sad", 103.0: "emotion=odd"})
    (tmp_path / "classes.txt").write_text("glad\nsad\n")
    here = bind_to_root(dataset, tmp_path)
    rows = here.list(tmp_path).annotations
    assert here.classes == ("glad", "sad")
    assert rows["label"].to_list() == ["glad", "sad"]
    assert rows["end_s"].to_list() == [pytest.approx(2), math.inf]


def test_sync_markers_become_pulses(tmp_path, xdf):
    session(xdf, tmp_path, "P001", {101.0: "x", 102.0: "x"}, name="SyncOut")
    pulses = Pulses.validate(dataset.list(tmp_path).pulses)
    assert pulses["time_s"].to_list() == pytest.approx([1, 2])


def test_the_preset_has_the_modalities_of_the_files(tmp_path, xdf):
    for subject in ("P001", "P002"):
        session(xdf, tmp_path, subject, {100.0: "emotion=calm", 102.0: "emotion=angry"})
    content = params.defaults("xdf", str(tmp_path))
    assert list(content["modalities"]) == ["eeg", "gsr"]
    assert list(content["modalities"]["eeg"]["channels"]) == ["Fp1", "Cz"]
    assert content["splits"]["folds"] == 2
    assert bind_to_root(dataset, tmp_path).classes == ("angry", "calm")


def test_unreadable_files_are_problems_and_the_others_are_listed(tmp_path, xdf):
    whole = session(xdf, tmp_path, "P001")
    content = whole.read_bytes()
    (tmp_path / "ünter wegs.xdf").write_bytes(content[: len(content) // 2])
    (tmp_path / "empty.xdf").touch()
    (tmp_path / "nothing.xdf").write_bytes(b"XDF:")
    outside = session(xdf, tmp_path.parent / "outside", "P009")
    (tmp_path / "link.xdf").symlink_to(outside)
    listing = dataset.list(tmp_path)
    # Of the file that breaks off, the first stream is there.
    assert {entry.path for entry in listing.entries} == {whole.name, "ünter wegs.xdf"}
    others = [problem for problem in reversed(listing.problems) if problem[0] != whole.name]
    reasons = {where: what for where, what, _ in others}
    assert set(reasons) == {"ünter wegs.xdf", "empty.xdf", "nothing.xdf", "link.xdf"}
    assert "breaks off" in reasons["ünter wegs.xdf"]
    assert "leads out" in reasons["link.xdf"]


def test_a_sender_on_another_clock_is_named_and_its_markers_are_left_out(tmp_path, xdf):
    stream, write = xdf
    write(
        tmp_path / "a.xdf",
        stream("Cap", "EEG", 100, np.sin(TIMES), 100 + TIMES, ("Cz",)),
        stream("Ring", "GSR", 100, np.sin(TIMES), 1.6e9 + TIMES, ("EDA",)),
        stream("Keys", "Markers", 0, ["emotion=calm"], [1.6e9]),
    )
    listing = dataset.list(tmp_path)
    assert {entry.modality: entry.clock for entry in listing.entries} == {"eeg": None, "gsr": None}
    assert listing.annotations.height == 0
    problems = [what for _, what, _ in listing.problems]
    assert len(problems) == 2
    for name, problem in zip(("GSR#2 ('Ring')", "Markers#3 ('Keys')"), problems, strict=True):
        assert name in problem
        assert "different clocks" in problem


def test_a_packed_file_is_listed_unless_it_lies_beside_the_unpacked_one(tmp_path, xdf):
    path = session(xdf, tmp_path, "P001")
    path.with_suffix(".xdfz").write_bytes(gzip.compress(path.read_bytes()))
    other = tmp_path / "other_eeg.xdfz"
    other.write_bytes(gzip.compress(path.read_bytes()))
    listing = dataset.list(tmp_path)
    assert {entry.path for entry in listing.entries} == {path.name, other.name}
    assert any(path.with_suffix(".xdfz").name == where for where, _, _ in listing.problems)


def test_files_of_the_same_name_are_separate_sessions(tmp_path, xdf):
    for folder in ("first", "second"):
        session(xdf, tmp_path / folder, "P001")
    sessions = {entry.session for entry in dataset.list(tmp_path).entries}
    assert len(sessions) == 2
    assert not any("/" in session for session in sessions)


def test_a_folder_without_xdf_is_an_error(tmp_path):
    with pytest.raises(ConsilienceError, match="no XDF file found"):
        dataset.list(tmp_path)


@pytest.mark.real_data
def test_the_muse_sessions(real_data):
    root = real_data / "xdf"
    here = bind_to_root(dataset, root)
    channels = ("TP9", "AF7", "AF8", "TP10")
    assert here.preset["modalities"] == {"eeg": {"channels": channels}}
    catalog = build_catalog(here, root, here.modalities)
    status = dict(catalog.recordings["eeg"].select("path", "status").iter_rows())
    muses = [name for name in status if name.startswith("muse2")]
    assert len(muses) == 4
    assert {status[name] for name in muses} == {"ok"}
    assert status["minimal.xdf"] == "quarantined"  # its channels have no names
    empty = [what for _, what, _ in here.list(root).problems if "is empty" in what]
    assert sum("PPG" in what for what in empty) == 4

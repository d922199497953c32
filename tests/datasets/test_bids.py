from __future__ import annotations

import math
import os
from pathlib import Path

import edfio
import mne
import mne_bids
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from consilience.core.errors import ConsilienceError
from consilience.core.seeds import generator
from consilience.datasets.base import bind_to_root
from consilience.datasets.bids import dataset
from consilience.ingest.catalog import build_catalog
from consilience.ingest.ingest import ingest
from consilience.modalities.eeg import modality
from consilience.modalities.params.eeg import EegParams
from consilience.schema.tables import Annotations, Trials

RUN = "sub-01/ses-1/eeg/sub-01_ses-1_task-film_run-01"
EVENTS = (
    "onset\tduration\ttrial_type\tvalence\tarousal\n"
    "0.5\t0\tsync\tn/a\tn/a\n"
    "1.0\t4.0\tsad\t-0.5\t0.25\n"
    "6.0\t4.0\thappy\tn/a\tn/a\n"
)


def put(root: Path, name: str, text: str = "") -> None:
    (root / name).parent.mkdir(parents=True, exist_ok=True)
    (root / name).write_text(text)


def eeg(path: Path, seconds: int = 12) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    values = generator(path.name).normal(0, 20, (4, seconds * 128))
    signals = [
        edfio.EdfSignal(v, 128, label=name, physical_dimension="uV", physical_range=(-200, 200))
        for name, v in zip(("Fp1", "Fz", "Cz", "Pz"), values, strict=True)
    ]
    edfio.Edf(signals).write(path)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    eeg(tmp_path / f"{RUN}_eeg.edf")
    put(tmp_path, f"{RUN}_events.tsv", EVENTS)
    put(tmp_path, f"{RUN}_channels.tsv", "name\ttype\tstatus\nFp1\tEEG\tbad\nCz\tEEG\tgood\n")
    put(tmp_path, "sub-01/ses-1/beh/sub-01_ses-1_task-film_run-01_audio.wav")
    put(tmp_path, "sub-01/ses-1/beh/sub-01_ses-1_task-film_run-01_video.mp4")
    put(tmp_path, "derivatives/sub-01/eeg/sub-01_task-film_eeg.edf")
    return tmp_path


def test_a_run_is_a_session_with_its_sound_and_video(root):
    listing = dataset.list(root)
    assert {(e.modality, e.session, e.subject, e.clock) for e in listing.entries} == {
        ("eeg", "sub-01_ses-1_task-film_run-01", "sub-01", None),
        ("audio", "sub-01_ses-1_task-film_run-01", "sub-01", "anchors"),
        ("video", "sub-01_ses-1_task-film_run-01", "sub-01", "anchors"),
    }
    assert not listing.problems


def test_events_become_trials_annotations_and_pulses(root):
    listing = dataset.list(root)
    assert Trials.validate(listing.trials).select("start_s", "end_s").rows() == [(1, 5), (6, 10)]
    annotations = Annotations.validate(listing.annotations)
    assert annotations.select("annotator", "target", "label", "value").rows() == [
        ("intended", "emotion", "sad", None),
        ("intended", "emotion", "happy", None),
        ("self", "valence", None, -0.5),
        ("self", "arousal", None, 0.25),
    ]
    assert listing.pulses["time_s"].to_list() == [0.5]


def test_bad_channels_have_their_standard_names(root):
    """What is no EEG is noted and left to whom it concerns."""
    rows = ("EEG T3-REF\tEEG\tBad", "ECG\tECG\tbad", "Cz\tEEG\tgood", "n/a\tEEG\tbad")
    put(root, f"{RUN}_channels.tsv", "\n".join(("name\ttype\tstatus", *rows)) + "\n")
    listing = dataset.list(root)
    assert {e.modality: e.bad_channels for e in listing.entries}["eeg"] == ("T7",)
    assert listing.notes[0][1].endswith("EEG T3-REF, ECG")


def test_bad_channels_are_noted(root):
    ((where, what),) = dataset.list(root).notes
    assert where == f"{RUN}_channels.tsv"
    assert what.endswith("Fp1")


def test_modalities_and_classes_are_those_of_the_folder(root):
    bound = bind_to_root(dataset, root)
    assert bound.modalities == ("eeg", "audio", "video")
    assert bound.classes == ("happy", "sad")


def test_a_sidecar_higher_up_is_inherited(root):
    eeg(root / "sub-02/eeg/sub-02_task-rest_eeg.edf")
    put(root, "task-rest_events.tsv", "onset\tduration\ttrial_type\n0\t2\tcalm\n")
    annotations = dataset.list(root).annotations
    assert ("sub-02_task-rest", "calm") in annotations.select("session", "label").rows()


@pytest.mark.parametrize(
    ("name", "text", "where", "what"),
    [
        ("sub-01/eeg/sub-01_foo_eeg.edf", "", "sub-01/eeg/sub-01_foo_eeg.edf", "not a BIDS name"),
        ("sub-01/eeg/sub-07_eeg_eeg.edf", "", "sub-01/eeg/sub-07_eeg_eeg.edf", "not a BIDS name"),
        ("sub-01/eeg/sub-01_task-x_eeg.edf", "", "sub-01_task-x_eeg", "no events.tsv"),
        ("sub-01/beh/sub-01_task-y_audio.wav", "", "sub-01/beh/sub-01_task-y_audio.wav", "no EEG"),
        (f"{RUN}_events.tsv", "onset,duration\n0,1\n", f"{RUN}_events.tsv", "no column onset"),
        (
            f"{RUN}_events.tsv",
            "onset\tduration\nx\t1\n",
            f"{RUN}_events.tsv line 2",
            "not a number",
        ),
        (
            f"{RUN}_events.tsv",
            "onset\tduration\ttrial_type\tvalence\n0\t1\tsad\t7\n",
            "*_events.tsv",
            "outside -1 to 1, such as 7 in session sub-01_ses-1_task-film_run-01 at 0 s",
        ),
        (f"{RUN}_channels.tsv", "label\nFp1\n", f"{RUN}_channels.tsv", "no column name"),
    ],
)
def test_problems_name_file_and_remedy(root, name, text, where, what):
    put(root, name, text)
    problems = dataset.list(root).problems
    assert [problem[0] for problem in problems] == [where]
    assert what in problems[0][1]
    assert problems[0][2]


def test_events_without_a_duration_are_counted(root):
    """Of a class they are a problem; others, such as key presses, are noted."""
    events = f"{EVENTS}11.0\t-1\tsad\tn/a\tn/a\n11.5\tn/a\tsad\tn/a\tn/a\n"
    put(root, f"{RUN}_events.tsv", f"{events}11.8\t0\tkey\tn/a\tn/a\n")
    listing = bind_to_root(dataset, root).list(root)
    ((where, what, _),) = listing.problems
    assert where == f"{RUN}_events.tsv"
    assert what == "no label from 2 events without a duration above 0: sad (2)"
    assert any(
        what.startswith("no label from 1 event ") and "key (1)" in what for _, what in listing.notes
    )
    assert listing.trials.height == 2


def test_the_sidecar_states_rate_and_mains(root):
    put(root, f"{RUN}_eeg.json", '{"PowerLineFrequency": 60, "SamplingFrequency": 128}')
    bound = bind_to_root(dataset, root)
    assert bound.preset["modalities"]["eeg"] == {"mains_hz": 60}
    catalog = build_catalog(bound, root, ["eeg"], {"eeg": EegParams(mains_hz=60)})
    assert not catalog.problems.height
    catalog = build_catalog(bound, root, ["eeg"], {"eeg": EegParams(mains_hz=50)})
    (row,) = catalog.problems.rows()
    assert row[:2] == ("modalities.eeg.mains_hz", "50, but the recordings state 60")
    put(root, f"{RUN}_eeg.json", '{"PowerLineFrequency": "n/a", "SamplingFrequency": 256}')
    assert "modalities" not in bind_to_root(dataset, root).preset
    (row,) = build_catalog(dataset, root, ["eeg"]).recordings["eeg"].rows(named=True)
    assert "128 Hz in the header, 256 Hz in the dataset" in row["reason"]


def unlabelled(path: Path, unit: str = "") -> None:
    values = 20 * generator("unit").standard_normal((4, 12 * 128))
    signals = [
        edfio.EdfSignal(v, 128, label=name, physical_dimension=unit, physical_range=(-200, 200))
        for name, v in zip(("Fp1", "Fz", "Cz", "Pz"), values, strict=True)
    ]
    edfio.Edf(signals).write(path)


@pytest.mark.parametrize(
    ("unit", "units", "expected_v", "finding"),
    [
        ("", ["µV"] * 4, 2e-5, None),
        ("", ["µV", "nV", "µV", "n/a"], [2e-5, 2e-8, 2e-5, 2e-5], "no unit is stated for 1 chann"),
        ("uV", ["mV"] * 4, 2e-5, "units differ from channels.tsv"),
        ("uV", ["µV"] * 4, 2e-5, None),
    ],
)
def test_units_of_the_sidecar_are_used_and_compared(root, unit, units, expected_v, finding):
    path = root / f"{RUN}_eeg.edf"
    unlabelled(path, unit)
    rows = "".join(f"{n}\t{u}\n" for n, u in zip(("Fp1", "Fz", "Cz", "Pz"), units, strict=True))
    put(root, f"{RUN}_channels.tsv", f"name\tunits\n{rows}")
    (entry,) = [entry for entry in dataset.list(root).entries if entry.modality == "eeg"]
    values = modality.read(path, entry.item, EegParams()).values
    np.testing.assert_allclose(values.std(axis=0), expected_v, rtol=0.1)
    findings = " ".join(modality.inspect(path, entry.item))
    assert "unit" not in findings if finding is None else finding in findings
    assert modality.identity(path, entry.item) != modality.identity(path, None)


@pytest.mark.parametrize(("unit", "where"), [("", "channels.tsv"), ("foo", "the header")])
def test_an_unknown_unit_is_to_be_corrected_where_it_is_stated(root, unit, where):
    unlabelled(root / f"{RUN}_eeg.edf", unit)
    put(root, f"{RUN}_channels.tsv", "name\tunits\nFp1\tbar\nFz\tµV\nCz\tµV\nPz\tµV\n")
    (row,) = build_catalog(dataset, root, ["eeg"]).recordings["eeg"].rows(named=True)
    assert (
        f"'{unit or 'bar'}', not a known unit of voltage (correct the unit in {where}"
        in (row["reason"])
    )


def test_different_mains_frequencies_are_reported(root):
    put(root, f"{RUN}_eeg.json", '{"PowerLineFrequency": 60}')
    eeg(root / "sub-02/eeg/sub-02_task-rest_eeg.edf")
    put(root, "sub-02/eeg/sub-02_task-rest_events.tsv", EVENTS)
    put(root, "sub-02/eeg/sub-02_task-rest_eeg.json", '{"PowerLineFrequency": 50}')
    ((where, what, _),) = dataset.list(root).problems
    assert where == "*_eeg.json"
    assert "60 Hz in 1 run " in what
    assert "modalities" not in bind_to_root(dataset, root).preset


@pytest.mark.parametrize("text", ["", "[1]", "[" * 50_000, '{"PowerLineFrequency": true}'])
def test_an_unreadable_sidecar_states_nothing(root, text):
    put(root, f"{RUN}_eeg.json", text)
    assert not dataset.list(root).problems
    assert "modalities" not in bind_to_root(dataset, root).preset


def test_content_that_git_annex_has_not_fetched_is_named(root):
    file = root / f"{RUN}_eeg.edf"
    key = root / ".git/annex/objects/ab/cd/MD5E-s1--x.edf/MD5E-s1--x.edf"
    key.parent.mkdir(parents=True)
    file.rename(key)
    file.symlink_to(os.path.relpath(key, file.parent))
    (row,) = build_catalog(dataset, root, ["eeg"]).recordings["eeg"].rows(named=True)
    assert row["status"] == "ok"
    key.unlink()
    (row,) = build_catalog(dataset, root, ["eeg"]).recordings["eeg"].rows(named=True)
    assert row["status"] == "missing"
    assert f"'git annex get {RUN}_eeg.edf'" in row["reason"]


def test_a_folder_without_eeg_in_bids_is_an_error(tmp_path):
    with pytest.raises(ConsilienceError, match="sub-01_task-film_eeg"):
        dataset.list(tmp_path)


def test_a_dataset_written_by_mne_bids_is_read(tmp_path):
    """A dataset written by the reference implementation, BrainVision and all sidecars."""
    info = mne.create_info(["Fp1", "Fz", "Cz", "Pz"], 128.0, "eeg")
    data = generator("mne-bids").normal(0, 2e-5, (4, 128 * 10))
    raw = mne.io.RawArray(data, info, verbose="error")
    raw.info["line_freq"], raw.info["bads"] = 50, ["Fz"]
    raw.set_annotations(mne.Annotations([1.0, 5.0], [3.0, 3.0], ["sad", "happy"]))
    path = mne_bids.BIDSPath(subject="01", task="film", datatype="eeg", root=tmp_path)
    mne_bids.write_raw_bids(raw, path, format="BrainVision", allow_preload=True, verbose="error")
    bound = bind_to_root(dataset, tmp_path)
    assert bound.classes == ("happy", "sad")
    catalog = build_catalog(bound, tmp_path)
    assert catalog.recordings["eeg"]["status"].to_list() == ["ok"]
    assert catalog.recordings["eeg"]["bad_channels"].to_list() == ["Fz"]
    assert catalog.trials.select("start_s", "end_s").rows() == [(1, 4), (5, 8)]
    assert np.isclose(catalog.recordings["eeg"]["duration_s"].item(), 10)


def test_bad_channels_are_masked_in_the_features(root):
    """Whoever changes the sidecar changes the result and the key it is stored under."""
    store = root.parent / "store"
    store.mkdir(exist_ok=True)
    settings = EegParams(channels=("Fp1", "Fz", "Cz", "Pz"), corruptions={})
    results = []
    for status in ("bad", "good"):
        put(root, f"{RUN}_channels.tsv", f"name\ttype\tstatus\nFp1\tEEG\t{status}\n")
        catalog = build_catalog(bind_to_root(dataset, root), root, ["eeg"])
        (root.parent / status).mkdir()
        results += ingest(
            catalog.recordings["eeg"], root, "eeg", settings, store, root.parent / status
        )
    assert [r.quality["bad_channel_fraction"] for r in results] == [0.25, 0.0]
    assert len({r.content_hash for r in results}) == 2


cells = st.floats(width=16).map(str) | st.sampled_from(["n/a", "sync", "sad", '"', "\0", "", "é"])
columns = st.permutations(["onset", "duration", "trial_type", "valence", "arousal", "value"])


@given(
    header=columns,
    rows=st.lists(st.lists(cells, max_size=7), max_size=5),
    tail=st.binary(max_size=20),
)
def test_any_events_keep_the_contract(tmp_path_factory, header, rows, tail):
    root = tmp_path_factory.mktemp("events")
    put(root, "sub-01/eeg/sub-01_task-x_eeg.edf")
    text = "\n".join("\t".join(row) for row in [header, *rows])
    path = root / "sub-01/eeg/sub-01_task-x_events.tsv"
    path.write_bytes(text.encode() + b"\n" + tail)
    listing = dataset.list(root)
    assert len(listing.entries) == 1
    trials = Trials.validate(listing.trials)
    assert (trials["end_s"] > trials["start_s"]).all()
    annotations = Annotations.validate(listing.annotations)
    assert annotations["value"].drop_nulls().is_between(-1, 1).all()
    assert all(map(math.isfinite, listing.pulses["time_s"]))

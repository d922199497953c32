from __future__ import annotations

import json
import math
import unicodedata
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import scipy.io
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from consilience import params
from consilience.core.errors import ConsilienceError
from consilience.core.seeds import generator
from consilience.datasets.base import bind_to_root
from consilience.datasets.folder import dataset
from consilience.datasets.tables import MAX_TRIAL_S
from consilience.ingest.catalog import build_catalog
from consilience.readers.text_table import MAX_REPORTED
from consilience.schema.tables import Annotations, Pulses, Trials

MANIFEST = "session,subject,modality,path\none,ada,audio,a.wav\ntwo,bob,audio,b.wav\n"
ANNOTATIONS = (
    "session,annotator,target,start_s,end_s,label,value\n"
    "one,r,emotion,0,1,sad,\n"
    "two,r,emotion,0,1,happy,\n"
)


def write(root: Path, **tables: str) -> Path:
    for name, text in tables.items():
        (root / f"{name}.csv").write_text(text, encoding="utf-8")
    return root


def sound(path: Path) -> None:
    noise = 0.1 * generator(path.name).standard_normal(16000)
    soundfile.write(path, noise.astype(np.float32), 16000)


def test_a_manifest_is_sufficient(tmp_path):
    listing = dataset.list(write(tmp_path, recordings=MANIFEST))
    assert [(e.session, e.subject, e.modality, e.path) for e in listing.entries] == [
        ("one", "ada", "audio", "a.wav"),
        ("two", "bob", "audio", "b.wav"),
    ]
    assert not listing.problems
    assert listing.trials.is_empty()


def test_columns_may_stand_in_any_order_and_others_are_ignored(tmp_path):
    text = (
        "note,path,clock,item,rate_hz,modality,subject,session\nx,a.csv,shared,k,,face_au,s,one\n"
    )
    (entry,) = dataset.list(write(tmp_path, recordings=text)).entries
    assert (entry.session, entry.item, entry.clock, entry.declared_rate_hz) == (
        *("one", "k", "shared", None),
    )


@pytest.mark.parametrize(
    ("row", "what", "entries"),
    [
        (",ada,audio,a.wav", "session is empty", 0),
        ("one,ada,gaze,a.wav", "unknown modality 'gaze'", 0),
        ("one,ada,audio,a.wav,,,guessed", "unknown clock 'guessed'", 0),
        ("one,ada,audio,a.wav,,fast", "rate_hz 'fast' is not a rate", 1),
        ("one,ada,audio,a.wav,,-3", "rate_hz '-3' is not a rate", 1),
        ("one,ada,audio,a,b.wav,1,shared,more", "8 cells where the header has 7", 0),
    ],
)
def test_a_bad_row_is_one_problem_with_file_row_and_remedy(tmp_path, row, what, entries):
    header = "session,subject,modality,path,item,rate_hz,clock\n"
    listing = dataset.list(write(tmp_path, recordings=f"{header}{row}\n\ntwo,bob,eeg,b.edf\n"))
    ((where, message, remedy),) = listing.problems
    assert (where, message) == ("recordings.csv line 2", what)
    assert remedy
    assert len(listing.entries) == entries + 1


def test_classes_and_modalities_are_those_of_the_folder(tmp_path):
    write(tmp_path, recordings=MANIFEST, annotations=ANNOTATIONS)
    bound = bind_to_root(dataset, tmp_path)
    assert (bound.modalities, bound.classes) == (("audio",), ("happy", "sad"))
    assert dataset.classes == ()
    content = params.defaults("folder", str(tmp_path))
    assert list(content["modalities"]) == ["audio"]
    assert content["splits"] == {"folds": 2, "validation_subjects": 1}


def test_annotations_of_other_spellings_and_scales_are_reported(tmp_path):
    rows = [
        f"s{n},rater{k},emotion,0,1,{spelt},"
        for n in range(6)
        for k, spelt in enumerate((("calm", "Calm", "CALM"), ("tense", "Tense ", "TENSE"))[n % 2])
    ]
    rows += [f"s{n},sam,valence,0,1,,{2 * n - 1 if n else 1}" for n in range(6)]
    rows += [f"s{n},unit,arousal,0,1,,{n / 5}" for n in range(6)]
    manifest = "session,subject,modality,path\n" + "".join(
        f"s{n},p{n},audio,{n}.wav\n" for n in range(6)
    )
    header = ANNOTATIONS.splitlines()[0]
    write(tmp_path, recordings=manifest, annotations="\n".join([header, *rows]) + "\n")
    bound = bind_to_root(dataset, tmp_path)
    assert bound.classes == ("calm", "tense")
    listing = bound.list(tmp_path)
    counts = dict(listing.annotations.group_by("annotator").len().rows())
    assert counts == {"rater0": 6, "rater1": 6, "rater2": 6, "unit": 6}  # nothing of 'sam'
    problems = [what for _, what, _ in listing.problems]
    assert len(problems) == 4
    assert sum("labels differ in case or spaces only" in what for what in problems) == 2
    assert any("4 of 6 ratings of valence by annotator 'sam'" in what for what in problems)
    assert any("by 'unit' are between 0 and 1" in what for what in problems)


def test_declared_classes_set_the_order_and_exclude_others(tmp_path):
    write(tmp_path, recordings=MANIFEST, annotations=ANNOTATIONS)
    (tmp_path / "classes.txt").write_text("sad\ncalm\n")
    bound = bind_to_root(dataset, tmp_path)
    assert bound.classes == ("sad", "calm")
    listing = bound.list(tmp_path)
    assert listing.annotations["label"].to_list() == ["sad"]
    ((where, what, _),) = listing.problems
    assert where == "annotations.csv line 3"
    assert "not one of sad, calm" in what


def test_the_catalog_has_the_classes(tmp_path):
    write(tmp_path, recordings=MANIFEST, annotations=ANNOTATIONS)
    sound(tmp_path / "a.wav")
    catalog = build_catalog(dataset, tmp_path)
    assert catalog.classes == ("happy", "sad")
    assert catalog.recordings["audio"]["status"].to_list() == ["ok", "missing"]


def test_free_text_labels_are_refused_as_classes(tmp_path):
    rows = "".join(f"one,r,emotion,0,1,remark {i},\n" for i in range(60))
    header = ANNOTATIONS.splitlines()[0]
    write(tmp_path, recordings=MANIFEST, annotations=f"{header}\n{rows}")
    with pytest.raises(ConsilienceError, match=r"60 classes.*classes\.txt"):
        bind_to_root(dataset, tmp_path)


@pytest.mark.parametrize(
    ("extra", "clock", "noted"),
    [
        ({}, [None, None], True),
        ({"pulses": "session,time_s\none,1\none,2\n"}, ["anchors", "anchors"], False),
        ({"manifest": ",clock\n,shared"}, ["shared", "shared"], False),
    ],
)
def test_a_clock_that_is_not_stated(tmp_path, extra, clock, noted):
    column = ",shared" if "manifest" in extra else ""
    header = f"session,subject,modality,path{',clock' if column else ''}\n"
    text = f"{header}one,ada,audio,a.wav{column}\none,ada,eeg,b.edf{column}\n"
    listing = dataset.list(
        write(tmp_path, recordings=text, **{"pulses": extra["pulses"]} if "pulses" in extra else {})
    )
    assert [entry.clock for entry in listing.entries] == clock
    assert bool(listing.notes) == noted


def test_recordings_missing_from_the_manifest_are_noted(tmp_path):
    write(tmp_path, recordings=MANIFEST)
    for name in ("a.wav", "c.wav", "notes.txt"):
        (tmp_path / name).touch()
    ((_, what),) = dataset.list(tmp_path).notes
    assert what.startswith("1 recording is not listed")
    assert what.endswith("c.wav")


def test_an_xdf_file_is_aligned_by_its_anchors(tmp_path):
    text = "session,subject,modality,path,item\none,ada,eeg,a.xdf,EEG#1\n"
    assert dataset.list(write(tmp_path, recordings=text)).entries[0].clock == "anchors"


@pytest.mark.parametrize(
    ("row", "what"),
    [
        ("one,r,emotion,2,1,sad,", "end_s is not after start_s"),
        ("one,r,emotion,-inf,1,sad,", "end_s is not after start_s"),
        ("one,r,emotion,a,1,sad,", "a cell is empty or not a number"),
        ("one,r,emotion,nan,1,sad,", "a cell is empty or not a number"),
        ("one,,emotion,0,1,sad,", "a cell is empty or not a number"),
        ("one,r,mood,0,1,sad,", "target is not one of"),
        ("one,r,emotion,0,1,,", "no label"),
        ("one,r,valence,0,1,,nan", "value is not a number"),
        ("one,r,arousal,0,1,sad,", "value is not a number"),
    ],
)
def test_invalid_annotations_are_reported_by_row(tmp_path, row, what):
    text = f"{ANNOTATIONS}{row}\n"
    listing = dataset.list(write(tmp_path, recordings=MANIFEST, annotations=text))
    ((where, message, remedy),) = listing.problems
    assert where == "annotations.csv line 4"
    assert what in message
    assert remedy
    assert listing.annotations.height == 2


@pytest.mark.parametrize("end_s", ["1e300", "inf", "1e6"])
def test_a_trial_of_days_is_left_out(tmp_path, end_s):
    text = f"session,trial,start_s,end_s\none,t1,0,{end_s}\none,t2,0,5\n"
    listing = dataset.list(write(tmp_path, recordings=MANIFEST, trials=text))
    assert listing.trials["trial"].to_list() == ["t2"]
    assert "seconds" in listing.problems[0][2]


def test_very_many_bad_rows_do_not_bury_the_others(tmp_path):
    text = "session,trial,start_s,end_s\n" + "one,t,5,4\n" * 5000
    problems = dataset.list(write(tmp_path, recordings=MANIFEST, trials=text)).problems
    assert len(problems) == MAX_REPORTED + 1
    assert f"{5000 - MAX_REPORTED} more such rows" in problems[-1][1]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"session;subject;modality;path\n", "no column session, subject"),
        (b"\xff\xfes\x00e\x00", "not a UTF-8 text table"),
        (b"", "no column session"),
        (b"session,subject,modality,path\n" + b"x" * 200_000, "field larger than"),
        (b"session,subject,modality,path,path\n", "duplicate column: 'path'"),
        (b"PK\x03\x04" + bytes(range(256)), "not a UTF-8 text table"),
    ],
)
def test_an_unreadable_manifest_is_an_error_in_one_line(tmp_path, content, message):
    (tmp_path / "recordings.csv").write_bytes(content)
    with pytest.raises(ConsilienceError, match=message) as raised:
        dataset.list(tmp_path)
    assert "\n" not in str(raised.value)


def test_a_folder_without_a_manifest_is_an_error(tmp_path):
    with pytest.raises(ConsilienceError, match="missing"):
        dataset.list(tmp_path)


def test_a_table_outside_of_the_folder_is_not_read(tmp_path):
    root = tmp_path / "root"
    root.mkdir()
    write(root, recordings=MANIFEST)
    (tmp_path / "secret.csv").write_text("session,trial,start_s,end_s\none,secret,0,1\n")
    (root / "trials.csv").symlink_to(tmp_path / "secret.csv")
    listing = dataset.list(root)
    assert listing.trials.is_empty()
    assert ("trials.csv", "the path leads out of the dataset") in [p[:2] for p in listing.problems]


def test_byte_order_marks_and_spaces_are_ignored(tmp_path):
    (tmp_path / "recordings.csv").write_bytes(
        b'\xef\xbb\xbfsession , subject,modality,path\r\n one ,ada,audio,"a b\xc3\xbc.wav"\r\n\r\n'
    )
    (entry,) = dataset.list(tmp_path).entries
    assert (entry.session, entry.path) == ("one", "a bü.wav")


cells = st.text(st.characters(codec="utf-8"), max_size=12) | st.sampled_from(
    ["one", "audio", "eeg", "0", "1", "1e9", "nan", "inf", "-inf", "emotion", "valence", '"', "\0"]
)
tables = st.lists(st.lists(cells, max_size=8), max_size=6).map(
    lambda rows: "\n".join(",".join(row) for row in rows)
)
names = st.sampled_from(["recordings", "trials", "pulses", "annotations"])


@given(name=names, text=tables, raw=st.binary(max_size=60), with_header=st.booleans())
def test_any_text_gives_tables_that_keep_the_contract(
    tmp_path_factory, name, text, raw, with_header
):
    """Any content of a table gives a listing that keeps its contract, or an error in one line."""
    root = tmp_path_factory.mktemp("fuzz")
    headers = {
        "recordings": "session,subject,modality,path,rate_hz",
        "trials": "session,trial,start_s,end_s",
        "pulses": "session,time_s",
        "annotations": ANNOTATIONS.splitlines()[0],
    }
    write(root, recordings=MANIFEST)
    head = f"{headers[name]}\n" if with_header else ""
    (root / f"{name}.csv").write_bytes((head + text).encode() + raw)
    try:
        listing = bind_to_root(dataset, root).list(root)
    except ConsilienceError as error:
        message = str(error)
        listing = None
    if listing is None:
        assert "\n" not in message
        return
    Trials.validate(listing.trials)
    Pulses.validate(listing.pulses)
    Annotations.validate(listing.annotations)
    assert listing.trials.filter(pl.col("end_s") - pl.col("start_s") > MAX_TRIAL_S).is_empty()
    assert all(math.isfinite(time_s) for time_s in listing.pulses["time_s"])


LAYOUT = {
    "variables": ["eeg"],
    "axes": ["samples", "channels", "trials"],
    "rate_hz": 200.0,
    "channels": ["Fp1", "Fp2", "C3", "C4"],
}


def test_matlab_files_have_the_layout_that_the_folder_declares(tmp_path):
    cube = 20 * generator("folder").standard_normal((800, 4, 2))
    scipy.io.savemat(tmp_path / "a.mat", {"eeg": cube})
    (tmp_path / "matlab.json").write_text(json.dumps(LAYOUT))
    text = "session,subject,modality,path,item\none,ada,eeg,a.mat,0\ntwo,ada,eeg,a.mat,1\n"
    write(tmp_path, recordings=text)
    table = build_catalog(dataset, tmp_path).recordings["eeg"]
    assert table["status"].to_list() == ["ok", "ok"]
    assert table["duration_s"].to_list() == [4.0, 4.0]


@pytest.mark.parametrize("item", ["", "2", "-1", "first", "9" * 5000])
def test_an_item_that_is_not_a_trial_is_quarantined(tmp_path, item):
    scipy.io.savemat(tmp_path / "a.mat", {"eeg": np.zeros((800, 4, 2))})
    (tmp_path / "matlab.json").write_text(json.dumps(LAYOUT))
    write(tmp_path, recordings=f"session,subject,modality,path,item\none,ada,eeg,a.mat,{item}\n")
    table = build_catalog(dataset, tmp_path).recordings["eeg"]
    assert table["status"].to_list() == ["quarantined"]


@pytest.mark.parametrize("content", ["", "{}", "\xff", json.dumps(LAYOUT | {"rate_hz": 0})])
def test_an_invalid_matlab_layout_is_a_problem(tmp_path, content):
    (tmp_path / "matlab.json").write_text(content)
    listing = dataset.list(write(tmp_path, recordings=MANIFEST))
    ((where, what, _),) = listing.problems
    assert where == "matlab.json"
    assert "not a MATLAB layout" in what


def test_files_are_found_by_the_names_of_a_mac_and_of_windows(tmp_path):
    decomposed = unicodedata.normalize("NFD", "Zoé.wav")
    (tmp_path / "day 1").mkdir()
    sound(tmp_path / decomposed)
    sound(tmp_path / "day 1" / "B.wav")
    sound(tmp_path / "talk.ogg")
    (tmp_path / f"._{decomposed}").write_bytes(b"\0\5\x16\7")
    header = "session,subject,modality,path\n"
    rows = "one,ada,audio,Zoé.wav\ntwo,ben,audio,day 1\\B.wav\nthree,cem,audio,day 1/b.wav\n"
    write(tmp_path, recordings=header + rows)
    catalog = build_catalog(dataset, tmp_path)
    table = {row["session"]: row for row in catalog.recordings["audio"].iter_rows(named=True)}
    assert (table["one"]["status"], table["one"]["path"]) == ("ok", decomposed)
    assert table["two"]["path"] == "day 1/B.wav"
    assert "a similar name is 'day 1/B.wav'" in table["three"]["reason"]
    ((_, note),) = [note for note in catalog.notes if "not listed" in note[1]]
    assert note == "1 recording is not listed and not used, such as talk.ogg"


def test_columns_about_the_subject_describe_people(tmp_path):
    text = "session,subject,modality,path,sex,site\none,ada,audio,a.wav,F,Lyon\ntwo,bob,audio,b,,\n"
    people = dataset.list(write(tmp_path, recordings=text)).people
    assert people.select("subject", "sex", "site").rows() == [
        ("ada", "female", "Lyon"),
        ("bob", None, None),
    ]

"""MAHNOB-HCI cannot be had freely: these files have its layout, from public descriptions."""

from __future__ import annotations

from pathlib import Path

import edfio
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from consilience.core.errors import ConsilienceError, RecordingError
from consilience.core.seeds import generator
from consilience.datasets.mahnob_hci import EMOTIONS, dataset, read_report
from consilience.ingest.catalog import build_catalog
from consilience.schema.tables import Annotations, Trials

XML = (
    '<?xml version="1.0" encoding="utf-8"?>\n'
    '<session cutLenSec="20.0" cutNr="4" experiment="1" {felt} isStim="{stim}" sessionId="10">\n'
    '  <subject id="3" gender="female"/>\n  <track filename="a.avi" type="Video"/>\n</session>\n'
)
FELT = 'feltArsl="2" feltCtrl="7" feltEmo="11" feltPred="6" feltVlnc="8"'
RATE_HZ = 256


def bdf(path: Path, trigger_s: tuple[float, ...] = (10.0, 30.0), seconds: int = 40) -> None:
    codes = np.zeros(seconds * RATE_HZ, np.int32)
    for time_s in trigger_s:
        codes[int(time_s * RATE_HZ) : int(time_s * RATE_HZ) + 30] = 16
    values = generator(path.parent.name).normal(0, 20, (3, len(codes)))
    limits = {"physical_range": (-8388608, 8388607), "digital_range": (-8388608, 8388607)}
    signals = [
        edfio.BdfSignal(
            row, RATE_HZ, label=name, physical_dimension="uV", physical_range=(-500, 500)
        )
        for name, row in zip(("Fp1", "Cz", "EXG2"), values, strict=True)
    ]
    signals.append(edfio.BdfSignal.from_digital(codes + 0x10000, RATE_HZ, label="Status", **limits))
    edfio.Bdf(signals).write(path)


def session(root: Path, number: int = 10, felt: str = FELT, stim: int = 1) -> Path:
    folder = root / f"Sessions/{number}"
    folder.mkdir(parents=True)
    (folder / "session.xml").write_text(XML.format(felt=felt, stim=stim))
    bdf(folder / f"Part_1_S_Trial{number}_emotion.bdf")
    prefix = "P1-Rec1-2009.07.09.17.53.46"
    for name in ("_BW1_Section_10.avi", "_C1 trigger _C_Section_10.avi", "_AUDIO_Section_10.wav"):
        (folder / f"{prefix}{name}").touch()
    return folder


def test_a_numbered_folder_is_a_session_with_the_colour_camera(tmp_path):
    session(tmp_path)
    listing = dataset.list(tmp_path)
    assert not listing.problems
    files = {entry.modality: entry.path.split("/")[-1] for entry in listing.entries}
    assert files == {
        "eeg": "Part_1_S_Trial10_emotion.bdf",
        "video": "P1-Rec1-2009.07.09.17.53.46_C1 trigger _C_Section_10.avi",
        "audio": "P1-Rec1-2009.07.09.17.53.46_AUDIO_Section_10.wav",
    }
    assert {(e.session, e.subject) for e in listing.entries} == {("session-0010", "subject-03")}


def test_the_report_is_an_annotation_of_the_clip(tmp_path):
    session(tmp_path)
    listing = dataset.list(tmp_path)
    assert Trials.validate(listing.trials).rows() == [("session-0010", "clip", 10.0, 30.0)]
    annotations = Annotations.validate(listing.annotations)
    assert annotations.drop("session").rows() == [
        ("self", "emotion", 10.0, 30.0, "amusement", None),
        ("self", "valence", 10.0, 30.0, None, 0.75),
        ("self", "arousal", 10.0, 30.0, None, -0.75),
    ]


def test_the_folder_of_sessions_may_be_the_root(tmp_path):
    session(tmp_path)
    assert len(dataset.list(tmp_path / "Sessions").entries) == 3


def test_the_catalog_reads_its_eeg(tmp_path):
    session(tmp_path)
    table = build_catalog(dataset, tmp_path, ["eeg"]).recordings["eeg"]
    assert table.select("status", "rate_hz", "n_channels").row(0) == ("ok", 256.0, 2)


def test_other_sessions_are_noted_and_not_listed(tmp_path):
    session(tmp_path)
    session(tmp_path, 12, stim=0)
    session(tmp_path, 1200, felt="")
    listing = dataset.list(tmp_path)
    assert {entry.session for entry in listing.entries} == {"session-0010"}
    assert listing.notes == [
        ("Sessions", "not used: 2 sessions of implicit tagging or without a clip")
    ]
    assert not listing.problems


@pytest.mark.parametrize(
    ("felt", "what"),
    [
        (FELT.replace('"11"', '"10"'), "feltEmo 10 is not a keyword"),
        (FELT.replace('"11"', '"joy"'), "feltEmo is 'joy', not a number"),
        (FELT.replace('Vlnc="8"', 'Vlnc="0"'), "not from 1 to 9"),
        (FELT.replace('feltVlnc="8"', ""), "feltVlnc is '', not a number"),
    ],
)
def test_an_invalid_report_is_reported(tmp_path, felt, what):
    session(tmp_path)
    session(tmp_path, 11, felt)
    ((where, message, remedy),) = dataset.list(tmp_path).problems
    assert (where, remedy) == ("Sessions/11/session.xml", "the session is left out")
    assert what in message


@pytest.mark.parametrize(
    ("damage", "what"),
    [
        (lambda f: bdf(next(f.glob("*.bdf")), (10.0,)), "1 trigger on"),
        (lambda f: next(f.glob("*.bdf")).write_bytes(b"\xffBIOSEMI"), "not a readable BDF"),
        (lambda f: next(f.glob("*.bdf")).unlink(), "no BDF"),
    ],
)
def test_without_triggers_nothing_is_guessed(tmp_path, damage, what):
    damage(session(tmp_path))
    listing = dataset.list(tmp_path)
    assert what in listing.problems[0][1]
    assert listing.trials.is_empty()
    assert listing.annotations.is_empty()
    assert any(entry.modality == "video" for entry in listing.entries)


BOMB = (
    '<!DOCTYPE s [<!ENTITY a "aaaaaaaaaa">'
    + "".join(
        f'<!ENTITY {name} "{f"&{before};" * 10}">'
        for before, name in zip("abcdefgh", "bcdefghi", strict=True)
    )
    + ']><session feltEmo="&i;"/>'
)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"<session",
        b"\x00" * 50,
        BOMB.encode(),
        b'<!DOCTYPE s [<!ENTITY x SYSTEM "file:///etc/hostname">]><s feltEmo="1">&x;</s>',
        b'<?xml version="1.0" encoding="utf-99"?><session/>',
        b"<s>" * 100_000,
        b" " * 2_000_000,
    ],
)
def test_an_invalid_description_is_refused(tmp_path, content):
    path = tmp_path / "session.xml"
    path.write_bytes(content)
    with pytest.raises(RecordingError) as raised:
        read_report(path)
    assert "\n" not in str(raised.value)


values = st.text(st.characters(codec="utf-8"), max_size=5) | st.integers(-5, 20).map(str)
attributes = st.dictionaries(st.sampled_from(["feltEmo", "feltVlnc", "feltArsl", "isStim"]), values)


@given(attributes=attributes, subject=st.none() | values, tail=st.binary(max_size=8))
def test_any_description_is_read_or_refused(tmp_path_factory, attributes, subject, tail):
    import xml.etree.ElementTree as ElementTree

    session = ElementTree.Element("session", attributes)
    if subject is not None:
        ElementTree.SubElement(session, "subject", {"id": subject})
    path = tmp_path_factory.mktemp("xml") / "session.xml"
    path.write_bytes(ElementTree.tostring(session, encoding="utf-8") + tail)
    try:
        felt = read_report(path)
    except RecordingError as error:
        message, felt = str(error), None
        if "\n" in message:
            pytest.fail(message)
    if felt is not None:
        assert felt["emotion"] in EMOTIONS.values()
        assert -1 <= felt["valence"] <= 1
        assert -1 <= felt["arousal"] <= 1


def test_no_session_is_an_error(tmp_path):
    with pytest.raises(ConsilienceError, match="Sessions/10"):
        dataset.list(tmp_path)

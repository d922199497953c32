from __future__ import annotations

import math
import os
import re
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile

from consilience.core.errors import ConsilienceError
from consilience.core.seeds import generator
from consilience.core.special_files import file_states
from consilience.datasets.base import LISTING_FACTOR, Entry, Listing
from consilience.ingest import catalog
from consilience.ingest.catalog import build_catalog
from consilience.modalities.audio import Audio
from consilience.schema.tables import Annotations, Pulses, Recordings, Trials, frame_of
from consilience.signals.types import Header


@pytest.fixture(autouse=True)
def in_this_process(monkeypatch):
    monkeypatch.setenv("CONSILIENCE_LIMIT_S", "inf")


class Listed:
    """A dataset with the given entries and annotations."""

    name, classes, clock, modalities, preset = "listed", ("calm",), "shared", ("audio",), {}

    def __init__(self, *entries: Entry, annotations: list[dict[str, object]] | None = None):
        self.entries, self.annotations = list(entries), annotations or []

    def list(self, root: Path) -> Listing:
        return Listing(
            self.entries,
            frame_of([], Trials),
            frame_of([], Pulses),
            frame_of(self.annotations, Annotations),
        )


def entry(path: str, session: str = "one", **fields: object) -> Entry:
    return Entry(session, "someone", "audio", path, **fields)


def tone(path: Path, rate_hz: int = 16000, name: str = "tone") -> None:
    sound = 0.1 * generator(name).standard_normal(rate_hz)
    soundfile.write(path, sound.astype(np.float32), rate_hz)


def rows(root: Path, *entries: Entry) -> dict[str, dict[str, object]]:
    table = build_catalog(Listed(*entries), root, ["audio"]).recordings["audio"]
    Recordings.validate(table)
    return {row["path"]: row for row in table.iter_rows(named=True)}


def test_a_valid_recording_gets_its_header_and_hash(tmp_path):
    tone(tmp_path / "a.wav")
    row = rows(tmp_path, entry("a.wav", declared_rate_hz=16000.0))["a.wav"]
    assert (row["status"], row["reason"]) == ("ok", None)
    assert (row["recording"], row["rate_hz"], row["n_channels"]) == ("one_audio", 16000.0, 1)
    assert row["duration_s"] == pytest.approx(1.0)
    assert len(row["content_hash"]) == 64


def test_the_clock_is_that_of_the_entry_or_of_the_dataset(tmp_path):
    tone(tmp_path / "a.wav", name="a")
    tone(tmp_path / "b.wav", name="b")
    table = rows(tmp_path, entry("a.wav"), entry("b.wav", session="two", clock="anchors"))
    assert (table["a.wav"]["clock"], table["b.wav"]["clock"]) == ("shared", "anchors")


@pytest.mark.parametrize(
    ("path", "content", "reason"),
    [
        ("gone.wav", None, "does not exist"),
        ("empty.wav", b"", "empty"),
        ("noise.wav", bytes(range(256)) * 8, ""),
        ("voice.docx", b"words", r"unsupported audio file extension '\.docx'"),
    ],
)
def test_a_bad_file_gets_a_reason_and_the_others_are_unaffected(tmp_path, path, content, reason):
    tone(tmp_path / "good.wav")
    if content is not None:
        (tmp_path / path).write_bytes(content)
    table = rows(tmp_path, entry("good.wav"), entry(path, session="two"))
    assert table["good.wav"]["status"] == "ok"
    assert table[path]["status"] == ("missing" if content is None else "quarantined")
    assert table[path]["reason"]
    assert re.search(reason, table[path]["reason"])


def test_a_sampling_rate_mismatch_is_reported_with_both_rates(tmp_path):
    tone(tmp_path / "a.wav")
    tone(tmp_path / "b.wav", name="other")
    table = rows(tmp_path, entry("a.wav", declared_rate_hz=44100.0), entry("b.wav", session="two"))
    assert table["a.wav"]["status"] == "quarantined"
    assert "16000 Hz" in table["a.wav"]["reason"]
    assert "44100 Hz" in table["a.wav"]["reason"]


def test_a_second_recording_of_a_session_is_a_duplicate(tmp_path):
    tone(tmp_path / "a.wav")
    tone(tmp_path / "b.wav", name="other")
    table = rows(tmp_path, entry("b.wav"), entry("a.wav"))
    assert table["a.wav"]["status"] == "ok"
    assert table["b.wav"]["reason"] == "duplicate of a.wav"


def test_the_same_bytes_in_two_sessions_are_a_duplicate(tmp_path):
    tone(tmp_path / "a.wav")
    tone(tmp_path / "b.wav")
    table = rows(tmp_path, entry("a.wav", session="one"), entry("b.wav", session="two"))
    assert table["b.wav"]["reason"] == "duplicate of a.wav"


def test_a_file_that_is_listed_twice_names_the_session_that_uses_it(tmp_path):
    tone(tmp_path / "a.wav")
    listed = Listed(entry("a.wav", session="one"), entry("a.wav", session="two"))
    reasons = build_catalog(listed, tmp_path, ["audio"]).recordings["audio"]["reason"].to_list()
    assert reasons == [None, "listed twice: it is used in session 'one'"]


def test_a_listed_side_file_of_macos_is_named_as_one(tmp_path):
    (tmp_path / "._a.wav").write_bytes(b"\0\5\x16\7")
    assert "a side file of macOS" in str(rows(tmp_path, entry("._a.wav"))["._a.wav"]["reason"])


def test_annotations_of_joined_takes_are_inside_the_recording(tmp_path):
    paths = [tmp_path / f"{number}.ogg" for number in range(2)]
    for path in paths:
        tone(path, name=path.name)
    joined = tmp_path / "joined.ogg"
    joined.write_bytes(b"".join(path.read_bytes() for path in paths))
    row = {"session": "one", "annotator": "ann", "target": "emotion", "label": "calm"}
    listed = Listed(entry("joined.ogg"), annotations=[{**row, "start_s": 0.0, "end_s": 2.0}])
    result = build_catalog(listed, tmp_path, ["audio"])
    assert result.recordings["audio"]["duration_s"].item() == pytest.approx(2, abs=0.05)
    assert result.problems.is_empty()


def test_a_bad_first_recording_does_not_make_the_second_a_duplicate(tmp_path):
    (tmp_path / "a.wav").write_bytes(b"")
    tone(tmp_path / "b.wav")
    table = rows(tmp_path, entry("a.wav"), entry("b.wav"))
    assert table["b.wav"]["status"] == "ok"


def test_paths_outside_the_dataset_are_quarantined(tmp_path):
    root = tmp_path / "root"
    root.mkdir()
    tone(root / "good.wav")
    tone(tmp_path / "outside.wav", name="other")
    (root / "link.wav").symlink_to(tmp_path / "outside.wav")
    table = rows(
        root,
        entry("good.wav"),
        entry("../outside.wav", session="two"),
        entry("link.wav", session="three"),
    )
    assert "outside the dataset" in table["../outside.wav"]["reason"]
    assert "outside the dataset" in table["link.wav"]["reason"]


def test_annotations_without_a_recording_become_a_problem(tmp_path):
    tone(tmp_path / "a.wav")
    row = {"annotator": "x", "target": "emotion", "start_s": 0.0, "end_s": 1.0, "value": None}
    annotations = [{**row, "session": name, "label": "calm"} for name in ("one", "nobody")]
    catalog = build_catalog(Listed(entry("a.wav"), annotations=annotations), tmp_path, ["audio"])
    assert catalog.annotations["session"].to_list() == ["one"]
    assert "nobody" in catalog.problems["what"].item()


def test_a_modality_that_is_not_offered_is_an_error(tmp_path):
    with pytest.raises(
        ConsilienceError, match=r"no recording of modality 'eeg' \(it offers: audio"
    ):
        build_catalog(Listed(entry("a.wav")), tmp_path, ["eeg"])


def test_a_root_that_is_not_a_directory_is_an_error(tmp_path):
    with pytest.raises(ConsilienceError, match=r"dataset\.root"):
        build_catalog(Listed(), tmp_path / "nowhere", ["audio"])


@pytest.mark.parametrize("session", ["../escape", "a/b", "..", ".hidden", "s" * 151, "a\\b"])
def test_a_session_name_that_is_not_a_file_name_is_quarantined(tmp_path, session):
    tone(tmp_path / "a.wav")
    row = rows(tmp_path, entry("a.wav", session=session))["a.wav"]
    assert row["status"] == "quarantined"
    assert "not valid as part of a file name" in row["reason"]


def test_undecodable_and_control_characters_are_escaped(tmp_path):
    name = os.fsdecode(b"t\xfcr\x07.wav")
    (tmp_path / name).touch()
    listed = Listed(entry(name))
    listing = listed.list(tmp_path)
    listing.problems.append((name, "odd\nname", "rename it"))
    listed.list = lambda root: listing
    catalog = build_catalog(listed, tmp_path)
    table = Recordings.validate(catalog.recordings["audio"])
    assert table["path"].item() == r"t\udcfcr\x07.wav"
    assert "rename it" in table["reason"].item()
    assert catalog.problems["what"].to_list()[0] == r"odd\nname"


@pytest.mark.parametrize(
    ("header", "message"),
    [
        (Header(float("nan"), 1, 1.0), "nan Hz"),
        (Header(float("inf"), 1, 1.0), "inf Hz"),
        (Header(16000.0, 1, float("inf")), "inf s"),
        (Header(16000.0, 1, 1e9), "1e+09 s"),
        (Header(16000.0, 1, -1.0), "-1 s"),
    ],
)
def test_an_invalid_header_is_quarantined(tmp_path, monkeypatch, header, message):
    tone(tmp_path / "a.wav")
    monkeypatch.setattr(Audio, "probe", lambda *_: header)
    row = rows(tmp_path, entry("a.wav"))["a.wav"]
    assert row["status"] == "quarantined"
    assert message in row["reason"]


def test_without_modalities_all_listed_ones_are_cataloged(tmp_path):
    tone(tmp_path / "a.wav")
    catalog = build_catalog(Listed(entry("a.wav")), tmp_path)
    assert (list(catalog.recordings), catalog.classes) == (["audio"], ("calm",))


def test_a_modality_may_read_the_recordings_of_another_one(tmp_path):
    hiss = generator("hiss").standard_normal(16000)
    soundfile.write(tmp_path / "a.wav", 0.1 * hiss, 16000)
    catalog = build_catalog(Listed(Entry("s", "p", "audio", "a.wav")), tmp_path, ["log_mel"])
    row = catalog.recordings["log_mel"].row(0, named=True)
    assert (row["recording"], row["path"], row["status"]) == ("s_log_mel", "a.wav", "ok")


def test_what_lies_outside_the_recording_is_reported(tmp_path):
    tone(tmp_path / "a.wav")  # of one second

    def statement(start_s: float, end_s: float) -> dict[str, object]:
        row = {"session": "one", "annotator": "r", "target": "valence", "value": 0.5}
        return {**row, "start_s": start_s, "end_s": end_s}

    inside = [statement(0.0, 1.0), statement(0.5, math.inf)]
    outside = [statement(3.0, 4.0), statement(-5.0, 0.5)]
    listed = Listed(entry("a.wav"), annotations=inside)
    assert not build_catalog(listed, tmp_path, ["audio"]).problems.height
    listed = Listed(entry("a.wav"), annotations=inside + outside)
    ((where, what, _),) = build_catalog(listed, tmp_path, ["audio"]).problems.rows()
    assert where == "annotations"
    assert what.startswith("2 rows of session 'one' from -5 to 4 s")
    aligned = Listed(entry("a.wav", clock="anchors"), annotations=outside)
    assert not build_catalog(aligned, tmp_path, ["audio"]).problems.height


class Slow:
    """A dataset whose listing fails or does not end."""

    name, modalities, classes, clock = "slow", ("audio",), (), "shared"

    def list(self, root: Path) -> Listing:
        return [][0] if (root / "fails").exists() else time.sleep(60)  # type: ignore[return-value]


def test_listing_has_a_limit_of_time_and_its_failure_is_one_line(tmp_path, monkeypatch):
    (tmp_path / "fails").touch()
    with pytest.raises(ConsilienceError, match="IndexError"):
        build_catalog(Slow(), tmp_path, ["audio"])
    (tmp_path / "fails").unlink()
    monkeypatch.setenv("CONSILIENCE_LIMIT_S", str(1 / LISTING_FACTOR))
    with pytest.raises(ConsilienceError, match=r"cannot be listed: .*not finished after 1 s"):
        build_catalog(Slow(), tmp_path, ["audio"])


def test_files_that_change_meanwhile_stop_the_catalog(tmp_path):
    (tmp_path / "a.wav").write_bytes(b"one")
    before = file_states(tmp_path)
    catalog._check_unchanged(tmp_path, before)
    (tmp_path / "a.wav").write_bytes(b"three")
    (tmp_path / "b.wav").touch()
    with pytest.raises(ConsilienceError, match=r"2 files changed .* such as 'a\.wav'"):
        catalog._check_unchanged(tmp_path, before)


def test_what_the_dataset_states_about_people_and_itself_is_kept(tmp_path):
    tone(tmp_path / "a.wav")
    (tmp_path / "participants.tsv").write_text("participant_id\tsex\tage\nsomeone\tf\t30\n")
    (tmp_path / "dataset_description.json").write_text('{"Name": "Tones", "License": "CC0"}')
    built = build_catalog(Listed(entry("a.wav")), tmp_path, ["audio"])
    assert built.subjects.rows() == [("someone", "female", 30.0, None, None)]
    assert built.description == {"Name": "Tones", "License": "CC0"}

from __future__ import annotations

import socket
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from consilience.core.errors import ConsilienceError, RecordingError
from consilience.core.seeds import generator
from consilience.modalities.params.text import CORRUPTIONS, TextParams
from consilience.modalities.text import APPLY, modality
from consilience.pretrained import sentences
from consilience.readers.transcript import MAX_CHARACTERS, Utterance, read_transcript
from consilience.signals.types import Signal

PARAMS = TextParams(corruptions={kind: c.severities for kind, c in CORRUPTIONS.items()})
SAID = [Utterance(1.0, 2.5, "I am so happy today"), Utterance(3.0, 4.0, "and you?")]
FORMATS = {
    "table.csv": 'start_s,end_s,text\n1,2.5,I am so happy  today\n3,4,"and you?"\n',
    "table.tsv": "text\tend_s\tstart_s\nI am so happy today\t2.5\t1\nand you?\t4\t3\n",
    "cues.vtt": "WEBVTT\n\nNOTE of an editor\n\n00:01.000 --> 00:02.500 align:start\n"
    "<v Anna>I am <b>so</b>\nhappy today\n\n00:00:03.000 --> 00:00:04.000\nand you?\n",
    "cues.srt": "1\n00:00:01,000 --> 00:00:02,500\n<i>I am so happy</i>\ntoday\n\n"
    "2\n00:00:03,000 --> 00:00:04,000\n[laughs] and you?\n",
}


def written(folder: Path, name: str, content: str | bytes) -> Path:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_says_the_same(name: str, tmp_path: Path) -> None:
    assert read_transcript(written(tmp_path, name, FORMATS[name])) == SAID


def test_an_alignment_counts_samples_and_marks_silence(tmp_path: Path) -> None:
    path = written(tmp_path, "a.align", "0 12500 sil\n12500 25000 set\n25000 50000 white\n")
    assert read_transcript(path) == [Utterance(0.5, 1, "set"), Utterance(1, 2, "white")]


@pytest.mark.real_data
def test_the_alignment_of_grid_is_read(real_data: Path) -> None:
    path = real_data / "grid" / "swwp2s.align"
    words = read_transcript(path)
    assert " ".join(word.text for word in words) == "set white with p two soon"
    features = modality.features(modality.read(path, None, PARAMS), PARAMS)
    assert features.quality["covered_fraction"] == 1
    assert np.isfinite(features.values).all()


def test_overlap_ends_with_the_next_and_equal_starts_are_joined(tmp_path: Path) -> None:
    table = "start_s,end_s,text\n2,9,b\n0,3,a\n2,4,c\n5,6,[noise]\n"
    assert read_transcript(written(tmp_path, "t.csv", table)) == [
        Utterance(0, 2, "a"),
        Utterance(2, 9, "c b"),
    ]


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("t.csv", "", "no column start_s, end_s, text"),
        ("t.csv", "start_s,end_s,text\n", "nothing is said"),
        ("t.csv", "start_s,end_s,text\n0,1,[music]\n", "nothing is said"),
        ("t.csv", "start_s,end_s,text\n0,x,hm\n", "line 2.*'x' is no time"),
        ("t.csv", "start_s,end_s,text\n0,inf,hm\n", "'inf' is no time"),
        ("t.csv", "start_s,end_s,text\n2,1,hm\n", "at 2 s ends at 1 s"),
        ("t.csv", "start_s,end_s,text\n0\n", "'' is no time"),
        ("t.csv", f"start_s,end_s,text\n0,1,{'a' * (MAX_CHARACTERS + 1)}\n", "10001 characters"),
        ("t.csv", "start_s,end_s,text\n0,1,a\n90000,90001,b\n", "in seconds"),
        ("t.csv", b"\xff\xfes\x00t\x00", "UTF-8"),
        ("t.csv", "start_s,end_s,text\n0,1," + "b" * 200_000, "not a table"),
        ("t.align", "0 100 set white\n", "line 1"),
        ("t.vtt", "no cue", "nothing is said"),
        ("t.srt", "1\n00:00:02,000 --> 00:00:01,000\nhm\n", "ends at"),
    ],
)
def test_what_is_no_transcript_is_told(name, content, said, tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match=said):
        read_transcript(written(tmp_path, name, content))


LINES = st.lists(
    st.text(st.characters(codec="utf-8"), max_size=30)
    | st.sampled_from(["00:01.000 --> 00:02.000", "1,2,hm", "0 100 set", "WEBVTT", "", '"', "1"]),
    max_size=8,
)


@pytest.mark.parametrize("suffix", modality.suffixes)
@pytest.mark.parametrize("head", ["", "start_s,end_s,text\n", "text\tstart_s\tend_s\n"])
def test_any_text_is_a_transcript_or_refused(suffix: str, head: str, tmp_path: Path) -> None:
    @given(LINES, st.binary(max_size=40))
    def holds(lines: list[str], tail: bytes) -> None:
        path = written(tmp_path, f"t{suffix}", (head + "\n".join(lines)).encode() + tail)
        told = ""
        try:
            found = read_transcript(path)
        except RecordingError as error:
            found, told = [], error.what
        assert bool(found) != bool(told)
        assert "\n" not in told
        assert all(u.start_s < u.end_s and u.text for u in found)
        assert all(a.end_s <= b.start_s for a, b in pairwise(found))

    holds()


def test_frames_hold_the_utterance_then_spoken_and_silence_is_missing(tmp_path: Path) -> None:
    signal = modality.read(written(tmp_path, "t.csv", FORMATS["table.csv"]), None, PARAMS)
    features = modality.features(signal, PARAMS)
    spoken = np.isfinite(features.values).all(axis=1)
    assert features.times_s == pytest.approx(1.1 + 0.2 * np.arange(15))
    assert (~spoken).sum() in (2, 3)
    assert np.isnan(features.values[~spoken]).all()
    happy, question = sentences.embed(SAID[0].text)[0], sentences.embed(SAID[1].text)[0]
    assert (features.values[features.times_s < 2.5] == happy).all()
    assert (features.values[features.times_s > 3.05] == question).all()
    assert features.quality["covered_fraction"] == pytest.approx(2.5 / 3)
    assert features.quality["words_per_minute"] == pytest.approx(7 / 2.5 * 60)


def test_meaning_is_nearer_than_wording() -> None:
    one, other, opposite = (
        sentences.embed(text)[0]
        for text in ("I am so happy today", "what a joyful day", "I feel miserable")
    )
    assert one @ other > 0.3
    assert one @ opposite < 0.15
    assert np.linalg.norm(one) == pytest.approx(1)


def test_nothing_is_downloaded(monkeypatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("the network was asked")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    sentences._model.cache_clear()
    assert np.isfinite(sentences.embed("offline")[0]).all()


def test_the_missing_extra_is_told(monkeypatch) -> None:
    monkeypatch.setattr(sentences, "find_spec", lambda name: None)
    sentences._model.cache_clear()
    with pytest.raises(ConsilienceError, match=r"pip install 'consilience\[text\]'"):
        sentences.embed("hm")


def test_garbled_words_lower_the_quality() -> None:
    texts = np.array([*(u.text for u in SAID * 20), ""], object)
    signal = Signal(texts, np.arange(len(texts), dtype=np.float64), ("text",))
    quality = [
        modality.features(
            modality.corrupt(signal, "noise", level, PARAMS, generator(level)), PARAMS
        ).quality["quality"]
        for level in (1, 3, 5)
    ]
    assert modality.features(signal, PARAMS).quality["quality"] == 1
    assert quality == sorted(quality, reverse=True)
    assert quality[-1] < 0.6


@pytest.mark.parametrize("kind", CORRUPTIONS)
def test_corruptions_have_the_stated_share(kind: str) -> None:
    words = [f"w{number}" for number in range(200)]
    texts = np.array([" ".join(words)] * 20 if kind != "utterance_loss" else words, object)
    level = CORRUPTIONS[kind].severities[2]
    spoilt = APPLY[kind](texts, level, generator(kind))
    if kind == "word_loss":
        assert np.mean([len(t.split()) for t in spoilt]) == pytest.approx(
            200 * (1 - level), rel=0.1
        )
    elif kind == "utterance_loss":
        assert (spoilt == "").mean() == pytest.approx(level, abs=0.1)
    else:
        pairs = [
            (a, b)
            for one, other in zip(texts, spoilt, strict=True)
            for a, b in zip(
                *((one, other) if kind == "noise" else (one.split(), other.split())), strict=True
            )
        ]
        assert np.mean([a != b for a, b in pairs]) == pytest.approx(level, rel=0.15)

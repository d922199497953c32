"""Transcripts of every format, and text that is not a transcript."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from consilience.core.errors import RecordingError
from consilience.readers.transcript import (
    MAX_CHARACTERS,
    Utterance,
    _in_order,
    read_transcript,
)
from tests.readers.transcripts import FORMATS, UTTERANCES, write

SUFFIXES = (".csv", ".tsv", ".vtt", ".srt", ".align")


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_gives_the_same_utterances(name: str, tmp_path: Path) -> None:
    assert read_transcript(write(tmp_path, name, FORMATS[name])) == UTTERANCES


@pytest.mark.parametrize(
    "content",
    [
        "\ufeffstart_s;end_s;text\r\n1;2,5;yes, I am\r\n",
        'start_s, end_s, text\n1, 2.5, "yes, I am"\n\n',
        "text\tend_s\tspeaker\tstart_s\nyes, I am\t2.5\tA\t1\n",
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_tables_of_any_spreadsheet_are_read(content: str, encoding: str, tmp_path: Path) -> None:
    path = write(tmp_path, "t.csv", content.removeprefix("\ufeff").encode(encoding))
    assert read_transcript(path) == [Utterance(1, 2.5, "yes, I am")]


def test_an_alignment_counts_samples_and_marks_silence(tmp_path: Path) -> None:
    path = write(tmp_path, "a.align", "0 12500 sil\n12500 25000 set\n25000 50000 white\n")
    assert read_transcript(path) == [Utterance(0.5, 1, "set"), Utterance(1, 2, "white")]


@pytest.mark.real_data
def test_an_alignment_of_grid_is_read(real_data: Path) -> None:
    words = read_transcript(real_data / "grid" / "swwp2s.align")
    assert " ".join(word.text for word in words) == "set white with p two soon"


def test_overlap_ends_with_the_next_and_equal_starts_are_joined(tmp_path: Path) -> None:
    table = "start_s,end_s,text\n2,9,b\n0,3,a\n2,4,c\n5,6,[noise]\n"
    assert read_transcript(write(tmp_path, "t.csv", table)) == [
        Utterance(0, 2, "a"),
        Utterance(2, 9, "c b"),
    ]


def test_an_utterance_continues_after_nested_ones(tmp_path: Path) -> None:
    table = "start_s,end_s,text\n0,10,a b c d e f g h\n2,4,x\n3,3.5,y\n20,21,z\n"
    assert read_transcript(write(tmp_path, "t.csv", table)) == [
        Utterance(0, 2, "a b"),
        Utterance(2, 3, "x"),
        Utterance(3, 3.5, "y"),
        Utterance(4, 10, "c d e f g h"),
        Utterance(20, 21, "z"),
    ]


SPANS = st.tuples(st.floats(0, 50), st.floats(0.1, 50), st.integers(1, 9))


@given(st.lists(SPANS, min_size=1, max_size=8, unique_by=lambda span: span[0]))
@settings(max_examples=50)
def test_overlap_loses_no_word_and_no_time(spans: list[tuple[float, float, int]]) -> None:
    utterances = [Utterance(a, a + d, " ".join(["w"] * n)) for a, d, n in spans]
    pieces = _in_order(utterances, Path("t.csv"))
    assert sum(len(p.text.split()) for p in pieces) == sum(n for *_, n in spans)
    assert all(a.end_s <= b.start_s for a, b in pairwise(pieces))
    assert all(any(u.start_s <= p.start_s < p.end_s <= u.end_s for u in utterances) for p in pieces)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("t.csv", "", "no column start_s, end_s, text"),
        ("t.csv", "start_s,end_s,text\n", "no words"),
        ("t.csv", "start_s,end_s,text\n0,1,[music]\n", "no words"),
        ("t.csv", "start_s,end_s,text\n0,x,hm\n", "line 2.*'x' is not a time"),
        ("t.csv", "start_s,end_s,text\n0,inf,hm\n", "'inf' is not a time"),
        ("t.csv", "start_s,end_s,text\n2,1,hm\n", "at 2 s ends at 1 s"),
        ("t.csv", "start_s,end_s,text\n0\n", "'' is not a time"),
        ("t.csv", f"start_s,end_s,text\n0,1,{'a' * (MAX_CHARACTERS + 1)}\n", "10001 characters"),
        (
            "t.csv",
            "start_s,end_s,text\n" + f"0,1,{'a b ' * 2000}\n" * 2,
            "at 0 s has 15999 characters",
        ),
        ("t.csv", "start_s,end_s,text\n0,1,a\n90000,90001,b\n", "in seconds"),
        ("t.csv", b"\xff\xfes\x00t\x00\n", "UTF-8 text: byte 0x0a in line 1"),
        (
            "t.srt",
            "1\n00:00:01,000 --> 00:00:02,000\nil était\n".encode("cp1252"),
            "0xe9 in line 3",
        ),
        ("t.csv", "start_s,end_s,text\n0,1,well, yes\n", "line 2: 4 cells where the header has 3"),
        (
            "t.csv",
            "start_s,end_s,text\n0,1800,so we went\n1900,4100,to the sea\n",
            "lasts 1800 s for",
        ),
        ("t.csv", "start_s,end_s,text\n0,3,so we went\n4,4100,to the sea\n", "at 4 s lasts 4096 s"),
        (
            "t.csv",
            "start_s,end_s,text\n0,0.05,so we went down to the sea\n",
            "26 characters in 0.05 s",
        ),
        ("t.csv", "start_s,end_s,text\n0,1," + "b" * 200_000, "not a table"),
        ("t.align", "0 100 set white\n", "line 1"),
        ("t.vtt", "no cue", "line 1: the first line is not 'WEBVTT'"),
        ("t.vtt", "WEBVTT\n\n00:01 -> 00:02\nhm\n", "no words"),
        ("t.srt", "WEBVTT\n\n00:01.000 --> 00:02.000\nhm\n", "line 1: not a number of a cue"),
        ("t.srt", "1\n00:00:02,000 --> 00:00:01,000\nhm\n", "ends at"),
    ],
)
def test_an_invalid_transcript_is_refused(name, content, message, tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match=message) as error:
        read_transcript(write(tmp_path, name, content))
    # The catalog keeps the reason only, which must therefore name the line.
    assert ("line" in str(error.value)) == ("line" in error.value.reason)


LINES = st.lists(
    st.text(st.characters(codec="utf-8"), max_size=30)
    | st.sampled_from(["00:01.000 --> 00:02.000", "1,2,hm", "0 100 set", "WEBVTT", "", '"', "1"]),
    max_size=8,
)


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("head", ["", "start_s,end_s,text\n", "text\tstart_s\tend_s\n"])
def test_any_text_is_a_transcript_or_refused(suffix: str, head: str, tmp_path: Path) -> None:
    @given(LINES, st.binary(max_size=40))
    def holds(lines: list[str], tail: bytes) -> None:
        path = write(tmp_path, f"t{suffix}", (head + "\n".join(lines)).encode() + tail)
        message = ""
        try:
            utterances = read_transcript(path)
        except RecordingError as error:
            utterances, message = [], error.what
        assert bool(utterances) != bool(message)
        assert "\n" not in message
        assert all(u.start_s < u.end_s and u.text for u in utterances)
        assert all(a.end_s <= b.start_s for a, b in pairwise(utterances))

    holds()

"""Cues of WebVTT and SubRip: what is speech, and what is new in rolling captions."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consilience.readers.subtitles import SubtitleError, subrip, time_map_s, webvtt

Cues = list[tuple[float, float, str]]
SENTENCES = ["we went to the sea", "and the wind was cold", "so we ran", "all the way home"]


def stamp(time_s: float) -> str:
    return f"00:{int(time_s // 60):02d}:{time_s % 60:06.3f}"


def vtt(*cues: tuple[float, float, str]) -> str:
    return "WEBVTT\n\n" + "".join(f"{stamp(a)} --> {stamp(b)}\n{text}\n\n" for a, b, text in cues)


def srt(*cues: tuple[float, float, str]) -> str:
    return "".join(
        f"{number}\n{stamp(a)} --> {stamp(b)}\n{text}\n\n"
        for number, (a, b, text) in enumerate(cues, start=1)
    ).replace(".", ",")


def spoken(cues: object) -> Cues:
    return [cue for cue in cues if cue[2]]  # type: ignore[attr-defined]


PLAIN = [(2.0 * i, 2.0 * i + 1.5, text) for i, text in enumerate(SENTENCES)]


def two_lines() -> Cues:
    """Keep the sentence before on the upper line."""
    return [
        (a, b, f"{SENTENCES[i - 1]}\n{text}" if i else text) for i, (a, b, text) in enumerate(PLAIN)
    ]


def held() -> Cues:
    """Hold each sentence for 10 ms, as converters of automatic captions do."""
    return [cue for a, b, text in two_lines() for cue in [(a, b, text), (b, b + 0.01, text)]]


def word_by_word() -> Cues:
    """Write each sentence word by word, under the sentence before."""
    cues = []
    for i, (a, b, text) in enumerate(PLAIN):
        words, above = text.split(), f"{SENTENCES[i - 1]}\n" if i else ""
        step = (b - a) / len(words)
        cues += [
            (a + n * step, a + (n + 1) * step, above + " ".join(words[: n + 1]))
            for n in range(len(words))
        ]
    return cues


def moving() -> Cues:
    """Display the last eight words, moved on by one word at a time."""
    words = " ".join(SENTENCES).split()
    return [
        (0.5 * n, 0.5 * n + 0.5, " ".join(words[max(0, n - 7) : n + 1])) for n in range(len(words))
    ]


@pytest.mark.parametrize("style", [two_lines, held, word_by_word, moving])
@pytest.mark.parametrize(("write", "read"), [(vtt, webvtt), (srt, subrip)])
def test_rolling_captions_have_the_words_of_plain_ones(style, write, read) -> None:
    rolled = spoken(read(write(*style())))
    assert " ".join(text for _, _, text in rolled) == " ".join(SENTENCES)
    if style in (two_lines, held):
        assert [time for *time, _ in rolled] == [[a, b] for a, b, _ in PLAIN]


def test_repeated_words_are_kept() -> None:
    texts = ["no", "no", "no way", "I said", "I know", "seven", "seven"]
    cues = [(float(i), i + 1.0, text) for i, text in enumerate(texts)]
    assert list(webvtt(vtt(*cues))) == cues
    # In rolling captions, inner times mark what is new.
    twice = vtt((0, 1, "no"), (1, 2, "no\nno<00:00:01.500><c> way</c>"), (2, 3, "no way\nout"))
    assert [text for _, _, text in webvtt(twice)] == ["no", "no way", "out"]


def test_only_speech_is_read_from_webvtt() -> None:
    content = """WEBVTT - title
Kind: captions

STYLE
::cue(b) { color: red }

REGION
id:low
width:40%

NOTE the coder: 00:00.000 is noon

first
00:01.000 --> 00:02.000 region:low align:start
<v.loud Anna-Maria><c.yellow><i>you &amp; me</i></c></v>&nbsp;&lt;3

NOTE
two lines
of the coder

100:00:03.500 --> 100:00:04.000
<ruby>kanji<rt>reading</rt></ruby> 7<00:00:03.700> 8 <v
Anna>9&rlm;

STYLE
00:06.000 --> 00:07.000
NOTE is a word here
00:08.000 --> 00:09.000
last""".replace("\n", "\r\n")
    assert list(webvtt(content)) == [
        (1, 2, "you & me <3"),
        (360003.5, 360004, "kanji 7 8 9"),
        (6, 7, "NOTE is a word here"),
        (8, 9, "last"),
    ]


def test_only_speech_is_read_from_subrip() -> None:
    content = (
        "1\n00:00:01,000 --> 00:00:02,000 X1:0 X2:9\n{\\an8}<font color=red>I</font> <3 you\n\n"
        "2\n0:00:03.000-->0:00:04.000\n2 < 3 {i}and{/i}\n\nmore\n\n"
        "3\n00:00:05 --> 00:00:06\n1984\n"
        "4\n00:00:07,000 --> 00:00:08,000\n\n"
    )
    assert list(subrip(content)) == [
        (1, 2, "I <3 you"),
        (3, 4, "2 < 3 and more"),
        (5, 6, "1984"),
        (7, 8, ""),
    ]


def test_digits_are_speech_where_cues_have_no_number() -> None:
    content = "00:00:01,000 --> 00:00:02,000\n7\n00:00:03,000 --> 00:00:04,000\n8\n"
    assert [text for _, _, text in subrip(content)] == ["7", "8"]


@pytest.mark.parametrize(
    ("read", "content", "message", "line"),
    [
        (webvtt, "WEBVTTX\n", "not 'WEBVTT'", 1),
        (webvtt, "WEBVTT\n\n00:01.0 --> 00:02.000\nhm\n", "timing of a cue: '00:01.0", 3),
        (subrip, "1\n00:00:01,000 --> later\nhm\n", "timing of a cue", 2),
        (subrip, "1\n\nDialogue\n00:00:01,000 --> 00:00:02,000\n", "'Dialogue'", 3),
    ],
)
def test_a_malformed_line_is_named(read, content: str, message: str, line: int) -> None:
    with pytest.raises(SubtitleError, match=message) as error:
        list(read(content))
    assert error.value.line == line


@pytest.mark.parametrize(
    ("head", "expected"),
    [
        ("X-TIMESTAMP-MAP=MPEGTS:900000,LOCAL:00:00:00.000", 10),
        ("X-TIMESTAMP-MAP=LOCAL:00:01.500,MPEGTS:0", -1.5),
        ("X-TIMESTAMP-MAP=MPEGTS:0", None),
        ("Kind: captions", None),
        ("\nX-TIMESTAMP-MAP=MPEGTS:900000,LOCAL:00:00:00.000", None),
    ],
)
def test_the_map_to_mpeg_time_is_read_from_the_header(head: str, expected: float | None) -> None:
    assert time_map_s(f"WEBVTT\r\n{head}\r\n\r\n") == expected


@given(st.lists(st.sampled_from(["a", "b", "a b", "b\na", "a\nb\nc", ""]), max_size=12))
def test_no_caption_style_adds_words(texts: list[str]) -> None:
    cues = [(float(i), i + 1.0, text) for i, text in enumerate(texts)]
    read = list(subrip(srt(*cues)))
    assert [(a, b) for a, b, _ in read] == [(a, b) for a, b, _ in cues]
    for (*_, new), (*_, shown) in zip(read, cues, strict=True):
        words = new.split()
        assert words == shown.split()[len(shown.split()) - len(words) :]

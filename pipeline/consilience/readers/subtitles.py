"""Subtitles: cues of WebVTT and SubRip files as the words that are new in them.

WebVTT is read by the rules of the W3C's recommendation: comments, style sheets, regions, tags and
identifiers are not speech. Rolling captions repeat the lines of earlier cues; each word is returned
once, with the cue that displays it first.
"""

from __future__ import annotations

import html
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise, takewhile

ARROW = "-->"
CLOCK = r"(?:(\d+):)?(\d{1,2}):(\d{1,2})(?:[.,](\d{3,}))?"
TIMING = re.compile(rf"\s*{CLOCK}\s*-->\s*{CLOCK}(?:\s.*)?", re.DOTALL)
BLOCK = re.compile(r"(NOTE|STYLE|REGION)(?:[ \t]|$)")
INNER_TIME = re.compile(r"<(?:\d+:)?\d{1,2}:\d{2}\.\d{3}>")  # of the word that follows
RUBY_TEXT = re.compile(r"<rt[ .>].*?(?:</rt>|$)", re.DOTALL)  # the pronunciation of a word
VTT_TAG = re.compile(r"<[^>]*(?:>|$)")
SRT_TAG = re.compile(r"</?[A-Za-z][^<>]*>|\{\\[^{}]*\}|\{/?[ibus]\}")
INVISIBLE = re.compile("[\u200b\u200e\u200f\u2060\ufeff]")  # marks of direction, breaks of no width
TIME_MAP = re.compile(r"X-TIMESTAMP-MAP=(.*)")
MPEG_HZ = 90_000
MIN_ROLLS = 2  # cues that repeat the line before them; one is enough if words have inner times
MIN_REPEATED = 4  # words that a cue shares with the one before it, if the text moves word by word
MAX_REPEATED = 200  # words, more than a screen holds

CueLine = tuple[list[str], bool]  # its words, and whether inner times show that they are new


class SubtitleError(ValueError):
    """A line that is not allowed in the format: ``line`` counts from 1."""

    def __init__(self, what: str, line: int) -> None:
        super().__init__(what)
        self.line = line


@dataclass(frozen=True)
class Cue:
    """A stretch of time with the lines that are displayed in it.

    Attributes
    ----------
    start_s, end_s : float
    lines : list of CueLine
        Those that have words.
    """

    start_s: float
    end_s: float
    lines: list[CueLine]

    @property
    def words(self) -> list[str]:
        """All words displayed."""
        return [word for words, _ in self.lines for word in words]


def webvtt(content: str) -> Iterator[tuple[float, float, str]]:
    """Yield start, end and new words of the cues of a WebVTT file.

    Raises
    ------
    SubtitleError
        If the first line is not that of the format, or a cue's timing is malformed.
    """
    lines = _lines(content)
    if not re.match(r"WEBVTT(?:[ \t]|$)", lines[0]):
        raise SubtitleError("the first line is not 'WEBVTT'", 1)
    # Cues may follow the header without a blank line.
    n_head = sum(1 for _ in takewhile(lambda line: line and ARROW not in line, lines))
    return _without_repeats([_cue(lines, at, _vtt_words) for at in _vtt_timings(lines, n_head)])


def subrip(content: str) -> Iterator[tuple[float, float, str]]:
    """Yield start, end and new words of the cues of a SubRip file.

    Raises
    ------
    SubtitleError
        If a line before the first cue is not its number, or a cue's timing is malformed.
    """
    lines = _lines(content)
    timings = [at for at, line in enumerate(lines) if ARROW in line]
    for number, line in enumerate(lines[: timings[0] if timings else len(lines)], start=1):
        if line.strip() and not line.strip().isdigit():
            raise SubtitleError(f"not a number of a cue: {line[:50]!r}", number)
    if not timings:
        return iter(())
    # A line of digits is speech, unless it stands right before a timing as the cue's number.
    numbered = _is_number(lines, timings[0] - 1)
    ends = [at - 1 if numbered and _is_number(lines, at - 1) else at for at in timings[1:]]
    spans = zip(timings, [*ends, len(lines)], strict=True)
    return _without_repeats([_cue(lines, slice(at, end), _srt_words) for at, end in spans])


def time_map_s(content: str) -> float | None:
    """Return by how many seconds the video's clock is ahead of the cues' times, None if unstated.

    A file of HTTP Live Streaming states the time stamp of its MPEG stream at one time of the cues.
    """
    head = "\n".join(takewhile(bool, _lines(content)))
    entry = TIME_MAP.search(head)
    mpeg = re.search(r"MPEGTS:(\d+)", entry[1]) if entry else None
    local = re.search(rf"LOCAL:{CLOCK}", entry[1]) if entry else None
    return int(mpeg[1]) / MPEG_HZ - _seconds(*local.groups()) if mpeg and local else None


def _lines(content: str) -> list[str]:
    # Not splitlines(), which also splits at characters that belong to the text.
    return content.replace("\r\n", "\n").replace("\r", "\n").split("\n")


def _vtt_timings(lines: list[str], first: int) -> Iterator[slice]:
    """Yield the lines of each cue, from its timing to the line before the blank one."""
    block: list[int] = []
    cued = False
    for at in range(first, len(lines) + 1):
        if at < len(lines) and lines[at]:
            block.append(at)
            continue
        kind = BLOCK.match(lines[block[0]]) if block else None
        # Style sheets and regions precede the first cue; later the words are identifiers.
        if kind is None or (cued and kind[1] != "NOTE"):
            arrows = [index for index in block if ARROW in lines[index]]
            cued = cued or bool(arrows)
            ends = [*arrows[1:], block[-1] + 1] if arrows else []
            yield from (slice(start, end) for start, end in zip(arrows, ends, strict=True))
        block = []


def _is_number(lines: list[str], at: int) -> bool:
    return at >= 0 and lines[at].strip().isdigit()


def _cue(lines: list[str], at: slice, read: Callable[[str], Iterator[CueLine]]) -> Cue:
    timing = TIMING.fullmatch(lines[at.start])
    if timing is None:
        raise SubtitleError(f"not the timing of a cue: {lines[at.start][:80]!r}", at.start + 1)
    start, end = timing.groups()[:4], timing.groups()[4:]
    displayed = [line for line in read("\n".join(lines[at.start + 1 : at.stop])) if line[0]]
    return Cue(_seconds(*start), _seconds(*end), displayed)


def _seconds(hours: str | None, minutes: str, seconds: str, fraction: str | None) -> float:
    return 3600 * int(hours or 0) + 60 * int(minutes) + float(f"{seconds}.{fraction or 0}")


def _vtt_words(text: str) -> Iterator[CueLine]:
    # An annotation may go on in the next line; the words of a line must not.
    text = VTT_TAG.sub(lambda tag: tag[0].replace("\n", " "), RUBY_TEXT.sub("", text))
    for line in text.split("\n"):
        plain = INVISIBLE.sub("", html.unescape(VTT_TAG.sub("", line)))
        yield plain.split(), INNER_TIME.search(line) is not None


def _srt_words(text: str) -> Iterator[CueLine]:
    for line in text.split("\n"):
        yield INVISIBLE.sub("", SRT_TAG.sub("", line).replace("\\N", " ")).split(), False


def _without_repeats(cues: list[Cue]) -> Iterator[tuple[float, float, str]]:
    """Yield start, end and text of cues; in rolling captions, only the words that are new."""
    rolling = _is_rolling([cue for cue in cues if cue.lines])
    previous: Cue | None = None
    for cue in cues:
        n_repeated = _n_repeated(previous, cue) if rolling and previous else 0
        yield cue.start_s, cue.end_s, " ".join(cue.words[n_repeated:])
        previous = cue if cue.lines else previous


def _is_rolling(cues: list[Cue]) -> bool:
    """Return whether most cues repeat the last line, or most words, of the one before."""
    n_rolled = n_fresh = 0
    for previous, cue in pairwise(cues):
        n_repeated = _n_repeated(previous, cue)
        if n_repeated == len(cue.words):
            continue  # held or repeated: both styles do so
        moved = n_repeated >= max(MIN_REPEATED, len(cue.words) / 2)
        rolled = moved or n_repeated >= len(previous.lines[-1][0])
        n_rolled, n_fresh = n_rolled + rolled, n_fresh + (not rolled)
    timed = any(is_new for cue in cues for _, is_new in cue.lines)
    return n_rolled >= max(n_fresh, 1 if timed else MIN_ROLLS)


def _n_repeated(previous: Cue, cue: Cue) -> int:
    """Return how many words at the start of a cue were the last ones on the screen before it."""
    before, words = previous.words, cue.words
    old = sum(len(line) for line, _ in takewhile(lambda line: not line[1], cue.lines))
    longest = min(len(before), old, MAX_REPEATED)
    return next((n for n in range(longest, 0, -1) if before[-n:] == words[:n]), 0)

"""Time-stamped transcripts: tables, subtitles and word alignments of the GRID corpus."""

from __future__ import annotations

import codecs
import csv
import io
import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from consilience.core.errors import RecordingError
from consilience.core.wording import counted
from consilience.readers.subtitles import SubtitleError, subrip, webvtt

MAX_BYTES = 50_000_000
MAX_CHARACTERS = 10_000  # of one utterance
MAX_DURATION_S = 6 * 3600.0
# Speech of any language has about 4 to 25 characters a second, pauses included. Times in ticks of 1
# or 10 ms fall short of the least, times in minutes exceed the most.
LEAST_SPEED, MOST_SPEED = 0.2, 100.0  # characters a second
LONG_S = 60.0  # shorter utterances may be a single word in a stretch of silence
FEW_CHARACTERS = 20  # too few to estimate the speed of a transcript
ALIGN_HZ = 25_000  # GRID states times in samples of its original sound
SUBTITLES = {".vtt": webvtt, ".srt": subrip}
DELIMITERS = ",;\t"
UTF_16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
SILENCE = {"sil", "sp"}  # words of GRID that mark silence
NOT_SPOKEN = re.compile(r"\[[^\]]*\]")  # [music], [laughter]


class Utterance(NamedTuple):
    """Text of an utterance, with start and end in seconds on the recording's clock."""

    start_s: float
    end_s: float
    text: str


def read_transcript(path: Path) -> list[Utterance]:
    """Read the utterances of a ``.csv``, ``.tsv``, ``.vtt``, ``.srt`` or ``.align`` file.

    Returns
    -------
    list of Utterance
        In order of time. Utterances without words are dropped, those with the same start are
        joined. Where several overlap, the one that began last counts, and an utterance that
        continues after another has the rest of its words there.

    Raises
    ------
    RecordingError
        If the file is not such a transcript, a line is invalid, or it contains no words.
    """
    suffix = path.suffix.lower()
    content = read_content(path)
    if suffix in SUBTITLES:
        utterances = _subtitles(content, suffix, path)
    elif suffix == ".align":
        utterances = _alignment(content, path)
    else:
        utterances = _table(content, path)
    ordered = _in_order([_checked(utterance, path) for utterance in utterances], path)
    _check_speed(ordered, path)
    return ordered


def read_content(path: Path) -> str:
    """Return the text of a file, without a byte-order mark.

    Raises
    ------
    RecordingError
        If the file is too large, or neither UTF-8 nor UTF-16 with a byte-order mark.
    """
    if path.stat().st_size > MAX_BYTES:
        raise RecordingError("too large for a transcript", str(path), "split it")
    content = path.read_bytes()
    encoding = "utf-16" if content.startswith(UTF_16) else "utf-8-sig"
    try:
        return content.decode(encoding)
    except UnicodeDecodeError as error:
        # A guess among the 8-bit encodings would turn some letters into others.
        byte, line = content[error.start], content.count(b"\n", 0, error.start) + 1
        raise RecordingError(
            f"not UTF-8 text: byte 0x{byte:02x} in line {line}", str(path), "export it as UTF-8"
        ) from None


def _table(content: str, path: Path) -> Iterator[Utterance]:
    header = content.split("\n", 1)[0]
    delimiter = max(DELIMITERS, key=header.count)
    rows = csv.reader(io.StringIO(content, newline=""), delimiter=delimiter, skipinitialspace=True)
    try:
        names = [name.strip() for name in next(rows, [])]
        lacking = [name for name in Utterance._fields if name not in names]
        if lacking:
            raise RecordingError(
                f"no column {', '.join(lacking)}",
                str(path),
                f"give it the columns {', '.join(Utterance._fields)}",
            )
        start, end, text = (names.index(name) for name in Utterance._fields)
        for row in rows:
            if len(row) > len(names) and any(row[len(names) :]):
                raise RecordingError(
                    f"line {rows.line_num}: {counted(len(row), 'cell')} where the "
                    f"header has {len(names)}",
                    str(path),
                    "quote texts that contain the character between cells",
                )
            if any(row):
                row += [""] * (len(names) - len(row))
                times = [row[start], row[end]]
                if delimiter == ";":  # common where the comma separates decimals
                    times = [time.replace(",", ".") for time in times]
                start_s, end_s = (_number(time, rows.line_num, path) for time in times)
                yield Utterance(start_s, end_s, row[text])
    except csv.Error as error:
        raise RecordingError(f"not a table: {error}", str(path), "export it again") from None


def _subtitles(content: str, suffix: str, path: Path) -> Iterator[Utterance]:
    try:
        for start_s, end_s, text in SUBTITLES[suffix](content):
            yield Utterance(start_s, end_s, text)
    except SubtitleError as error:
        raise RecordingError(
            f"line {error.line}: {error}", str(path), "correct it, or the file's extension"
        ) from None


def _alignment(content: str, path: Path) -> Iterator[Utterance]:
    for line, text in enumerate(content.splitlines(), start=1):
        fields = text.split()
        if len(fields) != 3:
            raise RecordingError(
                f"line {line}: not a line of 'start end word'", str(path), "correct it"
            )
        start_s, end_s = (_number(field, line, path) / ALIGN_HZ for field in fields[:2])
        yield Utterance(start_s, end_s, "" if fields[2] in SILENCE else fields[2])


def _number(text: str, line: int, path: Path) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise RecordingError(
            f"line {line}: {text[:50]!r} is not a time", str(path), "give it in seconds"
        )
    return number


def _checked(utterance: Utterance, path: Path) -> Utterance:
    start_s, end_s, text = utterance
    text = " ".join(NOT_SPOKEN.sub(" ", text).split())
    if not end_s > start_s:
        raise RecordingError(
            f"the utterance at {start_s:g} s ends at {end_s:g} s", str(path), "correct its times"
        )
    if len(text) > MAX_CHARACTERS:
        raise RecordingError(
            f"the utterance at {start_s:g} s has {len(text)} characters",
            str(path),
            f"split it; at most {MAX_CHARACTERS}",
        )
    return Utterance(start_s, end_s, text)


def _check_speed(utterances: list[Utterance], path: Path) -> None:
    """Raise RecordingError if the text cannot have been spoken in the stated times."""
    for start_s, end_s, text in utterances:
        lasts_s = end_s - start_s
        if lasts_s > LONG_S and len(text) < LEAST_SPEED * lasts_s:
            raise RecordingError(
                f"the utterance at {start_s:g} s lasts {lasts_s:g} s for {len(text)} characters",
                str(path),
                "give times in seconds",
            )
    n_characters = sum(len(u.text) for u in utterances)
    spoken_s = sum(u.end_s - u.start_s for u in utterances)
    if n_characters > max(FEW_CHARACTERS, MOST_SPEED * spoken_s):
        raise RecordingError(
            f"{n_characters} characters in {spoken_s:g} s of speech",
            str(path),
            "give times in seconds",
        )


def _in_order(utterances: list[Utterance], path: Path) -> list[Utterance]:
    joined: list[Utterance] = []
    for start_s, end_s, text in sorted(u for u in utterances if u.text):
        if joined and joined[-1].start_s == start_s:
            # Checked again, because the parts were short enough each.
            text = _checked(Utterance(start_s, end_s, f"{joined.pop().text} {text}"), path).text
        joined.append(Utterance(start_s, end_s, text))
    if not joined:
        raise RecordingError("no words", str(path), "check the transcript")
    if max(u.end_s for u in joined) - joined[0].start_s > MAX_DURATION_S:
        raise RecordingError(
            f"longer than {MAX_DURATION_S:g} s", str(path), "give times in seconds"
        )
    pieces = map(_divided, joined, _visible_s(joined))
    return sorted(piece for divided in pieces for piece in divided)


def _visible_s(utterances: list[Utterance]) -> list[list[tuple[float, float]]]:
    """Return the stretches in which each utterance is the one that began last.

    An utterance continues after one that is nested in it, and ends where one begins that outlasts
    it.
    """
    spans_s: list[list[tuple[float, float]]] = [[] for _ in utterances]
    active: list[int] = []
    time_s = -math.inf
    starts_s = [u.start_s for u in utterances] + [math.inf]
    for index, start_s in enumerate(starts_s):
        while active and time_s < start_s:
            until_s = min(utterances[active[-1]].end_s, start_s)
            if until_s > time_s:
                spans_s[active[-1]].append((time_s, until_s))
                time_s = until_s
            else:
                active.pop()
        time_s = start_s
        active.append(index)
    return spans_s


def _divided(utterance: Utterance, spans_s: list[tuple[float, float]]) -> Iterator[Utterance]:
    """Yield an utterance in its stretches, words divided in proportion to their durations."""
    words = utterance.text.split()
    total_s = sum(end_s - start_s for start_s, end_s in spans_s)
    past_s, n_past = 0.0, 0
    for start_s, end_s in spans_s:
        past_s += end_s - start_s
        n_words = round(len(words) * past_s / total_s)
        if n_words > n_past:
            yield Utterance(start_s, end_s, " ".join(words[n_past:n_words]))
        n_past = n_words

"""Time-stamped transcripts: tables, subtitles and word alignments of the GRID corpus."""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from consilience.core.errors import ConsilienceError, RecordingError

MAX_BYTES = 50_000_000
MAX_CHARACTERS = 10_000  # of one utterance
MAX_DURATION_S = 6 * 3600.0
ALIGN_HZ = 25_000  # GRID states times in samples of its original sound
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
        joined, and each ends at the latest at the start of the next.

    Raises
    ------
    RecordingError
        If the file is not such a transcript, a line is invalid, or it contains no words.
    """
    suffix = path.suffix.lower()
    if path.stat().st_size > MAX_BYTES:
        raise RecordingError("too large for a transcript", str(path), "split it")
    try:
        content = path.read_text("utf-8-sig")
    except UnicodeDecodeError:
        raise RecordingError("not UTF-8 text", str(path), "export it as UTF-8") from None
    if suffix in (".vtt", ".srt"):
        utterances = _subtitles(content, suffix[1:], path)
    elif suffix == ".align":
        utterances = _alignment(content, path)
    else:
        utterances = _table(content, "\t" if suffix == ".tsv" else ",", path)
    return _in_order([_checked(utterance, path) for utterance in utterances], path)


def _table(content: str, delimiter: str, path: Path) -> Iterator[Utterance]:
    try:
        reader = csv.DictReader(io.StringIO(content), delimiter=delimiter)
        lacking = [name for name in Utterance._fields if name not in (reader.fieldnames or [])]
        if lacking:
            raise RecordingError(
                f"no column {', '.join(lacking)}",
                str(path),
                f"give it the columns {', '.join(Utterance._fields)}",
            )
        for row in reader:
            where = f"{path} line {reader.line_num}"
            start_s, end_s = (_number(row[name], where) for name in ("start_s", "end_s"))
            yield Utterance(start_s, end_s, row["text"] or "")
    except csv.Error as error:
        raise RecordingError(f"not a table: {error}", str(path), "export it again") from None


def _subtitles(content: str, kind: str, path: Path) -> Iterator[Utterance]:
    try:
        import pysubs2
    except ImportError:
        raise ConsilienceError(
            "the package that reads subtitles is not installed",
            "modality text",
            "pip install 'consilience[text]'",
        ) from None
    try:
        events = list(pysubs2.SSAFile.from_string(content, format_=kind))
    except Exception as error:  # the parser raises almost anything on damaged text
        reason = " ".join(str(error).split())[:200]
        raise RecordingError(f"not readable as {kind}: {reason}", str(path)) from None
    for event in events:
        yield Utterance(event.start / 1000, event.end / 1000, event.plaintext)


def _alignment(content: str, path: Path) -> Iterator[Utterance]:
    for line, text in enumerate(content.splitlines(), start=1):
        fields = text.split()
        where = f"{path} line {line}"
        if len(fields) != 3:
            raise RecordingError("not a line of 'start end word'", where, "correct it")
        start_s, end_s = (_number(field, where) / ALIGN_HZ for field in fields[:2])
        yield Utterance(start_s, end_s, "" if fields[2] in SILENCE else fields[2])


def _number(text: str | None, where: str) -> float:
    try:
        number = float(text or "")
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise RecordingError(f"{(text or '')[:50]!r} is not a time", where, "give it in seconds")
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


def _in_order(utterances: list[Utterance], path: Path) -> list[Utterance]:
    joined: list[Utterance] = []
    for start_s, end_s, text in sorted(u for u in utterances if u.text):
        if joined and joined[-1].start_s == start_s:
            both = f"{joined.pop().text} {text}"
            joined.append(Utterance(start_s, end_s, both[:MAX_CHARACTERS]))
        else:
            joined.append(Utterance(start_s, end_s, text))
    if not joined:
        raise RecordingError("no words", str(path), "check the transcript")
    if joined[-1].end_s - joined[0].start_s > MAX_DURATION_S:
        raise RecordingError(
            f"longer than {MAX_DURATION_S:g} s", str(path), "give times in seconds"
        )
    ends_s = [u.start_s for u in joined[1:]] + [math.inf]
    return [u._replace(end_s=min(u.end_s, end_s)) for u, end_s in zip(joined, ends_s, strict=True)]

"""Text: time-stamped transcripts, as the embedding of the utterance at each time.

Formats are tables with the columns ``start_s``, ``end_s`` and ``text`` (CSV, TSV), WebVTT and
SubRip subtitles, and GRID's word alignments. A signal is a step function: a sample is the text from
its time stamp to the next; an empty text is silence. The embedding was trained mostly on English.

Corruptions are the errors of transcription. A late transcript is not one of them: windows have
desynchronised variants of every modality.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from consilience.core.errors import RecordingError
from consilience.core.files import content_hash
from consilience.modalities.base import Modality
from consilience.modalities.params.text import TextParams
from consilience.pretrained import sentences
from consilience.readers.subtitles import time_map_s
from consilience.readers.transcript import (
    MAX_DURATION_S,
    Utterance,
    read_content,
    read_transcript,
)
from consilience.schema.params.plugins import ModalityParams
from consilience.signals.types import Features, Header, Signal

Texts = NDArray[np.object_]

NAMES = tuple(f"unit_{number:03d}" for number in range(sentences.UNITS))
LETTERS = "etaoinshrdlucmfwypvbgkjqxz"
CLEAR_PIECES, GARBLED_PIECES = 1.5, 4.0  # tokens per word: of spoken English, of random letters


def noise(texts: Texts, share: float, rng: np.random.Generator) -> Texts:
    """Replace a share of the characters by random letters, as a character recogniser does."""

    def corrupt(text: str) -> str:
        wrong = rng.random(len(text)) < share
        letters = rng.choice(list(LETTERS), len(text))
        return "".join(b if w else a for a, w, b in zip(text, wrong, letters, strict=True))

    return _each(corrupt, texts)


def word_loss(texts: Texts, share: float, rng: np.random.Generator) -> Texts:
    """Leave out a share of the words."""

    def corrupt(text: str) -> str:
        words = text.split()
        return " ".join(np.array(words, object)[rng.random(len(words)) >= share])

    return _each(corrupt, texts)


def confusion(texts: Texts, share: float, rng: np.random.Generator) -> Texts:
    """Replace a share of the words by other words of the same transcript."""
    vocabulary = sorted({word for text in texts for word in text.split()}) or [""]

    def corrupt(text: str) -> str:
        words = text.split()
        wrong = rng.random(len(words)) < share
        others = rng.integers(len(vocabulary), size=len(words))
        replaced = zip(words, wrong, others, strict=True)
        return " ".join(vocabulary[other] if w else word for word, w, other in replaced)

    return _each(corrupt, texts)


def utterance_loss(texts: Texts, share: float, rng: np.random.Generator) -> Texts:
    """Leave out a share of the utterances."""
    return np.where(rng.random(len(texts)) < share, "", texts)


APPLY: Mapping[str, Callable[..., Texts]] = {
    "noise": noise,
    "word_loss": word_loss,
    "confusion": confusion,
    "utterance_loss": utterance_loss,
}


class Text(Modality):
    """The text modality."""

    name: ClassVar[str] = "text"
    weights: ClassVar[tuple[str, ...]] = ("tokenizers", "wordllama")
    suffixes: ClassVar[tuple[str, ...]] = (".csv", ".tsv", ".vtt", ".srt", ".align")
    Params: ClassVar[type[ModalityParams]] = TextParams

    def probe(self, path: Path, item: str | None) -> Header:
        """Return the duration. Raises RecordingError if the file is not a transcript."""
        utterances = read_transcript(path)
        return Header(None, 1, utterances[-1].end_s - utterances[0].start_s)

    def identity(self, path: Path, item: str | None) -> str:
        """Return the hash of the file."""
        return content_hash(path)

    def read(self, path: Path, item: str | None, params: TextParams) -> Signal:
        """Read the transcript. Raises RecordingError.

        Returns
        -------
        Signal
            ``values`` texts, shape (n_steps,): the text from each time stamp to the next.
        """
        steps = list(_steps(read_transcript(path)))
        times_s = np.array([time_s for time_s, _ in steps], np.float64)
        return Signal(np.array([text for _, text in steps], object), times_s, ("text",))

    def inspect(self, path: Path, item: str | None) -> list[str]:
        """Return a finding if the times of the cues are relative to an MPEG stream's clock."""
        ahead_s = time_map_s(read_content(path)) if path.suffix.lower() == ".vtt" else None
        if not ahead_s:
            return []
        return [f"X-TIMESTAMP-MAP: the MPEG clock is {ahead_s:g} s ahead of the cues; not applied"]

    def features(self, signal: Signal, params: TextParams) -> Features:
        """Embed every utterance; a frame is the embedding of the utterance at its centre.

        Raises
        ------
        RecordingError
            If the transcript is empty, or lasts too long.
        """
        texts, starts_s = signal.values, signal.times_s
        if len(starts_s) < 2 or not texts[:-1].any():
            raise RecordingError("the transcript has no words", "text", "check the transcript")
        if starts_s[-1] - starts_s[0] > MAX_DURATION_S:
            raise RecordingError("it lasts too long", "text", "are the times in seconds?")
        # Equal texts, silence above all, are embedded once.
        embedded = {text: sentences.embed(text) for text in sorted(set(texts[:-1]))}
        n_frames = max(1, round((starts_s[-1] - starts_s[0]) / params.hop_s))
        centres_s = starts_s[0] + (np.arange(n_frames) + 0.5) * params.hop_s
        step = np.searchsorted(starts_s[:-1], centres_s, side="right") - 1
        values = np.stack([embedded[text][0] for text in texts[:-1]])[step]
        pieces = sum(embedded[text][1] for text in texts[:-1])
        return Features(values, centres_s, NAMES, _quality(texts[:-1], np.diff(starts_s), pieces))

    def corrupt(
        self,
        signal: Signal,
        kind: str,
        severity: int,
        params: TextParams,
        rng: np.random.Generator,
    ) -> Signal:
        """Corrupt the words; time stamps stay."""
        level = params.corruptions[kind][severity - 1]
        return replace(signal, values=APPLY[kind](signal.values, level, rng))


def _steps(utterances: list[Utterance]) -> list[tuple[float, str]]:
    """Return start and text of every step, silence included; the last step is the end."""
    steps: list[tuple[float, str]] = []
    for start_s, end_s, text in utterances:
        if steps and steps[-1][0] == start_s:  # no pause
            steps.pop()
        steps += [(start_s, text), (end_s, "")]
    return steps


def _quality(texts: Texts, lasting_s: NDArray[np.float64], n_pieces: int) -> dict[str, float]:
    """Return measures of quality, from the number of tokens per word.

    A tokenizer splits garbled words into more tokens than words of its vocabulary.
    """
    spoken_s = float(lasting_s[texts != ""].sum())
    n_words = sum(len(text.split()) for text in texts)
    per_word = n_pieces / max(n_words, 1)
    clear = (GARBLED_PIECES - per_word) / (GARBLED_PIECES - CLEAR_PIECES)
    return {
        "covered_fraction": spoken_s / float(lasting_s.sum()),
        "words_per_minute": 60 * n_words / max(spoken_s, 1e-9),
        "pieces_per_word": per_word,
        "quality": float(np.clip(clear, 0, 1)),
    }


def _each(corrupt: Callable[[str], str], texts: Texts) -> Texts:
    """Return every text corrupted."""
    return np.array([corrupt(text) for text in texts], object)


modality = Text()

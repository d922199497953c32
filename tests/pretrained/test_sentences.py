"""Sentence embeddings: meaning, and offline loading."""

from __future__ import annotations

import socket

import numpy as np
import pytest

from consilience.core.errors import ConsilienceError
from consilience.pretrained import sentences


def test_a_paraphrase_is_closer_than_the_opposite() -> None:
    sentence, paraphrase, opposite = (
        sentences.embed(text)[0]
        for text in ("I am so happy today", "what a joyful day", "I feel miserable")
    )
    assert sentence @ paraphrase > 0.3
    assert sentence @ opposite < 0.15
    assert np.linalg.norm(sentence) == pytest.approx(1)


def test_nothing_is_downloaded(monkeypatch) -> None:
    def fail(*_: object) -> None:
        raise AssertionError("a connection was opened")

    monkeypatch.setattr(socket.socket, "connect", fail)
    sentences._model.cache_clear()
    assert np.isfinite(sentences.embed("offline")[0]).all()


def test_a_missing_package_is_an_error_with_a_remedy(monkeypatch) -> None:
    monkeypatch.setattr(sentences, "find_spec", lambda name: None)
    sentences._model.cache_clear()
    with pytest.raises(ConsilienceError, match=r"pip install --no-deps tokenizers wordllama"):
        sentences.embed("hm")


def test_a_text_without_word_pieces_has_no_embedding() -> None:
    embedding, n_pieces = sentences.embed("")
    assert n_pieces == 0
    assert embedding.shape == (sentences.UNITS,)
    assert np.isnan(embedding).all()


def test_embeddings_are_single_precision_and_count_the_pieces() -> None:
    embedding, n_pieces = sentences.embed("one two three")
    assert embedding.dtype == np.float32
    assert n_pieces >= 3

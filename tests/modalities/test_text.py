from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from consilience.core.seeds import generator
from consilience.modalities.params.text import CORRUPTIONS, TextParams
from consilience.modalities.text import APPLY, modality
from consilience.pretrained import sentences
from consilience.signals.types import Signal
from tests.readers.transcripts import FORMATS, UTTERANCES, write

PARAMS = TextParams(corruptions={kind: c.severities for kind, c in CORRUPTIONS.items()})


@pytest.mark.real_data
def test_features_of_a_grid_alignment(real_data: Path) -> None:
    path = real_data / "grid" / "swwp2s.align"
    features = modality.features(modality.read(path, None, PARAMS), PARAMS)
    assert features.quality["covered_fraction"] == 1
    assert np.isfinite(features.values).all()


def test_frames_hold_the_utterance_then_spoken_and_silence_is_missing(tmp_path: Path) -> None:
    signal = modality.read(write(tmp_path, "t.csv", FORMATS["table.csv"]), None, PARAMS)
    features = modality.features(signal, PARAMS)
    spoken = np.isfinite(features.values).all(axis=1)
    assert features.times_s == pytest.approx(1.1 + 0.2 * np.arange(15))
    assert (~spoken).sum() in (2, 3)
    assert np.isnan(features.values[~spoken]).all()
    happy, question = sentences.embed(UTTERANCES[0].text)[0], sentences.embed(UTTERANCES[1].text)[0]
    assert (features.values[features.times_s < 2.5] == happy).all()
    assert (features.values[features.times_s > 3.05] == question).all()
    assert features.quality["covered_fraction"] == pytest.approx(2.5 / 3)
    assert features.quality["words_per_minute"] == pytest.approx(7 / 2.5 * 60)


def test_captions_of_every_style_have_the_same_words_per_minute(tmp_path: Path) -> None:
    sentences_of = ["we saw the sea", "and the wind blew", "so we ran home"]
    plain, rolling, above = "WEBVTT\n\n", "WEBVTT\nKind: captions\n\n", " "
    for number, text in enumerate(sentences_of):
        start, end, hold = (f"00:{2 * number + s:06.3f}" for s in (0, 1.99, 2))
        plain += f"{start} --> {end}\n{text}\n\n"
        first, rest = text.split(" ", 1)
        new = f"{first}<00:{2 * number + 0.7:06.3f}><c> {rest}</c>"
        rolling += f"{start} --> {end} align:start\n{above}\n{new}\n\n"
        rolling += f"{end} --> {hold}\n{text}\n \n\n"
        above = text
    signals = [
        modality.read(write(tmp_path, f"{name}.vtt", content), None, PARAMS)
        for name, content in (("plain", plain), ("rolling", rolling))
    ]
    assert [[text for text in signal.values if text] for signal in signals] == [sentences_of] * 2
    for signal in signals:
        pace = modality.features(signal, PARAMS).quality["words_per_minute"]
        assert pace == pytest.approx(12 / (3 * 1.99) * 60, rel=1e-6)


def test_a_map_to_the_clock_of_a_stream_is_reported(tmp_path: Path) -> None:
    cue = "\n\n00:01.000 --> 00:02.000\nhello\n"
    for head, expected in (
        ("WEBVTT", []),
        ("WEBVTT\nX-TIMESTAMP-MAP=LOCAL:00:00:02.000,MPEGTS:180000", []),
        (
            "WEBVTT\r\nX-TIMESTAMP-MAP=MPEGTS:1800000,LOCAL:00:05.000",
            ["X-TIMESTAMP-MAP: the MPEG clock is 15 s ahead of the cues; not applied"],
        ),
    ):
        assert modality.inspect(write(tmp_path, "t.vtt", head + cue), None) == expected
    assert modality.inspect(write(tmp_path, "t.csv", FORMATS["table.csv"]), None) == []


def test_garbled_words_lower_the_quality() -> None:
    texts = np.array([*(u.text for u in UTTERANCES * 20), ""], object)
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
    corrupted = APPLY[kind](texts, level, generator(kind))
    if kind == "word_loss":
        assert np.mean([len(t.split()) for t in corrupted]) == pytest.approx(
            200 * (1 - level), rel=0.1
        )
    elif kind == "utterance_loss":
        assert (corrupted == "").mean() == pytest.approx(level, abs=0.1)
    else:
        pairs = [
            (a, b)
            for one, other in zip(texts, corrupted, strict=True)
            for a, b in zip(
                *((one, other) if kind == "noise" else (one.split(), other.split())), strict=True
            )
        ]
        assert np.mean([a != b for a, b in pairs]) == pytest.approx(level, rel=0.15)

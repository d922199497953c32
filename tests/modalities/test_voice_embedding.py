from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError

from consilience.core.errors import RecordingError
from consilience.core.seeds import generator
from consilience.modalities import voice_embedding
from consilience.modalities.audio import modality as audio
from consilience.modalities.base import Modality
from consilience.modalities.params.voice_embedding import NETWORK_RATE_HZ, VoiceEmbeddingParams
from consilience.modalities.voice_embedding import NAMES, modality
from consilience.pretrained import speaker
from consilience.pretrained.speaker import UNITS
from consilience.signals.types import Signal

PARAMS = VoiceEmbeddingParams()
RATE_HZ = 16000


def buzz(pitch_hz: float, duration_s: float = 2.1) -> Signal:
    """Return a voice of one pitch in the first 1.4 s, near silence after."""
    times_s = np.arange(round(duration_s * RATE_HZ)) / RATE_HZ
    sound = 0.1 * ((times_s * pitch_hz) % 1 - 0.5) * (times_s < 1.4)
    sound += 1e-5 * generator("hiss").standard_normal(times_s.size)
    return Signal(sound.astype(np.float32), times_s, ("mono",))


def test_a_block_is_a_fifth_of_a_second_and_silence_is_unknown() -> None:
    features = modality.features(buzz(150), PARAMS)
    assert features.values.shape == (10, UNITS)
    assert features.values.dtype == np.float32
    assert features.names == NAMES
    assert features.times_s == pytest.approx(0.2 * np.arange(10) + 0.1)
    assert np.isfinite(features.values[:7]).all()
    assert np.isnan(features.values[7:]).all()
    assert 0 <= features.quality["quality"] <= 1


def test_loudness_does_not_matter_but_pitch_does() -> None:
    low, high = (modality.features(buzz(pitch_hz), PARAMS).values[:7] for pitch_hz in (120, 240))
    quiet = buzz(120)
    quiet.values[:] *= 0.3
    same = modality.features(quiet, PARAMS).values[:7]
    assert np.abs(same - low).mean() < 0.02 * np.abs(high - low).mean()


def test_it_hears_what_audio_hears() -> None:
    assert modality.suffixes == audio.suffixes
    assert set(PARAMS.CORRUPTION_KINDS) == set(audio.Params.CORRUPTION_KINDS)
    noisy, again = (
        part.corrupt(buzz(150), "noise", 3, PARAMS, generator("noise"))
        for part in (modality, audio)
    )
    assert np.array_equal(noisy.values, again.values)


@pytest.mark.parametrize("longest_s", [600.0, 1.0])
def test_severities_together_are_those_one_by_one(
    longest_s: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(voice_embedding, "LONGEST_TOGETHER_S", longest_s)
    signal, params = buzz(150), VoiceEmbeddingParams(corruptions={"noise": (40, 30, 10, 0, -20)})
    clean = modality.features(signal, params)
    together = list(modality.corrupted_features(signal, clean, "noise", params, "name"))
    single = list(Modality.corrupted_features(modality, signal, clean, "noise", params, "name"))
    for values, expected in zip(together, single, strict=True):
        assert values == pytest.approx(expected, abs=1e-4, nan_ok=True)
    assert np.isnan(together[0]).any()
    assert not np.isnan(together[4]).any()


def test_a_severity_that_cannot_be_used_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    signal, clean = buzz(150), modality.features(buzz(150), PARAMS)
    corrupt = modality.corrupt

    def fail(signal: Signal, kind: str, severity: int, *rest: object) -> Signal:
        corrupted = corrupt(signal, kind, severity, *rest)
        return replace(corrupted, values=0 * corrupted.values) if severity == 3 else corrupted

    monkeypatch.setattr(modality, "corrupt", fail)
    values = list(modality.corrupted_features(signal, clean, "noise", PARAMS, "name"))
    assert [bool(np.isnan(each).all()) for each in values] == [False, False, True, False, False]
    assert {each.shape for each in values} == {clean.values.shape}


def test_less_than_a_block_is_refused() -> None:
    with pytest.raises(RecordingError, match="shorter than one block"):
        modality.features(buzz(150, 0.15), PARAMS)


def test_another_rate_is_refused() -> None:
    with pytest.raises(ValidationError, match="rate_hz must be 16000"):
        VoiceEmbeddingParams(rate_hz=8000)


@pytest.mark.real_data
def test_takes_of_one_speaker_are_nearer_than_those_of_two(real_data: Path) -> None:
    def heard(actor: int, repetition: int) -> np.ndarray:
        name = f"ravdess/Actor_{actor:02d}/03-01-01-01-01-{repetition:02d}-{actor:02d}.flac"
        features = modality.features(modality.read(real_data / name, None, PARAMS), PARAMS)
        return np.nanmean(features.values, axis=0)

    one, again, other = heard(3, 1), heard(3, 2), heard(4, 1)
    assert np.linalg.norm(one - again) < 0.7 * np.linalg.norm(one - other)


def test_the_rate_of_the_light_parameters_is_the_networks() -> None:
    assert speaker.RATE_HZ == NETWORK_RATE_HZ

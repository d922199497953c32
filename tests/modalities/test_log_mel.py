from __future__ import annotations

import numpy as np
import pytest

from consilience.core.seeds import generator
from consilience.modalities.audio import modality as audio
from consilience.modalities.log_mel import modality
from consilience.modalities.params.log_mel import LogMelParams
from consilience.signals.types import Signal

PARAMS = LogMelParams()
RATE_HZ = 16000


def tone(hz: float, level: float = 0.1, duration_s: float = 1.0) -> Signal:
    times_s = np.arange(round(duration_s * RATE_HZ)) / RATE_HZ
    sound = level * np.sin(2 * np.pi * hz * times_s)
    sound += 1e-5 * generator("hiss").standard_normal(times_s.size)
    return Signal(sound.astype(np.float32), times_s, ("mono",))


def test_a_tone_is_in_its_band_and_level_is_in_decibels() -> None:
    low, high = (modality.features(tone(hz), PARAMS) for hz in (300, 3000))
    assert low.values.shape == (51, 40)
    assert low.values.dtype == np.float32
    assert low.times_s == pytest.approx(0.02 * np.arange(51))
    assert low.values[25].argmax() < high.values[25].argmax()
    louder = modality.features(tone(300, 1.0), PARAMS)
    assert (louder.values - low.values)[25].max() == pytest.approx(20, abs=0.5)


def test_lost_sound_is_missing() -> None:
    signal = tone(300)
    signal.values[8000:9600] = np.nan
    features = modality.features(signal, PARAMS)
    inside = (features.times_s > 0.5) & (features.times_s < 0.6)
    assert np.isnan(features.values[inside]).all()
    assert np.isfinite(features.values[features.times_s < 0.45]).all()
    assert features.quality["lost_fraction"] == pytest.approx(0.13, abs=0.05)


def test_it_reads_audio_recordings_and_sizes_its_encoder() -> None:
    assert modality.reads == audio.name
    assert set(PARAMS.CORRUPTION_KINDS) == set(audio.Params.CORRUPTION_KINDS)
    chosen = LogMelParams(channels=5, layers=3).encoding
    encoder = modality.encoder(40, 7, 0.0, **chosen)
    assert [layer[0].out_channels for layer in encoder.layers] == [5, 5, 5]

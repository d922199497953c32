from __future__ import annotations

import numpy as np
import pytest
from pydantic import ValidationError

from consilience.core.seeds import generator
from consilience.modalities.eeg import modality as eeg
from consilience.modalities.eeg_signal import modality, scaled
from consilience.modalities.params.eeg_signal import EegSignalParams
from consilience.signals.types import Signal

CHANNELS = ("Fz", "Cz", "Pz", "Oz", "C3", "C4")
PARAMS = EegSignalParams(channels=CHANNELS)
RATE_HZ = 250.0


def recorded(duration_s: float = 12.0, gain: float = 1.0) -> Signal:
    """Return noise of 20 µV with a rhythm of 10 Hz at Oz, stronger in the second half."""
    times_s = np.arange(round(duration_s * RATE_HZ)) / RATE_HZ
    values = 20 * generator("brain").standard_normal((times_s.size, len(CHANNELS)))
    rhythm = np.sin(2 * np.pi * 10 * times_s) * np.where(times_s < duration_s / 2, 5, 60)
    values[:, 3] += rhythm
    return Signal(gain * 1e-6 * values, times_s, CHANNELS)


def test_frames_come_twice_as_fast_as_samples_of_a_window() -> None:
    features = modality.features(recorded(), PARAMS)
    assert features.values.dtype == np.float32
    assert np.diff(features.times_s) == pytest.approx(1 / 256)
    assert features.times_s[-1] == pytest.approx(12.0, abs=0.01)
    assert features.names == tuple(f"{name}_sd" for name in CHANNELS)
    assert PARAMS.frame_rate_hz == 128


def test_a_rhythm_is_where_and_when_it_was() -> None:
    features = modality.features(recorded(), PARAMS)
    late = features.times_s > 6.5
    spectrum = np.abs(np.fft.rfft(features.values[late], axis=0)) ** 2
    hz = np.fft.rfftfreq(late.sum(), 1 / 256)
    at_ten = spectrum[(hz > 9) & (hz < 11)].sum(axis=0)
    assert at_ten.argmax() == 3
    early = features.values[features.times_s < 5.5, 3].std()
    assert features.values[late, 3].std() > 1.5 * early


def test_the_amplifiers_gain_does_not_matter() -> None:
    one, tenfold = (modality.features(recorded(gain=gain), PARAMS).values for gain in (1, 10))
    assert np.allclose(one, tenfold, atol=1e-3)
    assert np.median(np.abs(one), axis=0) == pytest.approx(1 / 1.4826, rel=0.05)


def test_a_channel_is_scaled_by_what_was_received() -> None:
    values = np.r_[np.linspace(-1, 1, 101), np.full(300, 50.0)]
    present = np.arange(values.size) < 101
    assert scaled(values, present)[:101] == pytest.approx(values[:101] / (1.4826 * 0.5))
    assert np.isfinite(scaled(np.zeros(9), np.zeros(9, bool))).all()


def test_frames_within_a_gap_are_missing() -> None:
    whole = recorded()
    kept = (whole.times_s < 4) | (whole.times_s > 5)
    features = modality.features(Signal(whole.values[kept], whole.times_s[kept], CHANNELS), PARAMS)
    gone = (features.times_s > 4.01) & (features.times_s < 4.99)
    assert np.isnan(features.values[gone]).all()
    assert np.isfinite(features.values[features.times_s < 3.9]).all()


def test_it_reads_what_eeg_reads() -> None:
    assert modality.reads == eeg.name
    assert set(PARAMS.CORRUPTION_KINDS) == set(eeg.Params.CORRUPTION_KINDS)
    assert set(eeg.Params.model_fields) < set(EegSignalParams.model_fields)


def test_a_rate_that_the_bands_do_not_fit_and_an_unknown_network_are_refused() -> None:
    with pytest.raises(ValidationError, match="rate_hz must be"):
        EegSignalParams(rate_hz=64)
    with pytest.raises(ValidationError, match="EEGNet"):
        EegSignalParams(network="ResNet")


def test_added_noise_is_that_of_the_corrupted_signal() -> None:
    params = PARAMS.model_copy(update={"corruptions": {"noise": (20.0, 10.0, 5.0, 0.0, -5.0)}})
    signal = recorded()
    clean = modality.features(signal, params)
    corrupted = list(modality.corrupted_features(signal, clean, "noise", params, "a"))
    rng = generator("noise", "a", 5)
    alone = modality.features(modality.corrupt(signal, "noise", 5, params, rng), params)
    assert np.array_equal(corrupted[-1], alone.values, equal_nan=True)

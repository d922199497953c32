from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import scipy.signal

from consilience.core.seeds import generator
from consilience.modalities.audio import modality
from consilience.modalities.params.audio import CORRUPTIONS, AudioParams
from consilience.schema.constants import SEVERITIES
from consilience.schema.params.synthesis import SynthesisParams
from consilience.signals.audio_corruptions import APPLY, pink_noise
from consilience.signals.types import Signal
from consilience.synthesis.plan import sessions
from consilience.synthesis.voice import write_voice

PARAMS = AudioParams(corruptions={kind: c.severities for kind, c in CORRUPTIONS.items()})
RATE_HZ = 16000


@pytest.fixture(scope="module")
def signal(tmp_path_factory: pytest.TempPathFactory) -> Signal:
    """Return nine seconds of a simulated voice."""
    plan = SynthesisParams(
        subjects=2, sessions=1, trials=1, trial_s=10, missing_fraction=0, faulty_fraction=0
    )
    session = sessions(plan)[0]
    path = tmp_path_factory.mktemp("audio") / "voice.flac"
    write_voice(session, path)
    whole = modality.read(path, None, PARAMS)
    onset = round(session.clocks["audio"].native_s(session.trials[0].start_s) * RATE_HZ)
    sound = whole.values[onset : onset + 9 * RATE_HZ]
    return Signal(sound, np.arange(sound.size) / RATE_HZ, ("mono",), np.array([0.7]))


def corrupted(signal: Signal, kind: str, severity: int) -> np.ndarray:
    rng = generator(kind, severity)
    return modality.corrupt(signal, kind, severity, PARAMS, rng).values


def distance(values: np.ndarray, clean: np.ndarray) -> np.ndarray:
    """Return the mean distance of each feature in standard deviations, where both are present."""
    return np.nanmean(np.abs(values - clean), axis=0) / (np.nanstd(clean, axis=0) + 1e-6)


@pytest.mark.parametrize("kind", CORRUPTIONS)
def test_the_error_of_the_features_grows_with_severity(signal: Signal, kind: str) -> None:
    clean = modality.features(signal, PARAMS).values
    harm = []
    for severity in SEVERITIES:
        noisy = modality.corrupt(signal, kind, severity, PARAMS, generator(kind))
        assert noisy.values.dtype == np.float32
        assert np.isfinite(noisy.values).all()
        assert np.array_equal(noisy.times_s, signal.times_s)
        assert np.array_equal(noisy.pulses_s, signal.pulses_s)
        values = modality.features(noisy, PARAMS).values
        harm.append(distance(values, clean).mean())
    assert harm[0] < harm[2] < harm[4]


@pytest.mark.parametrize("kind", CORRUPTIONS)
def test_it_depends_on_the_generator_alone(signal: Signal, kind: str) -> None:
    assert np.array_equal(corrupted(signal, kind, 3), corrupted(signal, kind, 3))


@pytest.mark.parametrize("kind", ["noise", "babble"])
@pytest.mark.parametrize("severity", SEVERITIES)
def test_the_added_sound_has_the_stated_level(signal: Signal, kind: str, severity: int) -> None:
    added = corrupted(signal, kind, severity) - signal.values
    snr_db = 10 * np.log10(np.var(signal.values) / np.var(added))
    assert snr_db == pytest.approx(PARAMS.corruptions[kind][severity - 1], abs=0.1)


def test_pink_noise_falls_by_three_decibels_per_octave() -> None:
    power = np.abs(np.fft.rfft(pink_noise(2**17, RATE_HZ, generator("pink")))) ** 2
    low, high = power[1000:2000].mean(), power[8000:16000].mean()
    assert 10 * np.log10(low / high) == pytest.approx(9, abs=0.5)


def test_babble_is_in_the_band_of_speech_and_varies_in_level(signal: Signal) -> None:
    babble = corrupted(signal, "babble", 3) - signal.values
    hz, density = scipy.signal.welch(babble, RATE_HZ, nperseg=1024)
    assert density[(hz > 100) & (hz < 4000)].sum() > 0.9 * density.sum()
    level = np.sqrt(babble[: 3 * RATE_HZ].reshape(-1, RATE_HZ // 50).var(axis=1))
    steady = np.sqrt(
        pink_noise(3 * RATE_HZ, RATE_HZ, generator(1)).reshape(-1, RATE_HZ // 50).var(axis=1)
    )
    assert level.std() / level.mean() > 1.5 * steady.std() / steady.mean()


@pytest.mark.parametrize("severity", SEVERITIES)
def test_a_click_decays_within_the_reverberation_time(severity: int) -> None:
    sound = np.zeros(3 * RATE_HZ, np.float32)
    sound[0] = 1
    response = APPLY["reverb"](
        sound, PARAMS.corruptions["reverb"][severity - 1], RATE_HZ, generator("room")
    )
    left = np.cumsum(response[:0:-1] ** 2)[::-1]  # backwards integration (Schroeder 1965)
    decay_db = 10 * np.log10(left / left[0] + 1e-12)
    at_5, at_25 = (np.argmax(decay_db < level) / RATE_HZ for level in (-5, -25))
    assert 3 * (at_25 - at_5) == pytest.approx(PARAMS.corruptions["reverb"][severity - 1], rel=0.15)


def test_clipping_flattens_the_peaks_and_keeps_the_level(signal: Signal) -> None:
    clipped = corrupted(signal, "clipping", 3)
    assert np.mean(np.abs(clipped) > 0.999 * np.abs(clipped).max()) > 0.02
    assert np.std(clipped) == pytest.approx(np.std(signal.values), rel=1e-3)


def test_the_stated_share_of_packets_is_silent() -> None:
    sound = np.ones(60 * RATE_HZ, np.float32)
    lost = APPLY["packet_loss"](sound, 0.2, RATE_HZ, generator("line")) == 0
    packets = lost.reshape(-1, round(0.02 * RATE_HZ))
    assert (packets.all(axis=1) | ~packets.any(axis=1)).all()
    assert packets[:, 0].mean() == pytest.approx(0.2, abs=0.05)


def test_a_telephone_keeps_only_its_band() -> None:
    white = generator("white").standard_normal(8 * RATE_HZ).astype(np.float32)
    filtered = APPLY["telephone"](white, 3400.0, RATE_HZ, generator(0))
    hz, density = scipy.signal.welch(filtered, RATE_HZ, nperseg=1024)
    inside = (hz > 400) & (hz < 3000)
    assert density[(hz < 150) | (hz > 5000)].max() < 1e-2 * density[inside].mean()


@pytest.mark.real_data
def test_a_real_voice_is_unrecognisable_at_the_highest_severity(real_data: Path) -> None:
    path = real_data / "ravdess/Actor_03/03-01-05-02-01-01-03.flac"
    signal = modality.read(path, None, PARAMS)
    clean = modality.features(signal, PARAMS).values
    for kind in CORRUPTIONS:
        values = modality.features(
            modality.corrupt(signal, kind, 5, PARAMS, generator(kind)), PARAMS
        )
        assert distance(values.values, clean).mean() > 0.5, kind

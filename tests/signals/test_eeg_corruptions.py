from __future__ import annotations

import numpy as np
import pytest

from consilience.core.seeds import generator
from consilience.modalities.eeg import modality
from consilience.modalities.params.eeg import CORRUPTIONS, EegParams
from consilience.schema.constants import SEVERITIES
from consilience.signals.types import Signal

PARAMS = EegParams(corruptions={kind: c.severities for kind, c in CORRUPTIONS.items()})
RATE_HZ = 250


@pytest.fixture(scope="module")
def signal() -> Signal:
    """Return 12 s of pink background with an electrode's offset, the fourth channel dead."""
    n_samples, n_channels = 12 * RATE_HZ, len(PARAMS.channels)
    spectrum = np.fft.rfft(generator("brain").standard_normal((n_channels, n_samples)))
    pink = np.fft.irfft(spectrum / np.sqrt(np.arange(1, spectrum.shape[1] + 1)), n_samples)
    values = 1e-5 * (pink / pink.std(axis=1, keepdims=True)).T + 4e-3
    values[:, 3] = 0
    return Signal(values, np.arange(n_samples) / RATE_HZ, PARAMS.channels, np.array([1.0]))


def corrupted(signal: Signal, kind: str, severity: int, *names: object) -> Signal:
    return modality.corrupt(signal, kind, severity, PARAMS, generator(kind, *names))


@pytest.mark.parametrize("kind", CORRUPTIONS)
def test_the_error_of_the_features_grows_with_severity(signal: Signal, kind: str) -> None:
    clean = modality.features(signal, PARAMS).values
    harm = []
    for severity in SEVERITIES:
        noisy = corrupted(signal, kind, severity)
        assert np.isfinite(noisy.values).all()
        assert not noisy.values[:, 3].any()  # a dead channel stays dead
        assert np.array_equal(noisy.pulses_s, signal.pulses_s)
        values = modality.features(noisy, PARAMS).values
        harm.append(np.mean(np.abs(values - clean).mean(axis=0) / clean.std(axis=0)))
    assert harm[0] < harm[2] < harm[4]
    assert harm[4] > 0.5


@pytest.mark.parametrize("kind", CORRUPTIONS)
def test_it_depends_on_the_generator_alone(signal: Signal, kind: str) -> None:
    first, again, other = (corrupted(signal, kind, 3, name).values for name in (1, 1, 2))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


@pytest.mark.parametrize("severity", SEVERITIES)
def test_noise_has_the_stated_level_at_any_offset(signal: Signal, severity: int) -> None:
    alive = np.delete(np.arange(signal.values.shape[1]), 3)
    added = (corrupted(signal, "noise", severity).values - signal.values)[:, alive]
    snr_db = 10 * np.log10(np.median(signal.values[:, alive].var(axis=0)) / added.var(axis=0))
    stated = PARAMS.corruptions["noise"][severity - 1]
    assert np.median(snr_db) == pytest.approx(stated, abs=2)


@pytest.mark.parametrize("severity", SEVERITIES)
def test_the_stated_share_of_electrodes_is_detached(signal: Signal, severity: int) -> None:
    changed = (corrupted(signal, "electrode_dropout", severity).values != signal.values).any(axis=0)
    share = PARAMS.corruptions["electrode_dropout"][severity - 1]
    assert changed.sum() == round(18 * share)


def test_hum_within_the_amplifiers_range_is_at_the_mains_frequency(signal: Signal) -> None:
    added = corrupted(signal, "mains_hum", 1).values[:, 0] - signal.values[:, 0]
    hz = np.fft.rfftfreq(len(added), 1 / RATE_HZ)
    power = np.abs(np.fft.rfft(added)) ** 2
    assert power[np.abs(hz - PARAMS.mains_hz) < 4].sum() > 0.8 * power.sum()


def test_muscle_activity_is_above_twenty_hertz_and_pauses(signal: Signal) -> None:
    added = (corrupted(signal, "muscle", 4).values - signal.values)[:, 0]
    power = np.abs(np.fft.rfft(added)) ** 2
    hz = np.fft.rfftfreq(len(added), 1 / RATE_HZ)
    assert power[hz < 10].sum() < 0.05 * power.sum()
    level = added[: len(added) // 25 * 25].reshape(-1, 25).std(axis=1)
    assert np.quantile(level, 0.3) < 0.02 * level.max()

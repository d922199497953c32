from __future__ import annotations

import numpy as np
import pytest
import scipy.signal

from consilience.core.errors import RecordingError
from consilience.core.seeds import generator
from consilience.modalities.eeg import modality
from consilience.modalities.params.eeg import CORRUPTIONS, EegParams
from consilience.schema.constants import SEVERITIES
from consilience.signals.eeg_corruptions import ADDED
from consilience.signals.types import Features, Signal

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


def features_one_by_one(
    signal: Signal, kind: str, clean: Features, params: EegParams = PARAMS
) -> list[np.ndarray]:
    """Return the features of `corrupt` at every severity, NaN where they are refused."""
    values = []
    for severity in SEVERITIES:
        rng = generator(kind, "recording")
        noisy = modality.corrupt(signal, kind, severity, params, rng)
        try:
            values.append(modality.features(noisy, params).values)
        except RecordingError:
            values.append(np.full_like(clean.values, np.nan))
    return values


def with_gaps(signal: Signal) -> Signal:
    """Return the signal without a second, and without contact at two electrodes for a while."""
    values = signal.values.copy()
    values[300:500, 5] = np.nan
    values[:, 7] = np.nan
    kept = np.abs(signal.times_s - 6.5) > 0.5
    return Signal(values[kept], signal.times_s[kept], signal.channels)


@pytest.mark.parametrize("change", [lambda signal: signal, with_gaps])
@pytest.mark.parametrize("kind", ADDED)
def test_features_of_all_severities_at_once_are_those_one_by_one(signal, kind, change) -> None:
    recorded = change(signal)
    clean = modality.features(recorded, PARAMS)
    at_once = list(modality.corrupted_features(recorded, clean, kind, PARAMS, "recording"))
    for values, expected in zip(at_once, features_one_by_one(recorded, kind, clean), strict=True):
        assert values.dtype == np.float32
        assert values == pytest.approx(expected, abs=2e-4, nan_ok=True)
        assert np.isnan(values).any() == (change is with_gaps)


def test_a_severity_that_leaves_nothing_is_missing(signal: Signal) -> None:
    # Muscle activity differs between electrodes more than their EEG.
    params = PARAMS.model_copy(update={"bad_z": 1.5, "max_bad_fraction": 0.15})
    clean = modality.features(signal, params)
    at_once = list(modality.corrupted_features(signal, clean, "muscle", params, "recording"))
    one_by_one = features_one_by_one(signal, "muscle", clean, params)
    lost = [bool(np.isnan(values).all()) for values in one_by_one]
    assert lost == [bool(np.isnan(values).all()) for values in at_once]
    assert lost[-1]
    assert not lost[0]


@pytest.mark.parametrize("kind", ADDED)
@pytest.mark.parametrize("rate_hz", [128.0, 250.0, 1000.0])
def test_any_stretch_of_what_is_added_can_be_drawn(kind: str, rate_hz: float) -> None:
    n_samples = round(100 * rate_hz)
    added, again = (ADDED[kind].source(n_samples, 3, rate_hz, generator(kind)) for _ in range(2))
    whole = added(0, n_samples)
    assert whole.shape == (3, n_samples)
    assert whole.dtype == np.float32
    for start, stop in ((0, 1), (4097, 9001), (n_samples - 7, n_samples)):
        assert again(start, stop) == pytest.approx(whole[:, start:stop], abs=2e-4)


@pytest.mark.parametrize("kind", ["noise", "muscle"])
def test_what_is_added_has_unit_power(kind: str) -> None:
    added = ADDED[kind].source(200_000, 16, 250.0, generator("power"))(0, 200_000)
    assert np.mean(added**2) == pytest.approx(1, rel=0.1)


def test_noise_is_half_pink_and_half_above_20_hz() -> None:
    added = ADDED["noise"].source(200_000, 8, 250.0, generator("pink"))(0, 200_000)
    hz, density = scipy.signal.welch(added, 250.0, nperseg=2500)
    power = density.mean(axis=0)
    octaves = [power[(hz >= low) & (hz < 2 * low)].sum() for low in (0.5, 1, 2, 4)]
    assert octaves == pytest.approx([np.mean(octaves)] * 4, rel=0.2)
    assert power[hz > 20].sum() / power.sum() == pytest.approx(0.5 + 0.5 * 0.26, abs=0.05)

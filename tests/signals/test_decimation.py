"""Causal band-pass at a lower sampling rate."""

from __future__ import annotations

import mne
import numpy as np
import pytest
import scipy.signal

from consilience.core.seeds import generator
from consilience.signals.decimation import Decimator, decimated, decimator

BAND_HZ = (1.0, 45.0)
RATES_HZ = (112.0, 128.0, 250.0, 500.0, 1024.0, 2048.0)


def filtered(slow: Decimator, values: np.ndarray) -> np.ndarray:
    """Return the output for a whole signal, shape (n_channels, n_samples)."""
    single = values.astype(np.float32)
    n_samples = single.shape[1]
    return slow.output(
        lambda start, stop: single[:, start:stop], n_samples, 0, n_samples // slow.factor
    )


def gains_db(slow: Decimator, rate_hz: float, hz: np.ndarray) -> np.ndarray:
    """Return the gain for sines, in dB, from the rms of the middle of the output."""
    times_s = np.arange(round(40 * rate_hz)) / rate_hz
    output = filtered(slow, np.sqrt(2) * np.sin(2 * np.pi * hz[:, None] * times_s + 0.3))
    edge = round(10 * slow.rate_hz)
    return 20 * np.log10(output[:, edge:-edge].std(axis=1) + 1e-9)


@pytest.mark.parametrize("rate_hz", RATES_HZ)
def test_the_pass_band_is_that_of_mne(rate_hz: float) -> None:
    slow = decimator(rate_hz, BAND_HZ, 50.0, 112.5)
    hz = np.linspace(*BAND_HZ, 89)
    taps = mne.filter.create_filter(None, rate_hz, *BAND_HZ, verbose="error")
    _, response = scipy.signal.freqz(taps, 1, hz, fs=rate_hz)
    expected_db = 20 * np.log10(np.abs(response))
    assert np.abs(gains_db(slow, rate_hz, hz) - expected_db).max() < 0.1


@pytest.mark.parametrize("rate_hz", RATES_HZ)
def test_the_stop_band_and_what_folds_into_the_band_are_60_db_down(rate_hz: float) -> None:
    slow = decimator(rate_hz, BAND_HZ, 50.0, 112.5)
    top = np.arange(46.0, rate_hz / 2, 0.7 if rate_hz < 600 else 4.1)
    for hz in (np.array([0.05, 0.1, 0.2, 0.25]), np.array([49.9, 50.0, 50.1]), top):
        assert gains_db(slow, rate_hz, hz).max() < -60


def test_estimates_of_a_rate_share_a_filter() -> None:
    first, second = (decimator(rate_hz, BAND_HZ, 50.0, 125.0) for rate_hz in (249.9987, 250.0012))
    assert first.bandpass is second.bandpass
    assert first.factor == second.factor == 2
    assert first.nominal_hz == second.nominal_hz == 125.0
    assert second.rate_hz == 250.0012 / 2


@pytest.mark.parametrize("mains_hz", [50.0, 60.0])
def test_mains_hum_within_the_band_is_notched(mains_hz: float) -> None:
    slow = decimator(500.0, (1.0, 130.0), mains_hz, 325.0)
    hums = np.array([mains_hz, 1.001 * mains_hz, 2 * mains_hz, 2.002 * mains_hz])
    assert gains_db(slow, 500.0, hums).max() < -60
    beside = np.array([mains_hz - 1.5, mains_hz + 1.5, 2 * mains_hz + 1.5, 129.0])
    assert np.abs(gains_db(slow, 500.0, beside)).max() < 0.05


@pytest.mark.parametrize("band_hz", [(4.0, 49.5), (4.0, 50.4), (50.5, 80.0), (49.0, 51.5)])
def test_hum_at_an_edge_of_the_band_is_removed(band_hz: tuple[float, float]) -> None:
    slow = decimator(500.0, band_hz, 50.0, 2.5 * band_hz[1])
    assert gains_db(slow, 500.0, np.array([50.0])).max() < -60


def test_an_offset_leaves_nothing_and_waves_are_hardly_delayed() -> None:
    slow = decimator(500.0, BAND_HZ, 50.0, 112.5)
    times_s = np.arange(20_000) / 500
    wave = np.sin(2 * np.pi * 10 * times_s)
    output = filtered(slow, np.stack([np.full_like(times_s, 1e5), wave]))
    assert np.abs(output[0]).max() < 0.1
    _, delay = scipy.signal.group_delay(
        (slow.bandpass.astype(float), [1.0]), np.array([2.0, 10.0, 30.0]), fs=slow.rate_hz
    )
    assert (delay / slow.rate_hz < [0.1, 0.02, 0.04]).all()


@pytest.mark.parametrize("rate_hz", [128.0, 500.0])
def test_the_output_depends_on_no_later_input(rate_hz: float) -> None:
    slow = decimator(rate_hz, BAND_HZ, 50.0, 112.5)
    values = generator("later").standard_normal((2, 9_000)).astype(np.float32)
    until = values.copy()
    until[:, 6_000:] += 10
    n_same = -(-6_000 // slow.factor)
    whole, changed = filtered(slow, values), filtered(slow, until)
    assert np.abs(whole - changed)[:, :n_same].max() < 1e-4
    assert np.abs(whole - changed)[:, n_same:].max() > 1


@pytest.mark.parametrize("rate_hz", [128.0, 500.0])
@pytest.mark.parametrize("n_samples", [300, 9_001])
def test_a_stretch_is_part_of_the_whole(rate_hz: float, n_samples: int) -> None:
    slow = decimator(rate_hz, BAND_HZ, 50.0, 112.5)
    values = generator("stretch").standard_normal((3, n_samples)).astype(np.float32)
    whole = filtered(slow, values)
    length = whole.shape[1]
    for start, stop in ((0, 1), (length // 3, length // 2), (length - 2, length)):
        part = slow.output(lambda first, last: values[:, first:last], n_samples, start, stop)
        assert part == pytest.approx(whole[:, start:stop], abs=1e-5)


@pytest.mark.parametrize("factor", [1, 2, 4, 7])
@pytest.mark.parametrize("n_samples", [200, 4_111])
def test_decimation_is_a_convolution(factor: int, n_samples: int) -> None:
    rng = generator("decimation")
    values = rng.standard_normal((2, n_samples)).astype(np.float32)
    taps = rng.standard_normal(41).astype(np.float32)
    taps = (taps + taps[::-1]) / 2
    expected = scipy.signal.oaconvolve(values, taps[None], "valid", axes=1)[:, ::factor]
    assert decimated(values, taps, factor) == pytest.approx(expected, abs=1e-4)

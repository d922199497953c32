"""Shape of spectra."""

from __future__ import annotations

import numpy as np
import pytest

from consilience.core.seeds import generator
from consilience.signals.spectrum import SHAPE, mel_db, power_of, shape_of, spectra

RATE_HZ = 16000.0


def tone(hz: float) -> np.ndarray:
    return np.sin(2 * np.pi * hz * np.arange(512) / RATE_HZ).astype(np.float32)[None]


def shape(frames: np.ndarray) -> dict[str, float]:
    (values,) = shape_of(power_of(spectra(frames)), RATE_HZ)
    return dict(zip(SHAPE, values.tolist(), strict=True))


@pytest.mark.parametrize("hz", [500.0, 3000.0])
def test_the_spectrum_of_a_tone_is_narrow(hz: float) -> None:
    measures = shape(tone(hz))
    assert measures["centroid_khz"] == pytest.approx(hz / 1000, abs=0.01)
    assert measures["rolloff_khz"] == pytest.approx(hz / 1000, abs=0.04)
    assert measures["spread_khz"] < 0.1
    assert measures["flatness_db"] < -30
    assert (measures["alpha_ratio_db"] > 20) == (hz < 1000)


def test_white_noise_is_flat() -> None:
    noise = generator("white").standard_normal((1, 512)).astype(np.float32)
    assert shape(noise)["flatness_db"] > -4
    assert shape(noise)["centroid_khz"] == pytest.approx(4, abs=0.5)


@pytest.mark.parametrize("n_bins", [2, 17, 33, 257])
def test_the_rolloff_is_that_of_the_cumulative_sum(n_bins: int) -> None:
    power = generator("power").random((40, n_bins)).astype(np.float32) ** 8 + 1e-6
    cumulative = np.cumsum(power, axis=1, dtype=np.float64)
    expected = (cumulative < 0.85 * cumulative[:, -1:]).sum(axis=1)
    khz = np.linspace(0, RATE_HZ / 2000, n_bins)
    assert shape_of(power, RATE_HZ)[:, SHAPE.index("rolloff_khz")] == pytest.approx(khz[expected])


def test_ten_times_the_amplitude_is_20_db_and_silence_is_finite() -> None:
    quiet, loud = (mel_db(power_of(spectra(tone(1000) * level)), RATE_HZ, 26) for level in (0.1, 1))
    assert (loud - quiet).max() == pytest.approx(20, abs=0.01)
    assert mel_db(power_of(spectra(0 * tone(1000))), RATE_HZ, 26) == pytest.approx(-110)

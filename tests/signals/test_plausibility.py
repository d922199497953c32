"""Physical limits of signals."""

from __future__ import annotations

import numpy as np
import pytest

from consilience.core.seeds import generator
from consilience.signals.plausibility import EEG_RMS_UV, band_rms, eeg_amplitude_uv

RATE_HZ = 250.0


def test_the_rms_of_a_sine_in_the_band_is_measured_without_its_drift() -> None:
    times_s = np.arange(5000) / RATE_HZ
    sine = 20 * np.sqrt(2) * np.sin(2 * np.pi * 10 * times_s)
    values = np.column_stack([sine, sine + 4000 + 50 * times_s, 0 * sine + 3])
    assert band_rms(values, RATE_HZ)[:2] == pytest.approx([20, 20], rel=0.05)
    assert np.isnan(band_rms(values, RATE_HZ)[2])


def test_stretches_with_missing_samples_are_left_out() -> None:
    values = 20e-6 * generator("rms").standard_normal((5000, 3))
    values[1000:2500] = np.nan
    values[:, 2] = np.nan
    assert eeg_amplitude_uv(values, RATE_HZ) == pytest.approx(20 * np.sqrt(44 / 125), rel=0.05)
    assert np.isnan(eeg_amplitude_uv(values[:, 2:], RATE_HZ))


@pytest.mark.parametrize(("value", "possible"), [(0.05, False), (0.1, True), (999, True)])
def test_a_value_outside_the_limits_is_described(value: float, possible: bool) -> None:
    what = EEG_RMS_UV.violation(value)
    assert (what is None) == possible
    assert possible or "0.05 µV, possible are 0.1 to 1000 µV" in str(what)

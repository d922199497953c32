"""Measures of the channels of an EEG."""

from __future__ import annotations

import numpy as np
import pytest

from consilience.core.seeds import generator
from consilience.signals.eeg_quality import Measures, measures, outliers, spans

RATE_HZ = 250.0


def measured(values: np.ndarray, rate_hz: float = RATE_HZ) -> Measures:
    single = values.astype(np.float32)
    return measures(lambda start, stop: single[:, start:stop], single.shape[1], rate_hz, 50.0)


def eeg(duration_s: float = 100) -> np.ndarray:
    return 1e-5 * generator("quality").standard_normal((3, round(duration_s * RATE_HZ)))


def test_flat_seconds_are_counted_over_blocks() -> None:
    values = eeg()
    values[1, 2500:10_000] = 2e-5
    values[2] = 0
    assert measured(values).flat == pytest.approx([0, 0.3, 1])


def test_the_span_is_that_of_all_blocks() -> None:
    values = eeg(300)
    values[:, 70_000] = 1e-3
    found = spans(lambda start, stop: values[:, start:stop].astype(np.float32), values.shape[1])
    assert found == pytest.approx(np.ptp(values, axis=1), rel=1e-6)


def test_only_samples_that_stay_at_the_extremes_of_the_recording_are_clipped() -> None:
    values = eeg()
    values[0] = np.clip(values[0], -1.5e-5, 1.2e-5)
    values[1, :8000] = np.clip(values[1, :8000], -1e-5, 1e-5)
    stays = sum((values[0, 1:] == level) & (values[0, :-1] == level) for level in (-1.5e-5, 1.2e-5))
    assert stays.mean() > 0.01
    assert measured(values).clipped == pytest.approx([stays.mean(), 0, 0], abs=1e-9)


@pytest.mark.parametrize("rate_hz", [128.0, 250.0, 512.0])
def test_hum_is_compared_with_its_neighbourhood(rate_hz: float) -> None:
    values = 1e-5 * generator("hum").standard_normal((2, round(60 * rate_hz)))
    quiet_db = measured(values, rate_hz).hum_db
    times_s = np.arange(values.shape[1]) / rate_hz
    values[1] += 1e-4 * np.sin(2 * np.pi * 50 * times_s)
    assert np.abs(quiet_db).max() < 2
    # Hum of 1e-10 / 2 V² over three resolved frequencies, noise of 2e-10 / rate V² at each.
    expected_db = 10 * np.log10(1e-8 / 2 / 3 / (2e-10 / rate_hz))
    assert measured(values, rate_hz).hum_db == pytest.approx([quiet_db[0], expected_db], abs=1)


def test_a_rate_too_low_for_the_mains_has_no_hum() -> None:
    assert measured(eeg(), 110.0).hum_db.tolist() == [0, 0, 0]


def test_an_outlier_is_far_from_the_median_in_robust_deviations() -> None:
    spread = np.array([0.0, 0.01, -0.01, 0.02, 0.45, 0.55, -0.6])
    assert outliers(spread, 5.0).tolist() == [False] * 5 + [True, True]
    assert not outliers(10 * spread[:5], 9.0)[:4].any()

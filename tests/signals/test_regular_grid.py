"""Sampling rates, gaps, and signals on a regular grid."""

from __future__ import annotations

import numpy as np
import pytest

from consilience.core.errors import RecordingError
from consilience.core.seeds import generator
from consilience.signals.regular_grid import has_gaps, interpolated, sampling_rate, to_regular_grid
from consilience.signals.types import Signal

RATE_HZ = 50.0


def signal(times_s: np.ndarray) -> Signal:
    values = np.arange(len(times_s), dtype=np.float64)[:, None] + [0.0, 100.0]
    return Signal(values, times_s, ("a", "b"))


def with_gap(n_samples: int = 200, first: int = 80, gap_s: float = 1.0) -> np.ndarray:
    times_s = np.arange(n_samples) / RATE_HZ
    times_s[first:] += gap_s
    return times_s


def test_the_rate_of_a_complete_signal() -> None:
    assert sampling_rate(signal(np.arange(200) / RATE_HZ), "eeg", 1.0) == pytest.approx(RATE_HZ)


def test_a_gap_does_not_lower_the_rate() -> None:
    assert sampling_rate(signal(with_gap()), "eeg", 1.0) == RATE_HZ


def test_jitter_of_the_time_stamps_averages_out() -> None:
    jitter = generator("jitter").uniform(-0.004, 0.004, 500)
    rate_hz = sampling_rate(signal(np.arange(500) / RATE_HZ + jitter), "eeg", 1.0)
    assert rate_hz == pytest.approx(RATE_HZ, rel=1e-3)


@pytest.mark.parametrize(
    ("times_s", "message"),
    [
        (np.zeros(0), "only 0 samples"),
        (np.zeros(1), "only 1 sample"),
        (np.array([0.0, 1.0, 1.0]), "do not increase"),
        (np.array([0.0, 1.0, 0.5]), "do not increase"),
        (with_gap(gap_s=10.0), "500 of 700 samples are missing"),
        (np.arange(20) / RATE_HZ, "0.38 s are too short"),
    ],
)
def test_an_unusable_signal_is_refused(times_s: np.ndarray, message: str) -> None:
    with pytest.raises(RecordingError, match=message):
        sampling_rate(signal(times_s), "eeg", 1.0)


def test_a_gap_is_a_step_of_more_than_one_and_a_half_samples() -> None:
    assert has_gaps(with_gap(first=80, gap_s=0.51 / RATE_HZ))
    assert not has_gaps(with_gap(first=80, gap_s=0.49 / RATE_HZ))
    assert not has_gaps(np.zeros(1))


def test_missing_samples_are_nan_on_the_grid() -> None:
    values, received = to_regular_grid(signal(with_gap()), RATE_HZ)
    assert values.shape == (250, 2)
    assert (~received).sum() == 50
    assert np.isnan(values[~received]).all()
    assert values[received][:, 0].tolist() == list(range(200))
    assert received[:80].all()
    assert not received[80:130].any()


def test_values_that_are_not_finite_are_received_but_nan() -> None:
    infinite = signal(np.arange(10) / RATE_HZ)
    infinite.values[3, 1] = np.inf
    values, received = to_regular_grid(infinite, RATE_HZ)
    assert received.all()
    assert np.isnan(values[3, 1])
    assert np.isfinite(values).sum() == 19


def test_jittered_samples_without_a_gap_are_not_merged() -> None:
    times_s = np.arange(100) / RATE_HZ + generator("merge").uniform(-0.009, 0.009, 100)
    times_s = np.sort(times_s)
    values, received = to_regular_grid(signal(times_s), RATE_HZ)
    if not has_gaps(times_s):
        assert received.all()
        assert len(values) == 100


def test_gaps_are_interpolated_channel_by_channel() -> None:
    values = np.array([[np.nan, 1.0], [2.0, np.nan], [np.nan, 5.0], [6.0, 7.0], [np.inf, np.nan]])
    assert interpolated(values).tolist() == [[2, 1], [2, 3], [4, 5], [6, 7], [6, 7]]


def test_a_channel_without_values_is_zero() -> None:
    assert interpolated(np.full((4, 1), np.nan)).tolist() == [[0.0]] * 4
    assert interpolated(np.ones((3, 1))).tolist() == [[1.0]] * 3

"""Heart beats of a known rate, and signals without beats."""

from __future__ import annotations

import numpy as np
import pytest

from consilience.core.seeds import generator
from consilience.signals.frame_grid import FrameGrid
from consilience.signals.heartbeats import beat_features, detect_beats, refined

RATE_HZ = 250.0
N_SAMPLES = int(60 * RATE_HZ)
FRAMES = FrameGrid.over(N_SAMPLES, RATE_HZ, 10.0, 5.0)


def peaks(times_s: np.ndarray) -> np.ndarray:
    """Return a signal that is 0 except for peaks of 80 ms at some times."""
    signal = np.zeros(N_SAMPLES)
    shape = np.hanning(21)
    for time_s in times_s:
        centre = round(time_s * RATE_HZ)
        signal[centre - 10 : centre + 11] += shape
    return signal


def test_every_beat_is_detected_at_its_peak() -> None:
    times_s = np.arange(1.0, 59.0, 0.8)
    beats = detect_beats(peaks(times_s), RATE_HZ, 0.1, 0.6, 0.02)
    assert len(beats) == len(times_s)
    assert np.abs(beats / RATE_HZ - times_s).max() <= 1 / RATE_HZ


def test_a_second_peak_soon_after_a_beat_belongs_to_it() -> None:
    times_s = np.arange(1.0, 58.0, 0.9)
    beats = detect_beats(peaks(times_s) + 0.5 * peaks(times_s + 0.25), RATE_HZ, 0.08, 0.6, 0.02)
    assert len(beats) == len(times_s)


def test_a_constant_signal_has_no_beats() -> None:
    assert detect_beats(np.zeros(N_SAMPLES), RATE_HZ, 0.1, 0.6, 0.02).size == 0


@pytest.mark.parametrize("bpm", [40, 75, 150])
def test_rate_and_variability_of_regular_beats(bpm: float) -> None:
    beats = np.rint(np.arange(0.5, 59.5, 60 / bpm) * RATE_HZ).astype(np.intp)
    values, quality = beat_features(beats, np.full(len(beats), 2.0), RATE_HZ, FRAMES)
    assert values[:, 0] == pytest.approx(bpm, rel=0.02)
    assert values[:, 1].max() < 1.5e3 / RATE_HZ * 2
    assert values[:, 2] == pytest.approx(1.0)
    assert quality == {"plausible_beat_fraction": 1.0, "quality": 1.0}


def test_alternating_intervals_have_their_difference_as_variability() -> None:
    intervals_s = np.where(np.arange(70) % 2, 0.84, 0.80)
    beats = np.rint(np.cumsum(intervals_s) * RATE_HZ).astype(np.intp)
    values, _ = beat_features(beats, np.ones(70), RATE_HZ, FrameGrid.over(14000, RATE_HZ, 10.0, 5))
    assert values[:, 1] == pytest.approx(40, rel=0.1)


def test_implausible_beats_give_no_values() -> None:
    beats = np.sort(generator("beats").integers(0, N_SAMPLES, 70)).astype(np.intp)
    values, quality = beat_features(beats, np.ones(70), RATE_HZ, FRAMES)
    assert np.isnan(values).all()
    assert quality["quality"] == 0.0


def test_no_beats_give_no_values() -> None:
    values, _ = beat_features(np.zeros(0, np.intp), np.zeros(0), RATE_HZ, FRAMES)
    assert np.isnan(values).all()
    assert values.shape == (len(FRAMES.starts), 3)


@pytest.mark.parametrize("rate_hz", [25, 50, 128, 500])
@pytest.mark.parametrize("alternation_s", [0.0, 0.0075])
def test_variability_does_not_depend_on_the_sampling_rate(
    rate_hz: int, alternation_s: float
) -> None:
    times_s = np.arange(60 * rate_hz) / rate_hz
    intervals_s = 0.81 + alternation_s * (-1.0) ** np.arange(72)
    beats_s = np.cumsum(intervals_s)
    wave = np.exp(-(((times_s[:, None] - beats_s) / 0.15) ** 2)).sum(axis=1)
    positions = refined(wave, detect_beats(wave, rate_hz, 0.1, 0.6, 0.02))
    frames = FrameGrid.over(len(wave), rate_hz, 10.0, 5.0)
    values, _ = beat_features(positions, np.ones(len(positions)), rate_hz, frames)
    assert values[:-1, 1] == pytest.approx(2e3 * alternation_s, abs=2.0)


def test_a_beat_that_is_no_maximum_keeps_its_sample() -> None:
    ramp = np.arange(10.0)
    assert refined(ramp, np.array([0, 4, 9])).tolist() == [0, 4, 9]
    assert refined(np.ones(10), np.array([5])).tolist() == [5]


def test_a_burst_of_movement_hides_no_beats_elsewhere() -> None:
    times_s = np.arange(1.0, 59.0, 0.8)
    signal = peaks(times_s)
    burst = (np.arange(N_SAMPLES) / RATE_HZ > 28) & (np.arange(N_SAMPLES) / RATE_HZ < 32)
    signal[burst] += 1e3 * generator("burst").random(int(burst.sum()))
    beats = detect_beats(signal, RATE_HZ, 0.1, 0.6, 0.02) / RATE_HZ
    far = np.abs(times_s - 30) > 8
    assert np.abs(times_s[far, None] - beats).min(1).max() <= 1 / RATE_HZ

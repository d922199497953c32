"""Clicks, and onsets of claps and tones, in noise."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.ndimage
import scipy.signal

from consilience.core.seeds import generator
from consilience.signals.sync_pulses import claps, clicks, tones

RATE_HZ = 16000
TONE_HZ, LENGTH_S = 1000.0, 0.2
ONSETS = np.array([8000, 24000, 40123])


def background(n_samples: int = 48000, level: float = 1e-3) -> np.ndarray:
    return (level * generator("background").standard_normal(n_samples)).astype(np.float32)


def with_claps() -> np.ndarray:
    sound = background()
    decay = np.exp(-np.arange(1600) / 200)
    for onset in ONSETS:
        sound[onset : onset + 1600] += 0.5 * decay * generator("clap", onset).standard_normal(1600)
    return sound


def with_tones(level: float = 0.3) -> np.ndarray:
    sound = background()
    wave = np.sin(2 * np.pi * TONE_HZ * np.arange(int(LENGTH_S * RATE_HZ)) / RATE_HZ)
    for onset in ONSETS:
        sound[onset : onset + wave.size] += level * wave
    return sound


def test_claps_are_detected_within_two_milliseconds() -> None:
    sound = with_claps()
    onsets = claps(sound, RATE_HZ, 5.0, 2000.0, float(np.mean(sound**2)))
    assert onsets.shape == ONSETS.shape
    assert np.abs(onsets - ONSETS).max() <= 0.002 * RATE_HZ


def test_tones_are_detected_within_five_milliseconds() -> None:
    onsets = tones(with_tones(), RATE_HZ, 5.0, TONE_HZ, LENGTH_S)
    assert onsets.shape == ONSETS.shape
    assert np.abs(onsets - ONSETS).max() <= 0.005 * RATE_HZ


def test_a_tone_of_another_frequency_is_not_detected() -> None:
    assert tones(with_tones(), RATE_HZ, 5.0, 3000.0, LENGTH_S).size == 0


def test_a_clap_is_not_a_tone() -> None:
    assert tones(with_claps(), RATE_HZ, 5.0, TONE_HZ, LENGTH_S).size == 0


def test_a_clap_weaker_than_the_sound_is_not_detected() -> None:
    sound = with_claps()
    assert claps(sound, RATE_HZ, 5.0, 2000.0, 1.0).size == 0


@pytest.mark.parametrize("level", [0.0, 1e-3, 0.1])
def test_steady_noise_and_silence_have_no_pulses(level: float) -> None:
    sound = background(level=level)
    assert claps(sound, RATE_HZ, 5.0, 2000.0, float(np.mean(sound**2))).size == 0
    assert tones(sound, RATE_HZ, 5.0, TONE_HZ, LENGTH_S).size == 0


def test_onsets_are_proportional_to_the_rate() -> None:
    """A sound played at another rate has its onsets at the same samples."""
    first = tones(with_tones(), RATE_HZ, 5.0, TONE_HZ, LENGTH_S)
    slower = tones(with_tones(), RATE_HZ / 2, 5.0, TONE_HZ / 2, 2 * LENGTH_S)
    assert np.abs(first - slower).max() <= 0.01 * RATE_HZ


def click(since_s: np.ndarray) -> np.ndarray:
    after_s = np.maximum(since_s, 0)
    return (since_s >= 0) * np.cos(2 * np.pi * 5000 * after_s) * np.exp(-after_s / 5e-4)


@pytest.mark.parametrize("rate_hz", [16000, 44100])
@pytest.mark.parametrize("level", [0.02, 0.1, 0.5])
def test_clicks_are_those_of_the_filtered_whole(rate_hz: int, level: float) -> None:
    times_s = np.arange(4 * rate_hz) / rate_hz
    rng = generator("clicks", rate_hz)
    sound = 0.2 * np.sin(2 * np.pi * 300 * times_s) * (times_s % 1 < 0.6)
    sound += 1e-3 * rng.standard_normal(times_s.size)
    sound += 0.3 * rng.standard_normal(times_s.size) * ((times_s > 2.2) & (times_s < 2.4))
    for onset_s in (0.0005, 0.3, 0.8, 0.82, 1.7, 2.3, 3.2, 3.999):
        sound += level * click(times_s - onset_s)
    sound = sound.astype(np.float32)
    power = float(np.var(sound))
    found = clicks(sound, rate_hz, 12.0, 4000.0, 0.004, power)

    sos = scipy.signal.butter(4, 4000.0, "highpass", fs=rate_hz, output="sos")
    high = scipy.signal.sosfiltfilt(sos, sound) ** 2
    inner, outer = (2 * round(length_s * rate_hz / 2) + 1 for length_s in (0.004, 0.02))
    sums = [n * scipy.ndimage.uniform_filter1d(high, n) for n in (outer, inner)]
    floor = np.maximum((sums[0] - sums[1]) / (outer - inner), 1e-10)
    ratio = np.where(high > power, high / floor, 0)
    expected, _ = scipy.signal.find_peaks(ratio, 12.0**2, distance=outer)
    assert np.array_equal(found, expected)
    assert (found.size >= 5) == (level > 0.1)


def test_smooth_sound_has_no_clicks() -> None:
    smooth = np.sin(np.arange(16000) / 100).astype(np.float32)
    assert clicks(smooth, RATE_HZ, 12.0, 4000.0, 0.004, 0.5).size == 0

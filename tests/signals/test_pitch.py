"""Pitch of harmonic sounds and noise."""

from __future__ import annotations

import numpy as np
import pytest

from consilience.core.seeds import generator
from consilience.signals.pitch import Peaks, PitchAnalysis, pitch_track

RATE_HZ = 16000


def buzz(pitch_hz: float, rate_hz: int = RATE_HZ, slope: float = 1.0) -> np.ndarray:
    """Return two frames of 50 ms of harmonics up to 4 kHz, whose amplitudes fall by a power."""
    times_s = np.arange(rate_hz // 10) / rate_hz
    harmonics = np.arange(1, int(4000 / pitch_hz) + 1)[:, None]
    waves = np.sin(2 * np.pi * pitch_hz * harmonics * times_s)
    sound = (waves / harmonics**slope).sum(axis=0)
    return np.asarray(sound.reshape(2, -1), np.float32)


def peaks(frames: np.ndarray, rate_hz: int = RATE_HZ) -> Peaks:
    analysis = PitchAnalysis(rate_hz, frames.shape[1], 60.0, 600.0)
    spectra = analysis.spectra(frames)
    return analysis.peaks(analysis.product(spectra, spectra))


@pytest.mark.parametrize("slope", [0.0, 0.5, 1.0], ids=["even", "half as steep", "of a voice"])
@pytest.mark.parametrize("rate_hz", [8000, 16000, 44100])
def test_pitch_is_detected_to_a_sixth_of_a_semitone(rate_hz: int, slope: float) -> None:
    rate_hz -= rate_hz % 20
    # A period between two lags is the most difficult: the grid is finer than the lags.
    for pitch_hz in np.arange(65, 595, 0.5):
        measured = peaks(buzz(pitch_hz, rate_hz, slope), rate_hz)
        assert measured.semitones == pytest.approx(12 * np.log2(pitch_hz / 55), abs=0.16)
        assert measured.strength.min() > (0.9 if slope == 1 else 0.7)


@pytest.mark.parametrize("pitch_hz", [70.0, 100.0, 180.0, 240.0, 310.0])
def test_a_tone_is_not_taken_for_a_harmonic(pitch_hz: float) -> None:
    times_s = np.arange(RATE_HZ // 2) / RATE_HZ
    for second in (0.0, 0.3, 1.0):  # amplitude of the second harmonic
        tone = np.sin(2 * np.pi * pitch_hz * times_s)
        tone += second * np.sin(4 * np.pi * pitch_hz * times_s + 1)
        measured = peaks(tone.reshape(10, -1).astype(np.float32))
        assert measured.semitones == pytest.approx(12 * np.log2(pitch_hz / 55), abs=0.3)


def test_noise_is_not_voiced() -> None:
    noise = generator("unvoiced").standard_normal((100, 800)).astype(np.float32)
    assert np.median(peaks(noise).strength) < 0.5


def test_the_product_is_the_window_corrected_autocorrelation() -> None:
    frames = generator("frames").standard_normal((3, 800)).astype(np.float32)
    analysis = PitchAnalysis(RATE_HZ, 800, 60.0, RATE_HZ / 13)  # every lag is computed
    spectra = analysis.spectra(frames)
    correlation = analysis.product(spectra, spectra)
    centred = (frames - frames.mean(axis=1, keepdims=True)) * np.hanning(801)[:800]
    window = np.hanning(801)[:800]
    taper = np.correlate(window, window, "full")[799:]
    n_lags = correlation.shape[1]
    expected = [np.correlate(frame, frame, "full")[799:][:n_lags] for frame in centred]
    assert analysis.step == 1
    assert np.abs(correlation - np.array(expected) / taper[:n_lags]).max() < 1e-4


def test_the_product_of_a_sum_is_that_of_its_parts() -> None:
    one, other = (generator("part", i).standard_normal((3, 800)).astype(np.float32) for i in (1, 2))
    analysis = PitchAnalysis(RATE_HZ, 800, 60.0, 600.0)
    a, b = analysis.spectra(one), analysis.spectra(other)
    whole = analysis.spectra(one + other)
    parts = analysis.product(a, a) + 2 * analysis.product(a, b) + analysis.product(b, b)
    assert np.abs(analysis.product(whole, whole) - parts).max() < 1e-4


def test_unvoiced_and_quiet_frames_have_the_pitch_of_the_last_voiced_one() -> None:
    semitones = np.array([99, 10, 10, 40, 12, 90, 14, 14], np.float32)
    strength = np.array([0.1, 0.9, 0.9, 0.2, 0.9, 0.9, 0.9, 0.9], np.float32)
    power = np.array([1, 1, 1, 1, 1, 1e-5, 1, 1], np.float32)
    peaks, level = Peaks(semitones, strength, power), np.ones(8, np.float32)
    # The median over five voiced frames follows a change after three of them.
    track = pitch_track(peaks, 0.5, level, 100, 110.0)
    assert track == pytest.approx([12, 10, 10, 10, 10, 10, 10, 12])
    unvoiced = peaks._replace(strength=0 * strength)
    assert pitch_track(unvoiced, 0.5, level, 100, 110.0) == pytest.approx(np.full(8, 12.0))


def test_the_pitch_is_forgotten() -> None:
    strength = np.array([0.9, 0, 0, 0, 0], np.float32)
    peaks = Peaks(np.full(5, 20, np.float32), strength, np.ones(5, np.float32))
    track = pitch_track(peaks, 0.5, np.ones(5, np.float32), 2, 55.0)
    assert track == pytest.approx([20, 20, 20, 0, 0])

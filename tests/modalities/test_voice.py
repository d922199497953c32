"""Reading sound: pulses and their removal."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from consilience.core.seeds import generator
from consilience.modalities.params.audio import AudioParams
from consilience.modalities.voice import cleaned, cut_pulses, pulses
from tests.voices import RATE_HZ, voice

PARAMS = AudioParams()


def click(since_s: np.ndarray) -> np.ndarray:
    after_s = np.maximum(since_s, 0)
    return (since_s >= 0) * np.cos(2 * np.pi * 5000 * after_s) * np.exp(-after_s / 5e-4)


@settings(max_examples=15, deadline=None)
@given(st.lists(st.floats(0.1, 1.9), min_size=1, max_size=6))
def test_clicks_in_speech_are_found_to_a_millisecond(times_s: list[float]) -> None:
    spaced = np.array([t for i, t in enumerate(sorted(times_s)) if i == 0 or t > times_s[0] + i])
    sound = voice()
    for time_s in spaced:
        sound += 0.4 * click(np.arange(sound.size) / RATE_HZ - time_s)
    detected = pulses(sound.astype(np.float32), RATE_HZ, PARAMS)
    for time_s in spaced:
        assert np.abs(detected - time_s).min() < 1e-3
    assert len(detected) <= len(spaced) + 2


def test_speech_without_clicks_gives_none() -> None:
    sound = voice() * np.hanning(int(2.0 * RATE_HZ))
    assert pulses(sound.astype(np.float32), RATE_HZ, PARAMS).size <= 1


def clap(since_s: np.ndarray) -> np.ndarray:
    after_s = np.maximum(since_s, 0)
    return (
        (since_s >= 0) * generator("clap").standard_normal(since_s.size) * np.exp(-after_s / 0.02)
    )


def tone(since_s: np.ndarray) -> np.ndarray:
    return ((since_s >= 0) & (since_s < 0.1)) * np.sin(2 * np.pi * 1000 * since_s)


@pytest.mark.parametrize(("kind", "made"), [("clap", clap), ("tone", tone)])
def test_claps_and_tones_are_found_where_they_begin(kind, made) -> None:
    sound, times_s = voice(duration_s=20.0), np.linspace(0.63, 19.13, 14)
    for time_s in times_s:
        sound += 0.4 * made(np.arange(sound.size) / RATE_HZ - time_s)
    params = AudioParams(pulse=kind)
    detected = pulses(sound.astype(np.float32), RATE_HZ, params)
    for time_s in times_s:
        assert np.abs(detected - time_s).min() < 1.5e-3
    assert len(detected) <= 16
    assert pulses(voice(duration_s=20.0).astype(np.float32), RATE_HZ, params).size <= 2
    left = sound.astype(np.float32)
    cut_pulses(left, detected, params)
    assert np.abs(left).max() < 0.8 * np.abs(sound).max()


def test_cutting_joins_both_sides_by_a_line() -> None:
    ramp = np.linspace(0, 1, RATE_HZ, dtype=np.float32)
    clicked = ramp.copy()
    clicked[8000:8010] = 5
    cut_pulses(clicked, np.array([0.5]), PARAMS)
    assert np.allclose(clicked, ramp, atol=1e-5)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.floats(-0.1, 1.1), max_size=20))
def test_only_the_surroundings_of_pulses_are_cut(pulses_s: list[float]) -> None:
    sound = generator("cut").standard_normal(RATE_HZ).astype(np.float32)
    left = sound.copy()
    cut_pulses(left, np.array(pulses_s), PARAMS)
    times_s = np.arange(sound.size) / RATE_HZ
    near = np.zeros(sound.size, bool)
    for pulse_s in pulses_s:
        near |= (times_s > pulse_s - 0.0011) & (times_s < pulse_s + PARAMS.pulse_s + 1e-4)
    assert np.array_equal(left[~near], sound[~near])
    assert np.abs(np.diff(left, 2))[near[1:-1]].sum() <= np.abs(np.diff(sound, 2)).sum()


def test_cleaning_is_linear_in_the_sound() -> None:
    one, other = (generator("part", i).standard_normal(RATE_HZ).astype(np.float32) for i in (1, 2))
    lost = (np.arange(RATE_HZ) > 9000) & (np.arange(RATE_HZ) < 9500)
    pulses_s = np.array([0.1, 0.102, 0.7])
    recorded = np.where(lost, np.float32(np.nan), one)
    together = cleaned(1 + one + 3 * other, recorded, pulses_s, PARAMS)
    parts = cleaned(1 + one, recorded, pulses_s, PARAMS)
    parts += 3 * cleaned(other, recorded, pulses_s, PARAMS)
    assert np.abs(together - parts).max() < 1e-5
    assert (together[lost] == 0).all()

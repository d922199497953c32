from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import soundfile
from numpy.typing import NDArray

from consilience.schema.params.synthesis import SynthesisParams
from consilience.synthesis import voice
from consilience.synthesis.plan import Clock, sessions

Pulses = Callable[[str], NDArray[np.float64]]
PLAN = sessions(SynthesisParams(subjects=1, sessions=1, trials=2))[0]


def test_voice_has_clicks_within_a_sample(
    corpus: tuple[Path, Path], expected_pulses_s: Pulses
) -> None:
    sound, rate_hz = soundfile.read(corpus[0] / "sub-02/ses-1/voice.flac")
    assert rate_hz == 16000
    assert sound.ndim == 1
    for time_s in expected_pulses_s("sub-02_ses-1_audio"):
        first = int(np.ceil(time_s * rate_hz))
        assert np.abs(sound[first : first + 2]).max() > 0.25
        assert np.abs(sound[first - 32 : first - 1]).max() < 0.1


def test_voice_is_silent_between_trials_and_pitched_within(corpus: tuple[Path, Path]) -> None:
    sound, rate_hz = soundfile.read(corpus[0] / "sub-01/ses-1/voice.flac")
    trials = pl.read_csv(corpus[0] / "trials.csv").filter(pl.col("session") == "sub-01_ses-1")
    clock = sessions(SynthesisParams(subjects=1, sessions=1))[0].clocks["audio"]
    start_s = clock.native_s(trials["start_s"].to_numpy())[0]
    end_s = clock.native_s(trials["end_s"].to_numpy())[0]
    speech = sound[int(start_s * rate_hz) : int(end_s * rate_hz)]
    rest = sound[int((end_s + 0.02) * rate_hz) : int((end_s + 0.08) * rate_hz)]
    assert speech.std() > 5 * rest.std()
    spectrum = np.abs(np.fft.rfft(speech)) ** 2
    hz = np.fft.rfftfreq(len(speech), 1 / rate_hz)
    assert spectrum[(hz > 80) & (hz < 3000)].sum() > 0.7 * spectrum.sum()


def test_clipped_voice_sits_at_its_limit(tmp_path: Path) -> None:
    assert voice.write_voice(replace(PLAN, faulty="audio"), tmp_path / "voice.flac")
    sound, _ = soundfile.read(tmp_path / "voice.flac")
    assert np.abs(sound).max() == pytest.approx(0.5, abs=1e-3)
    assert (np.abs(sound) > 0.499).mean() > 0.005


def test_drift_moves_the_last_pulse(tmp_path: Path) -> None:
    """Two devices that differ in drift alone disagree by the drift times the time elapsed."""
    last_s = PLAN.pulses_s[-1]
    for drift_ppm in (-300.0, 300.0):
        clocks = {**PLAN.clocks, "audio": Clock(0.0, drift_ppm)}
        voice.write_voice(replace(PLAN, clocks=clocks), tmp_path / "voice.flac")
        sound, rate_hz = soundfile.read(tmp_path / "voice.flac")
        first = round((last_s - 0.1) * rate_hz)
        click_s = (first + np.flatnonzero(np.abs(sound[first:]) > 0.25)[0]) / rate_hz
        assert click_s - last_s == pytest.approx(-1e-6 * drift_ppm * last_s, abs=2 / rate_hz)


def test_speech_lies_within_the_trials() -> None:
    spans = [(trial.start_s, trial.end_s) for trial in PLAN.trials]
    syllables = list(voice._syllables(PLAN))
    assert len(syllables) > 10
    for syllable in syllables:
        assert any(start <= syllable.start_s and syllable.end_s <= end for start, end in spans)
    for syllable, later in pairwise(syllables):
        assert syllable.end_s < later.start_s


def test_glottis_is_closed_at_both_ends_of_the_cycle() -> None:
    flow = voice._glottal_flow(np.array([0.0, 0.4, 0.56, 0.9]))
    np.testing.assert_allclose(flow, [0, 1, 0, 0], atol=1e-12)


def test_resonators_are_stable_and_pass_constant_input_unchanged() -> None:
    sections = voice._resonators(voice.FORMANTS_HZ[0])
    gains = sections[:, :3].sum(axis=1) / sections[:, 3:].sum(axis=1)
    np.testing.assert_allclose(gains, 1)
    for section in sections:
        poles = np.roots(section[3:])
        assert (np.abs(poles) < 1).all()
    resonance_hz = np.abs(np.angle(np.roots(sections[0, 3:]))) * voice.RATE_HZ / (2 * np.pi)
    np.testing.assert_allclose(resonance_hz, voice.FORMANTS_HZ[0, 0])

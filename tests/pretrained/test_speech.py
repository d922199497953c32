from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from consilience.core.errors import ConsilienceError
from consilience.core.seeds import generator
from consilience.pretrained import speech
from consilience.pretrained.speech import BLOCK, BLOCKS_AT_ONCE, RATE_HZ, speech_probability
from consilience.schema.params.synthesis import SynthesisParams
from consilience.signals.audio_corruptions import pink_noise
from consilience.synthesis.plan import Session, sessions
from consilience.synthesis.voice import write_voice


@pytest.fixture(scope="module")
def session() -> Session:
    plan = SynthesisParams(
        subjects=2, sessions=1, trials=2, trial_s=5, missing_fraction=0, faulty_fraction=0
    )
    return sessions(plan)[0]


@pytest.fixture(scope="module")
def voice(session: Session, tmp_path_factory: pytest.TempPathFactory) -> np.ndarray:
    path = tmp_path_factory.mktemp("speech") / "voice.flac"
    write_voice(session, path)
    sound, rate_hz = soundfile.read(path, dtype="float32")
    assert rate_hz == RATE_HZ
    return np.asarray(sound)


def every_block(sound: np.ndarray) -> np.ndarray:
    """Return the middles of all the network's blocks, in seconds."""
    return (np.arange(-(-sound.size // BLOCK)) + 0.5) * BLOCK / RATE_HZ


def test_speech_is_detected_in_the_trials_and_not_between(
    session: Session, voice: np.ndarray
) -> None:
    times_s = every_block(voice)
    speech = speech_probability(voice, RATE_HZ, times_s) > 0.5
    session_s = session.clocks["audio"].session_s(times_s)
    inside = np.zeros(times_s.size, bool)
    outside = np.ones(times_s.size, bool)
    for trial in session.trials:
        inside |= (session_s > trial.start_s + 0.5) & (session_s < trial.end_s - 0.5)
        outside &= (session_s < trial.start_s - 0.5) | (session_s > trial.end_s + 0.5)
    assert speech[inside].mean() > 0.6
    assert speech[outside].mean() < 0.15


def test_noise_is_not_speech() -> None:
    noise = 0.05 * pink_noise(4 * RATE_HZ, generator("noise"))
    assert (speech_probability(noise, RATE_HZ, every_block(noise)) > 0.5).mean() < 0.05


def test_another_sampling_rate_gives_the_same_speech(voice: np.ndarray) -> None:
    whole = voice[: 4 * RATE_HZ]
    times_s = every_block(whole)
    half = speech_probability(np.ascontiguousarray(whole[::2]), RATE_HZ / 2, times_s) > 0.5
    full = speech_probability(whole, RATE_HZ, times_s) > 0.5
    assert (half == full).mean() > 0.85


def test_the_state_is_passed_between_calls_of_the_network(
    voice: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = speech_probability(voice, RATE_HZ, every_block(voice))
    assert every_block(voice).size > 100
    monkeypatch.setattr(speech, "BLOCKS_AT_ONCE", 37)
    parts = speech_probability(voice, RATE_HZ, every_block(voice))
    assert BLOCKS_AT_ONCE != 37
    assert np.abs(whole - parts).max() < 1e-4


def test_times_beyond_the_end_are_those_of_the_last_block(voice: np.ndarray) -> None:
    short = voice[:700]
    inside, beyond = speech_probability(short, RATE_HZ, np.array([0.04, 9.0]))
    assert inside == beyond


def test_missing_weights_are_an_error_with_a_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(speech, "find_spec", lambda name: None)
    speech._network.cache_clear()
    with pytest.raises(ConsilienceError, match="not installed"):
        speech_probability(np.zeros(RATE_HZ, np.float32), RATE_HZ, np.zeros(1))


def test_the_code_of_the_package_is_never_imported() -> None:
    code = (
        "import sys, numpy as np;"
        "from consilience.pretrained.speech import speech_probability as p;"
        "p(np.zeros(16000, np.float32), 16000, np.zeros(1)); assert 'silero_vad' not in sys.modules"
    )
    root = Path(__file__).parents[2]
    subprocess.run([sys.executable, "-c", code], cwd=root, check=True)


@pytest.mark.real_data
def test_a_real_clip_begins_and_ends_in_silence(real_data: Path) -> None:
    sound, _ = soundfile.read(
        real_data / "ravdess/Actor_03/03-01-05-02-01-01-03.flac", dtype="float32"
    )
    speech = speech_probability(sound, RATE_HZ, every_block(sound)) > 0.5
    assert not speech[:10].any()
    assert not speech[-10:].any()
    assert 0.2 < speech.mean() < 0.8

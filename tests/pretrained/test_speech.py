from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from consilience.core.errors import ConsilienceError
from consilience.core.memo import Memo, remembering
from consilience.core.seeds import generator
from consilience.pretrained import speech
from consilience.pretrained.speech import BLOCK, RATE_HZ, SEGMENT, speech_probability
from consilience.schema.params.synthesis import SynthesisParams
from consilience.signals.audio_corruptions import pink_noise
from consilience.signals.mixes import Mixes
from consilience.synthesis.plan import Session, sessions
from consilience.synthesis.voice import write_voice

EXPECTED = (
    *(
        0.7054,
        0.3124,
        0.0665,
        0.0237,
        0.0224,
        0.011,
        0.0007,
        0.0067,
        0.1402,
        0.0045,
        0.0026,
        0.0022,
        0.0034,
    ),
    *(),
)


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


def probability(sound: np.ndarray) -> np.ndarray:
    return speech_probability(Mixes([sound]), RATE_HZ, every_block(sound))[0]


def test_speech_is_detected_in_the_trials_and_not_between(
    session: Session, voice: np.ndarray
) -> None:
    times_s = every_block(voice)
    speech = speech_probability(Mixes([voice]), RATE_HZ, times_s)[0] > 0.5
    session_s = session.clocks["audio"].session_s(times_s)
    inside = np.zeros(times_s.size, bool)
    outside = np.ones(times_s.size, bool)
    for trial in session.trials:
        inside |= (session_s > trial.start_s + 0.5) & (session_s < trial.end_s - 0.5)
        outside &= (session_s < trial.start_s - 0.5) | (session_s > trial.end_s + 0.5)
    assert speech[inside].mean() > 0.6
    assert speech[outside].mean() < 0.15


def test_noise_is_not_speech() -> None:
    noise = 0.05 * pink_noise(4 * RATE_HZ, RATE_HZ, generator("noise"))
    assert (probability(noise) > 0.5).mean() < 0.05


def test_another_sampling_rate_gives_the_same_speech(voice: np.ndarray) -> None:
    whole = voice[: 4 * RATE_HZ]
    times_s = every_block(whole)
    half = speech_probability(Mixes([whole[::2].copy()]), RATE_HZ / 2, times_s)[0] > 0.5
    full = probability(whole) > 0.5
    assert (half == full).mean() > 0.85


def test_probabilities_do_not_depend_on_the_segments_at_once(
    voice: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = probability(voice)
    assert every_block(voice).size > 2 * SEGMENT
    for n_segments in (1, 3):
        monkeypatch.setattr(speech, "SEGMENTS", n_segments)
        assert np.abs(whole - probability(voice)).max() < 1e-4


def test_remembered_segments_give_the_same_probabilities(voice: np.ndarray) -> None:
    memo = Memo()
    for first, last in ((0, 13), (0, 15), (4, 17)):  # seconds; stretches begin with a segment
        sound = voice[first * RATE_HZ : last * RATE_HZ]
        times_s = np.arange(0, last - first, 0.02)
        with remembering(memo):
            streamed = speech_probability(Mixes([sound]), RATE_HZ, times_s)
        expected = speech_probability(Mixes([sound]), RATE_HZ, times_s)
        assert streamed.shape == expected.shape
        assert streamed == pytest.approx(expected, abs=1e-5)
    # Two segments are complete; the last and the first one differ from stretch to stretch.
    assert len(memo) == 4 + 1 + 3


def test_probabilities_depend_on_six_seconds_of_the_past(voice: np.ndarray) -> None:
    whole = probability(voice)
    later = probability(voice[SEGMENT * BLOCK :])
    assert np.abs(whole[2 * SEGMENT :] - later[SEGMENT:]).max() < 1e-4


def test_the_probabilities_are_those_of_the_packages_own_runtime() -> None:
    """Of a buzz whose pitch rises and falls; computed by onnxruntime 1.32."""
    assert probability(sweep())[:26:2] == pytest.approx(np.array(EXPECTED), abs=2e-4)


def sweep() -> np.ndarray:
    """Return two seconds of harmonics under two formants, interrupted every half second."""
    times_s = np.arange(2 * RATE_HZ) / RATE_HZ
    phase = 2 * np.pi * np.cumsum(140 + 40 * np.sin(5 * times_s)) / RATE_HZ
    hz = 140.0 * np.arange(1, 25)
    levels = 1 / (1 + ((hz - 600) / 150) ** 2) + 0.5 / (1 + ((hz - 1700) / 200) ** 2)
    sound = sum(level * np.sin(n * phase) for n, level in enumerate(levels, 1))
    return np.asarray(0.1 * sound * (times_s % 0.5 < 0.35), np.float32)


def test_the_mixes_of_a_voice_with_noise_are_independent(voice: np.ndarray) -> None:
    short = voice[: 10 * RATE_HZ]
    noise = pink_noise(short.size, RATE_HZ, generator("noise"))
    gains = (0.001, 0.1)
    together = speech_probability(Mixes([short, noise], gains), RATE_HZ, every_block(short))
    for gain, mix in zip(gains, together, strict=True):
        assert mix == pytest.approx(probability(short + np.float32(gain) * noise), abs=1e-3)


def test_times_beyond_the_end_are_those_of_the_last_block(voice: np.ndarray) -> None:
    short = voice[:700]
    inside, beyond = speech_probability(Mixes([short]), RATE_HZ, np.array([0.04, 9.0]))[0]
    assert inside == beyond


def test_missing_weights_are_an_error_with_a_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(speech, "find_spec", lambda name: None)
    speech._network.cache_clear()
    with pytest.raises(ConsilienceError, match="not installed"):
        probability(np.zeros(RATE_HZ, np.float32))


def test_the_code_of_the_package_is_never_imported() -> None:
    code = (
        "import sys, numpy as np;"
        "from consilience.pretrained.speech import speech_probability as p;"
        "from consilience.signals.mixes import Mixes;"
        "p(Mixes([np.zeros(16000, np.float32)]), 16000, np.zeros(1));"
        "assert not {'silero_vad', 'torch', 'onnxruntime'} & set(sys.modules)"
    )
    root = Path(__file__).parents[2]
    subprocess.run([sys.executable, "-c", code], cwd=root, check=True)


@pytest.mark.real_data
def test_a_real_clip_begins_and_ends_in_silence(real_data: Path) -> None:
    sound, _ = soundfile.read(
        real_data / "ravdess/Actor_03/03-01-05-02-01-01-03.flac", dtype="float32"
    )
    speech = probability(sound) > 0.5
    assert not speech[:10].any()
    assert not speech[-10:].any()
    assert 0.2 < speech.mean() < 0.8

"""The speaker network: shape, level, and what is imported and unpickled."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from consilience.core.errors import ConsilienceError
from consilience.pretrained import speaker
from consilience.pretrained.speaker import HOP, RATE_HZ, UNITS, second_layer


def buzz(pitch_hz: float) -> np.ndarray:
    phase = np.arange(RATE_HZ) / RATE_HZ * pitch_hz
    return (0.1 * (phase % 1 - 0.5)).astype(np.float32)


def test_there_is_a_frame_every_ten_milliseconds() -> None:
    states = second_layer([buzz(150)])
    assert states.shape == (1, RATE_HZ // HOP + 1, UNITS)
    assert states.dtype == np.float32
    assert np.isfinite(states).all()


def test_the_level_of_the_sound_has_no_influence() -> None:
    assert np.allclose(second_layer([buzz(150)]), second_layer([0.01 * buzz(150)]), atol=1e-3)


def test_pitch_has_an_influence() -> None:
    low, again, high = second_layer([buzz(hz) for hz in (120, 122, 240)]).mean(axis=1)
    assert np.linalg.norm(low - again) < 0.5 * np.linalg.norm(low - high)


def test_sounds_together_are_those_one_by_one() -> None:
    sounds = [buzz(hz) for hz in (120, 180, 240)]
    together = second_layer(sounds)
    for sound, states in zip(sounds, together, strict=True):
        assert states == pytest.approx(second_layer([sound])[0], abs=1e-4)
    assert np.abs(together[0] - together[2]).max() > 0.1


def test_silence_is_finite() -> None:
    assert np.isfinite(second_layer([np.zeros(RATE_HZ, np.float32)])).all()


def test_missing_weights_are_an_error_with_a_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(speaker, "find_spec", lambda name: None)
    speaker._layers.cache_clear()
    with pytest.raises(ConsilienceError, match=r"pip install --no-deps resemblyzer"):
        second_layer([buzz(150)])


def test_the_code_of_the_package_is_never_imported() -> None:
    code = (
        "import sys, numpy as np; from consilience.pretrained.speaker import second_layer;"
        "second_layer([np.ones(16000, np.float32)]); assert 'resemblyzer' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)

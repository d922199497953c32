from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from consilience.core.errors import RecordingError
from consilience.core.seeds import generator
from consilience.readers import sound

RATE_HZ = 44100


def tone(duration_s: float = 1.0, hz: float = 440.0) -> np.ndarray:
    times_s = np.arange(round(duration_s * RATE_HZ)) / RATE_HZ
    return (0.3 * np.sin(2 * np.pi * hz * times_s)).astype(np.float32)


def test_channels_are_averaged(tmp_path: Path) -> None:
    left = tone()
    soundfile.write(tmp_path / "a.wav", np.stack([left, -left / 2], axis=1), RATE_HZ, "FLOAT")
    header = sound.probe(tmp_path / "a.wav")
    assert header == (RATE_HZ, 2, 1.0)
    values, rate_hz, start_s = sound.decode(tmp_path / "a.wav")
    assert (rate_hz, start_s, values.dtype) == (RATE_HZ, 0.0, np.float32)
    np.testing.assert_allclose(values, left / 4, atol=1e-7)


def test_every_channel_is_yielded(tmp_path: Path) -> None:
    stereo = generator("stereo").uniform(-0.5, 0.5, (1000, 2)).astype(np.float32)
    soundfile.write(tmp_path / "a.wav", stereo, RATE_HZ, "FLOAT")
    blocks = list(sound.channel_blocks(tmp_path / "a.wav"))
    assert all(stamp_s is None for stamp_s, _ in blocks)
    np.testing.assert_array_equal(np.concatenate([block for _, block in blocks], axis=1), stereo.T)


def test_a_tone_keeps_its_frequency_and_amplitude_at_another_rate() -> None:
    values = sound.resample(tone(), RATE_HZ, 16000, Path("tone"))
    assert values.size == pytest.approx(16000, abs=1)
    expected = 0.3 * np.sin(2 * np.pi * 440 * np.arange(values.size) / 16000)
    inner = slice(200, -200)  # a filter has no neighbours beyond the ends
    np.testing.assert_allclose(values[inner], expected[inner], atol=1e-3)


def test_the_same_rate_changes_nothing() -> None:
    values = tone()
    assert sound.resample(values, RATE_HZ, RATE_HZ, Path("tone")) is values


def test_lost_samples_stay_lost_at_another_rate_and_do_not_spread() -> None:
    values = tone()
    values[10000:20000] = np.nan
    lost = np.flatnonzero(np.isnan(sound.resample(values, RATE_HZ, 16000, Path("tone"))))
    assert lost[0] / 16000 == pytest.approx(10000 / RATE_HZ, abs=1e-4)
    assert lost[-1] / 16000 == pytest.approx(19999 / RATE_HZ, abs=1e-4)
    assert lost.size == lost[-1] - lost[0] + 1


def test_blocks_are_resampled_as_one_piece(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = sound.resample(tone(), RATE_HZ, 16000, Path("tone"))
    monkeypatch.setattr(sound, "BLOCK", 1000)
    np.testing.assert_array_equal(sound.resample(tone(), RATE_HZ, 16000, Path("tone")), whole)


@pytest.mark.parametrize("content", [b"", b"RIFF", b"no sound at all"])
def test_a_file_without_sound_is_refused(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "a.wav").write_bytes(content)
    for read in (sound.probe, sound.decode):
        with pytest.raises(RecordingError):
            read(tmp_path / "a.wav")


def test_a_sound_file_with_another_ending_is_refused(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", tone(), RATE_HZ)
    (tmp_path / "a.flac").write_bytes((tmp_path / "a.wav").read_bytes())
    with pytest.raises(RecordingError, match="the content is WAV, not FLAC"):
        sound.decode(tmp_path / "a.flac")

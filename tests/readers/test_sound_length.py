from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from consilience.core.errors import RecordingError
from consilience.readers.sound_length import FrameBytes, is_longer, mp3_declared_s

RATE_HZ = 16000
NOISE = np.random.default_rng(0).uniform(-0.5, 0.5, RATE_HZ).astype(np.float32)


@pytest.fixture
def wav(tmp_path: Path) -> Path:
    soundfile.write(tmp_path / "a.wav", NOISE, RATE_HZ)
    return tmp_path / "a.wav"


@pytest.mark.parametrize(
    "behind", [b"", b"\0", b"LIST\4\0\0\0INFO", bytes(512), b"LIST\4\0\0\0INFO" + bytes(3)]
)
def test_other_data_behind_the_samples_is_not_sound(behind: bytes, wav: Path) -> None:
    wav.write_bytes(wav.read_bytes() + behind)
    assert not is_longer(wav)


@pytest.mark.parametrize("n_bytes", [0, 2, 10_000])
def test_samples_behind_their_stated_length(n_bytes: int, wav: Path) -> None:
    content = bytearray(wav.read_bytes())
    content[40:44] = n_bytes.to_bytes(4, "little")
    wav.write_bytes(content)
    assert is_longer(wav)


@pytest.mark.parametrize("n_bytes", [0, 10_000])
def test_samples_behind_a_length_of_64_bits(n_bytes: int, tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    soundfile.write(path, NOISE, RATE_HZ, format="RF64")
    assert not is_longer(path)
    content = bytearray(path.read_bytes())
    place = content.index(b"ds64") + 16
    content[place : place + 8] = n_bytes.to_bytes(8, "little")
    path.write_bytes(content)
    assert is_longer(path)


@pytest.mark.parametrize(("n_bytes", "longer"), [(0, False), (10_008, True), (32_008, False)])
def test_samples_behind_the_stated_length_of_aiff(
    n_bytes: int, longer: bool, tmp_path: Path
) -> None:
    path = tmp_path / "a.aiff"
    soundfile.write(path, NOISE, RATE_HZ)
    content = bytearray(path.read_bytes())
    place = content.index(b"SSND") + 4
    content[place : place + 4] = n_bytes.to_bytes(4, "big")
    path.write_bytes(content)
    assert is_longer(path) == longer


def test_two_joined_files_are_refused(wav: Path) -> None:
    wav.write_bytes(2 * wav.read_bytes())
    with pytest.raises(RecordingError, match="a second recording begins at byte 32044"):
        is_longer(wav)


@pytest.mark.parametrize("content", [b"", b"RIFF", b"no sound"])
def test_another_file_is_not_longer(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "a.wav").write_bytes(content)
    assert not is_longer(tmp_path / "a.wav")
    assert mp3_declared_s(tmp_path / "a.wav") is None


@pytest.mark.parametrize("rate_hz", [8000, 16000, 44100])
def test_the_stated_duration_of_an_mp3_file(rate_hz: int, tmp_path: Path) -> None:
    path = tmp_path / "a.mp3"
    soundfile.write(path, np.tile(NOISE, 6)[: 2 * rate_hz], rate_hz)
    assert mp3_declared_s(path) == pytest.approx(2, abs=0.25)
    path.write_bytes(b"ID3\4\0\0\0\0\1\0" + bytes(128) + path.read_bytes())
    assert mp3_declared_s(path) == pytest.approx(2, abs=0.25)


def test_frames_and_tags_are_intact(tmp_path: Path) -> None:
    path = tmp_path / "a.mp3"
    path.write_bytes(bytes(8000))
    checked = FrameBytes(path)
    checked.add(300, bytes(417))
    checked.add(717, bytes(1441))
    checked.add(2158, bytes(417) + b"ID3" + bytes(5000))
    checked.check_total()
    with pytest.raises(RecordingError, match="2000 bytes are not frames"):
        checked.add(7575, bytes(3441))


def test_bytes_outside_the_frames_of_aac_are_damage(tmp_path: Path) -> None:
    path = tmp_path / "a.aac"
    path.write_bytes(bytes(5000))
    checked = FrameBytes(path)
    checked.add(0, bytes(3000))
    with pytest.raises(RecordingError, match="2000 bytes are not frames"):
        checked.check_total()
    checked.add(None, bytes(1900))
    checked.check_total()

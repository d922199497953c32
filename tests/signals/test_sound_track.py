"""The sound track that alignment compares is the sound that the voice modality reads."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest
import soundfile

from consilience.core import registry
from consilience.core.seeds import generator
from consilience.signals.sound_track import read_sound_track
from tests.real_data import NO_REAL_DATA, REAL_DATA

AUDIO = registry.get("modalities", "audio")
VIDEO = registry.get("modalities", "video")
CLIPS = sorted((REAL_DATA / "grid").glob("*.mpg"))


def sound_of(seconds: float = 1.0, rate_hz: int = 44100) -> np.ndarray:
    return generator("track").normal(0, 0.1, round(seconds * rate_hz)).astype(np.float32)


def write_film(path: Path) -> Path:
    """Write a container with a sound track and no picture."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=44100, layout="mono")
        frame = av.AudioFrame.from_ndarray(sound_of()[None], format="fltp", layout="mono")
        frame.sample_rate = 44100
        convert = av.AudioResampler(stream.format, "mono", 44100)
        for part in [*convert.resample(frame), *convert.resample(None)]:
            container.mux(stream.encode(part))
        container.mux(stream.encode(None))
    return path


@pytest.mark.parametrize("rate_hz", [16000.0, 44100.0])
def test_it_equals_what_the_voice_modality_reads(rate_hz: float, tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", sound_of(), 44100)
    for path in (tmp_path / "a.wav", write_film(tmp_path / "a.mov")):
        read = AUDIO.read(path, None, AUDIO.Params(rate_hz=rate_hz))
        for modality in (AUDIO, VIDEO):
            track = modality.sound(path, None, rate_hz)
            np.testing.assert_array_equal(track.values, read.values)
            np.testing.assert_array_equal(track.times_s, read.times_s)


@pytest.mark.real_data
@pytest.mark.skipif(not CLIPS, reason=NO_REAL_DATA)
def test_a_camera_clip_gives_what_the_voice_modality_reads() -> None:
    read = AUDIO.read(CLIPS[0], None, AUDIO.Params())
    track = VIDEO.sound(CLIPS[0], None, AUDIO.Params().sound_rate_hz)
    np.testing.assert_array_equal(track.values, read.values)
    np.testing.assert_array_equal(track.times_s, read.times_s)


@pytest.mark.parametrize(
    ("name", "item"), [("empty.wav", None), ("noise.mp4", None), ("a.csv", None), ("a.wav", "row")]
)
def test_a_recording_without_sound_has_no_track(
    name: str, item: str | None, tmp_path: Path
) -> None:
    soundfile.write(tmp_path / "a.wav", sound_of(), 44100)
    (tmp_path / "empty.wav").touch()
    (tmp_path / "noise.mp4").write_bytes(b"no film")
    (tmp_path / "a.csv").write_text("a,b\n1,2\n")
    assert read_sound_track(tmp_path / name, item, 16000.0) is None


def test_a_sensor_without_sound_has_no_track(tmp_path: Path) -> None:
    for name in ("eeg", "ppg", "text", "face_au"):
        assert registry.get("modalities", name).sound(tmp_path / "x.edf", None, 16000.0) is None

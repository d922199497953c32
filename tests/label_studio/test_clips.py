"""Clips show and play what happened at the times of the session clock."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest
import soundfile

from consilience.alignment.clock import Clock
from consilience.label_studio.clips import (
    SIGNAL_HZ,
    SOUND_HZ,
    Stretch,
    curves,
    shown_channels,
    time_column,
    write_pictures,
    write_sound,
)
from consilience.signals.types import Signal

CLOCK = Clock.linear(offset_s=2.0, drift_ppm=200.0)  # session time of native time


def brightness(path: Path) -> np.ndarray:
    """Return the mean grey level of every picture of a video."""
    with av.open(str(path)) as container:
        return np.array([f.to_ndarray(format="gray").mean() for f in container.decode(video=0)])


@pytest.fixture(scope="module")
def ramp(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write a video of 8 s at 10 frames a second that becomes brighter with time."""
    path = tmp_path_factory.mktemp("ramp") / "ramp.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for number in range(80):
            picture = np.full((48, 64, 3), 30 + 2 * number, np.uint8)
            frame = av.VideoFrame.from_ndarray(picture, "rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def test_a_clip_has_the_pictures_of_its_time(ramp: Path, tmp_path: Path) -> None:
    stretch = Stretch(5.0, 7.0)
    write_pictures(tmp_path / "clip.mp4", ramp, CLOCK, stretch)
    native_s = CLOCK.to_native(stretch.times(25))
    latest = np.floor(native_s * 10 + 1e-6)
    assert brightness(tmp_path / "clip.mp4") == pytest.approx(30 + 2 * latest, abs=3)
    with av.open(str(tmp_path / "clip.mp4")) as container:
        (video,) = container.streams
        assert (video.codec_context.name, video.pix_fmt) == ("h264", "yuv420p")
        assert float(video.average_rate) == 25


def test_pictures_before_and_after_a_recording_are_its_first_and_last(
    ramp: Path, tmp_path: Path
) -> None:
    write_pictures(tmp_path / "clip.mp4", ramp, Clock.linear(offset_s=1.0), Stretch(0.0, 2.0))
    assert brightness(tmp_path / "clip.mp4")[:25] == pytest.approx(np.full(25, 30), abs=3)


def test_without_a_recording_a_clip_is_black_and_silent(tmp_path: Path) -> None:
    stretch = Stretch(1.0, 3.0)
    write_pictures(tmp_path / "clip.mp4", None, Clock(), stretch)
    write_sound(tmp_path / "clip.wav", None, Clock(), stretch)
    assert len(brightness(tmp_path / "clip.mp4")) == 50
    sound, rate_hz = soundfile.read(tmp_path / "clip.wav")
    assert rate_hz == SOUND_HZ
    assert (len(sound), np.abs(sound).max()) == (2 * SOUND_HZ, 0)


def test_a_click_is_heard_at_its_session_time(tmp_path: Path) -> None:
    times_s = np.arange(0, 10, 1 / 8000)
    sound = np.zeros(times_s.size, np.float32)
    sound[40_000] = 0.9  # 5 s on its own clock: 7.001 s of the session
    sound[50_000] = np.nan
    signal = Signal(sound, times_s, ("mono",))
    write_sound(tmp_path / "clip.wav", signal, CLOCK, Stretch(6.0, 8.0))
    heard, rate_hz = soundfile.read(tmp_path / "clip.wav")
    assert np.abs(heard).argmax() / rate_hz == pytest.approx(1.001, abs=2e-4)


def test_curves_are_on_the_clip_clock_and_standardised() -> None:
    times_s = np.arange(0, 10, 1 / 256)
    values = np.stack([np.sin(times_s), np.full(times_s.size, np.nan)], 1)
    signal = Signal(values, times_s, ("Fp1", "Cz"))
    stretch = Stretch(4.0, 8.0)
    columns = curves(signal, CLOCK, stretch, "eeg", ["Fp1", "Cz", "O2"])
    assert list(columns) == ["eeg_fp1", "eeg_cz", "eeg_o2"]
    time_s = time_column(stretch)["time_s"]
    assert len(time_s) == len(columns["eeg_fp1"]) == 4 * SIGNAL_HZ
    assert (time_s[0], time_s[SIGNAL_HZ]) == (0.0, 1.0)
    expected = np.sin(CLOCK.to_native(4.0 + np.array(time_s)))
    assert np.corrcoef(columns["eeg_fp1"], expected)[0, 1] > 0.9999
    assert np.std(columns["eeg_fp1"]) == pytest.approx(1, abs=1e-2)
    assert set(columns["eeg_cz"]) == set(columns["eeg_o2"]) == {0.0}


def test_of_many_channels_some_are_shown() -> None:
    names = tuple(f"c{number:02d}" for number in range(30))
    shown = shown_channels(Signal(np.zeros((2, 30)), np.arange(2.0), names))
    assert len(shown) == 8
    assert (shown[0], shown[-1]) == ("c00", "c29")

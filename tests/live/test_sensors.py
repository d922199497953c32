"""The stretch of samples from which frames are computed, and sound and pictures of streams."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from consilience.alignment.clock import Clock
from consilience.core import registry
from consilience.core.errors import RecordingError
from consilience.evaluation.predict import LoadedModel
from consilience.live.sensors import STEP_S, Sensor, StreamHeader, context_start, sensors_of
from consilience.readers.stream import StreamRecording
from consilience.schema.params.windows import WindowParams
from consilience.windows.cutting import COVERAGE, Cutter, Frames, cut_frames
from consilience.windows.layout import Window, grid_of
from tests.live.conftest import LENGTH_S, face, skin
from tests.live.test_engine import header
from tests.voices import voice

Parts = tuple[str, ...]


def test_the_stretch_begins_a_multiple_of_the_step_after_the_first_sample() -> None:
    times_s = 3.21 + np.arange(0, 100, 0.1) + np.random.default_rng(0).normal(0, 0.01, 1000)
    times_s.sort()
    first_s = float(times_s[0])
    for from_s in (10.0, 50.0, 51.7, 90.0):
        first = context_start(times_s[200:], first_s, from_s, 4.0)
        begins_s = times_s[200 + first]
        if from_s > times_s[200] + STEP_S:
            assert from_s - STEP_S - 0.06 <= begins_s <= from_s + 0.06
            assert abs((begins_s - first_s + 2) % STEP_S - 2) < 0.07
    assert context_start(times_s, first_s, -5.0, 4.0) == 0


def test_the_stretch_begins_after_a_long_gap() -> None:
    times_s = np.concatenate([np.arange(0, 20, 0.1), np.arange(30, 40, 0.1)])
    assert context_start(times_s, 0.0, 12.0, 4.0) == 200
    assert context_start(times_s, 0.0, 12.0, 11.0) == 120


def test_a_stream_of_features_is_recognised_and_others_are_read(model: LoadedModel) -> None:
    gsr, video = sensors_of(model.card)
    assert video.reads_features(header(face(1)))
    assert not gsr.reads_features(header(skin(1)))
    assert gsr.length_s == LENGTH_S
    gsr.check(header(skin(1)))
    gsr.warm_up(header(skin(1)))


def test_sound_is_averaged_and_scaled_and_lost_samples_are_missing() -> None:
    modality, params = registry.get("modalities", "audio"), registry.params("modalities", "audio")()
    n = 32000
    values = np.stack([np.arange(n), -np.arange(n) // 2], 1).astype(np.int16)
    times_s = 5 + np.arange(n) / 16000
    kept = (times_s < 5.5) | (times_s > 6.25)
    recording = StreamRecording("Mic", ("1", "2"), ("", ""), 16000.0, values[kept], times_s[kept])
    signal = modality.stream_signal(recording, params)
    assert signal.times_s[0] == pytest.approx(5)
    assert len(signal.values) == n
    lost = np.isnan(signal.values)
    np.testing.assert_allclose(signal.times_s[lost][[0, -1]], [5.5, 6.25], atol=1e-3)
    assert signal.values[4000] == pytest.approx((4000 - 2000) / 2 / 32768, abs=1e-4)
    irregular = StreamRecording("Mic", ("1",), ("",), 0.0, values[:, :1], times_s)
    with pytest.raises(RecordingError, match="sound without a sampling rate"):
        modality.stream_signal(irregular, params)


def test_pictures_are_read_row_by_row() -> None:
    modality, params = registry.get("modalities", "video"), registry.params("modalities", "video")()
    pictures = np.arange(5 * 24 * 32).reshape(5, -1).astype(np.int16) % 256
    names = tuple(map(str, range(24 * 32)))
    header = StreamHeader("Cam", "Video", "u", 25.0, names, ("",) * len(names), "int16", (24, 32))
    signal = modality.stream_signal(header.recording(pictures, np.arange(5) / 25), params)
    assert signal.values.dtype == np.uint8
    np.testing.assert_array_equal(signal.values[3], pictures[3].reshape(24, 32))
    wide = StreamHeader("Cam", "Video", "u", 25.0, ("1",) * 2000, ("",) * 2000, "int16", (2, 1000))
    with pytest.raises(RecordingError, match="pictures 1000 pixels wide, more than 240"):
        modality.stream_signal(wide.recording(np.zeros((0, 2000)), np.empty(0)), params)


def sensor_of(name: str, n_features: int) -> Sensor:
    params = registry.params("modalities", name)()
    names = tuple(f"f{number}" for number in range(n_features))
    cutter = Cutter(name, params, names, grid_of(params, WindowParams(length_s=4.0, hop_s=2.0)))
    return Sensor(name, registry.get("modalities", name), cutter, 4.0)


def eeg_stream() -> tuple[StreamHeader, np.ndarray, float]:
    rate_hz = 250.0
    names = registry.params("modalities", "eeg")().channels
    rng = np.random.default_rng(0)
    walk = np.cumsum(rng.normal(size=(round(80 * rate_hz), len(names))), axis=0)
    values = 20 * rng.normal(size=walk.shape) + walk
    header = StreamHeader("Amp", "EEG", "u", rate_hz, names, ("microvolts",) * len(names))
    return header, values.astype(np.float32), rate_hz


def voice_stream() -> tuple[StreamHeader, np.ndarray, float]:
    sound = np.concatenate([voice(pitch_hz, 8.0) for pitch_hz in (150, 100, 210, 130, 180)])
    sound *= np.linspace(1, 0.2, sound.size)
    header = StreamHeader("Mic", "Audio", "u", 16000.0, ("1",), ("",))
    return header, (0.01 + sound)[:, None].astype(np.float32), 16000.0


@pytest.mark.parametrize(("name", "stream"), [("eeg", eeg_stream), ("audio", voice_stream)])
def test_a_window_is_that_of_the_whole_recording_when_it_ends(
    name: str, stream: Callable[[], tuple[StreamHeader, np.ndarray, float]]
) -> None:
    header, values, rate_hz = stream()
    times_s = np.arange(len(values)) / rate_hz
    signal = registry.get("modalities", name).stream_signal(
        header.recording(values, times_s), registry.params("modalities", name)()
    )
    whole = registry.get("modalities", name).features(signal, registry.params("modalities", name)())
    sensor = sensor_of(name, len(whole.names))
    recorded = {name: Frames(whole.values, whole.times_s, Clock())}
    scale = np.nanstd(whole.values, axis=0).mean()
    for end_s in (6.0, 14.0, 38.0, 62.0 if name == "eeg" else 40.0):
        buffer = header.empty_buffer(90)
        n_received = int(end_s * rate_hz)
        buffer.append(values[:n_received], times_s[:n_received])
        received = sensor.frames(header, buffer, end_s)
        assert received is not None
        window = Window("s", "t", end_s - 4, end_s)
        live, offline = (
            cut_frames(frames, [window], [sensor.cutter], 0.5)
            for frames in ({name: received}, recorded)
        )
        assert live[COVERAGE] == offline[COVERAGE] == 1
        assert np.abs(live[name] - offline[name]).max() < 1e-3 * max(scale, 1)

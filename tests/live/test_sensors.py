"""The stretch of samples from which frames are computed, and sound and pictures of streams."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from consilience.alignment.clock import Clock
from consilience.core import registry
from consilience.core.errors import RecordingError
from consilience.evaluation.predict import LoadedModel
from consilience.live.sensors import (
    Sensor,
    StreamHeader,
    context_start,
    first_from,
    sensors_of,
    with_ends,
)
from consilience.readers.stream import StreamRecording
from consilience.schema.params.windows import WindowParams
from consilience.windows.cutting import COVERAGE, Cutter, Frames, cut_frames
from consilience.windows.layout import Window, grid_of
from tests.live.conftest import LENGTH_S, face, skin
from tests.live.test_engine import header
from tests.voices import voice

Parts = tuple[str, ...]


def test_the_stretch_begins_a_multiple_of_the_step_after_the_first_sample() -> None:
    assert context_start(3.2, -5.0, 4.0) == 3.2
    assert context_start(3.2, 6.8, 4.0) == 3.2
    assert context_start(3.2, 51.7, 4.0) == pytest.approx(51.2)
    times_s = 3.2 + np.arange(100) / 10
    assert first_from(times_s, 5.2 + 1e-9) == 20
    assert first_from(times_s, 0.0) == 0


def test_a_face_is_detected_in_the_same_pictures_of_every_stretch() -> None:
    modality, params = registry.get("modalities", "video"), registry.params("modalities", "video")()
    assert modality.stream_step_s(params, 25.0) == 12 / 25
    assert modality.stream_step_s(params, 1.0) == 12
    assert modality.stream_step_s(params, 0.0) == 4


def test_a_loss_at_an_end_has_a_sample_beyond_it() -> None:
    values, times_s = np.arange(6).reshape(3, 2), np.array([5.0, 5.1, 5.2])
    same = with_ends(values, times_s, 4.6, 5.6, 0.5)
    assert [part.tolist() for part in same] == [values.tolist(), times_s.tolist()]
    longer, longer_s = with_ends(values, times_s, 3.0, 7.0, 0.5)
    assert longer_s.tolist() == [3.0, 5.0, 5.1, 5.2, 7.0]
    assert longer[:, 1].tolist() == [1, 1, 3, 5, 5]


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


def assert_windows_equal_offline(
    name: str,
    header: StreamHeader,
    samples: tuple[np.ndarray, np.ndarray],
    ends_s: tuple[float, ...],
) -> None:
    """Compare windows at the moment when they end with those of the whole recording."""
    values, times_s = samples
    modality, params = registry.get("modalities", name), registry.params("modalities", name)()
    whole = modality.features(
        modality.stream_signal(header.recording(values, times_s), params), params
    )
    sensor = sensor_of(name, len(whole.names))
    recorded = {name: Frames(whole.values, whole.times_s, Clock())}
    scale = np.nanstd(whole.values, axis=0).mean()
    for end_s in ends_s:
        buffer = header.empty_buffer(90)
        n_received = int(np.searchsorted(times_s, end_s))
        buffer.append(values[:n_received], times_s[:n_received])
        received = sensor.frames(header, buffer, end_s)
        assert received is not None
        window = Window("s", "t", end_s - 4, end_s)
        live, offline = (
            cut_frames(frames, [window], [sensor.cutter], 0.5)
            for frames in ({name: received}, recorded)
        )
        assert live[COVERAGE] == offline[COVERAGE] >= 0.5
        assert np.abs(live[name] - offline[name]).max() < 1e-3 * max(scale, 1)


@pytest.mark.parametrize(("name", "stream"), [("eeg", eeg_stream), ("audio", voice_stream)])
def test_a_window_is_that_of_the_whole_recording_when_it_ends(
    name: str, stream: Callable[[], tuple[StreamHeader, np.ndarray, float]]
) -> None:
    header, values, rate_hz = stream()
    samples = (values, np.arange(len(values)) / rate_hz)
    ends_s = (6.0, 14.0, 38.0, 62.0 if name == "eeg" else 40.0)
    assert_windows_equal_offline(name, header, samples, ends_s)


@pytest.mark.parametrize(("name", "stream"), [("eeg", eeg_stream), ("audio", voice_stream)])
def test_a_window_beside_a_loss_is_that_of_the_whole_recording(
    name: str, stream: Callable[[], tuple[StreamHeader, np.ndarray, float]]
) -> None:
    header, values, rate_hz = stream()
    times_s = np.arange(len(values)) / rate_hz
    sent = (times_s < 13.3) | (times_s >= 19.51)
    # The last window before it, those after it, and those whose stretch begins in it.
    ends_s = (14.0, 24.0, 30.0, 38.0)
    assert_windows_equal_offline(name, header, (values[sent], times_s[sent]), ends_s)


def test_a_short_stretch_is_read_without_its_loss() -> None:
    # The channels of a stretch of 6 s that ends with a loss of 2 s look flat.
    header, values, rate_hz = eeg_stream()
    buffer = header.empty_buffer(90)
    n_received = round(6 * rate_hz)
    buffer.append(values[:n_received], np.arange(n_received) / rate_hz)
    frames = sensor_of("eeg", 95).frames(header, buffer, 8.0)
    assert frames is not None
    assert frames.times_s[-1] == pytest.approx(5.5, abs=0.1)


def test_nothing_is_computed_of_a_stream_that_stopped_before_the_window() -> None:
    header, values, rate_hz = eeg_stream()
    buffer = header.empty_buffer(90)
    n_received = round(20 * rate_hz)
    buffer.append(values[:n_received], np.arange(n_received) / rate_hz)
    assert sensor_of("eeg", 95).frames(header, buffer, 24.1) is None

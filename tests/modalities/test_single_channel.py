"""The base class of one-channel sensors, by a sensor that returns mean and spread."""

from __future__ import annotations

import re
from typing import Any

import edfio
import numpy as np
import pytest

from consilience.core import registry
from consilience.core.errors import RecordingError
from consilience.core.seeds import generator
from consilience.modalities.base import Modality
from consilience.modalities.params.single_channel import CORRUPTIONS
from consilience.modalities.single_channel import FrameGrid, SingleChannel, SingleChannelParams
from consilience.signals.single_channel_corruptions import APPLY
from consilience.signals.types import Signal

RATE_HZ = 20
PARAMS = SingleChannelParams(
    window_s=2, hop_s=1, corruptions={kind: c.severities for kind, c in CORRUPTIONS.items()}
)


class Level(SingleChannel):
    name = "level"
    channel_pattern = re.compile("level", re.IGNORECASE)
    feature_names = ("mean_v", "spread_v")
    min_rate_hz = 10.0

    def measure(
        self, values: np.ndarray, rate_hz: float, frames: FrameGrid, params: Any
    ) -> tuple[np.ndarray, dict[str, float]]:
        windows = frames.cut(values)
        return np.stack([windows.mean(1), windows.std(1)], axis=1), {"quality": 0.8}


LEVEL = Level()


def signal(duration_s: float = 20.0) -> Signal:
    times_s = np.arange(round(duration_s * RATE_HZ)) / RATE_HZ
    values = np.sin(times_s) + 0.01 * generator("level").standard_normal(times_s.size)
    return Signal(values[:, None], times_s, ("level",))


def test_a_subclass_must_define_measure() -> None:
    class Unfinished(SingleChannel):
        name = "unfinished"

    with pytest.raises(TypeError, match="measure"):
        Unfinished()


def test_it_is_a_modality_with_the_default_abilities() -> None:
    assert Modality in type(LEVEL).__mro__
    assert LEVEL.reads is LEVEL.activity_feature is None


def test_frames_lie_on_the_grid_of_the_parameters() -> None:
    features = LEVEL.features(signal(), PARAMS)
    assert features.names == LEVEL.feature_names
    assert features.values.dtype == np.float32
    assert features.values.shape == (19, 2)
    assert np.diff(features.times_s) == pytest.approx(1.0)
    assert features.times_s[0] == pytest.approx(0.975)  # centre of the first 40 samples
    assert PARAMS.frame_rate_hz == 1.0
    assert features.quality["quality"] == pytest.approx(0.8)


def test_a_gap_leaves_its_frames_missing_and_lowers_the_quality() -> None:
    whole = signal()
    keep = (whole.times_s < 8) | (whole.times_s >= 12)
    gapped = Signal(whole.values[keep], whole.times_s[keep], whole.channels)
    features = LEVEL.features(gapped, PARAMS)
    inside = (features.times_s > 9) & (features.times_s < 11)
    assert np.isnan(features.values[inside]).all()
    assert np.isfinite(features.values[features.times_s < 6]).all()
    assert features.quality["packet_loss_fraction"] == pytest.approx(0.2)
    assert features.quality["quality"] == pytest.approx(0.8 * 0.8)


@pytest.mark.parametrize(
    ("values", "rate_hz", "message"),
    [
        (np.zeros((400, 1)), RATE_HZ, "flat"),
        (np.ones((400, 1)), 5, "5 samples a second are too few"),
        (np.ones((20, 1)), RATE_HZ, "too short"),
    ],
)
def test_unusable_signals_are_refused_with_the_name_of_the_sensor(
    values: np.ndarray, rate_hz: int, message: str
) -> None:
    unusable = Signal(values, np.arange(len(values)) / rate_hz, ("level",))
    with pytest.raises(RecordingError, match=f"level: .*{message}"):
        LEVEL.features(unusable, PARAMS)


def test_every_kind_of_corruption_can_be_applied_and_keeps_missing_samples() -> None:
    assert set(APPLY) == set(CORRUPTIONS)
    clean = signal()
    clean.values[100:120] = np.nan
    for kind in CORRUPTIONS:
        corrupted = LEVEL.corrupt(clean, kind, 5, PARAMS, generator(kind))
        assert np.isnan(corrupted.values[100:120]).all()
        assert np.isfinite(corrupted.values[:100]).all()
        assert np.abs(corrupted.values - clean.values)[:100].max() > 0


def test_the_channel_is_selected_by_name_pattern_or_parameter(xdf, tmp_path) -> None:
    stream, write = xdf
    times_s = np.arange(200) / RATE_HZ
    columns = np.column_stack([times_s, np.sin(times_s)])
    path = write(
        tmp_path / "a.xdf",
        stream("Belt", "Body", RATE_HZ, columns, 100 + times_s, ("Aux", "Level"), "microvolts"),
    )
    assert LEVEL.read(path, "Body", PARAMS).channels == ("Level",)
    chosen = SingleChannelParams(channel="aux")
    assert LEVEL.read(path, "Body", chosen).channels == ("Aux",)
    with pytest.raises(RecordingError, match="has no channel 'knee'"):
        LEVEL.read(path, "Body", SingleChannelParams(channel="knee"))


def test_the_check_follows_the_parameters(xdf, tmp_path) -> None:
    stream, write = xdf
    times_s = np.arange(200) / RATE_HZ
    columns = np.column_stack([np.sin(times_s), np.cos(times_s)])
    path = write(
        tmp_path / "a.xdf",
        stream("Belt", "Body", RATE_HZ, columns, 100 + times_s, ("Aux", "Pedal"), "microvolts"),
    )
    with pytest.raises(RecordingError, match=r"several .*level: Aux, Pedal .*level\.channel"):
        LEVEL.probe(path, "Body")
    chosen = LEVEL.configured(SingleChannelParams(channel="pedal"))
    assert chosen.probe(path, "Body").rate_hz == RATE_HZ
    assert LEVEL.settings.channel == ""


def test_every_sensor_reads_one_file_at_its_own_rate(tmp_path) -> None:
    """A polysomnograph: 66 beats a minute, a response of the skin every 15 s, EEG of 25 µV."""

    def beats(rate_hz: int, width_s: float) -> np.ndarray:
        from_beat_s = np.arange(60 * rate_hz)[:, None] / rate_hz - np.arange(0.4, 60, 60 / 66)
        return np.exp(-((from_beat_s / width_s) ** 2)).sum(axis=1)

    times = np.arange(60 * 8) / 8
    since = np.maximum(times[:, None] - np.arange(5, 60, 15), 0)
    skin = 5 + 0.01 * times + (since * np.exp(-since / 2)).sum(axis=1)
    noise = 25 * generator("sleep").standard_normal((2, 60 * 125))
    channels = [("Fz", noise[0], 125, "uV", 200), ("Cz", noise[1], 125, "uV", 200)]
    channels += [("ECG", beats(500, 0.015), 500, "mV", 2), ("Pleth", beats(64, 0.12), 64, "", 2)]
    channels += [("GSR", skin, 8, "uS", 20)]
    signals = [
        edfio.EdfSignal(v, rate, label=name, physical_dimension=unit, physical_range=(-top, top))
        for name, v, rate, unit, top in channels
    ]
    edfio.Edf(signals, data_record_duration=1).write(tmp_path / "a.edf")
    for name, rate_hz, feature, value in (
        ("ecg", 500, "heart_rate_per_min", 66),
        ("ppg", 64, "pulse_rate_per_min", 66),
        ("gsr", 8, "responses_per_min", 4),
    ):
        modality = registry.get("modalities", name)
        read = modality.read(tmp_path / "a.edf", None, modality.Params())
        assert modality.probe(tmp_path / "a.edf", None).rate_hz == rate_hz
        features = modality.features(read, modality.Params())
        measured = features.values[:, features.names.index(feature)].mean()
        assert measured == pytest.approx(value, rel=0.1)
    eeg = registry.get("modalities", "eeg")
    read = eeg.read(tmp_path / "a.edf", None, eeg.Params())
    assert read.channels == ("Fz", "Cz")
    assert 1e6 * read.values.std(axis=0) == pytest.approx([25, 25], rel=0.05)


def test_a_hop_longer_than_the_window_is_refused() -> None:
    with pytest.raises(ValueError, match="hop_s must not be longer than window_s"):
        SingleChannelParams(window_s=1, hop_s=2)

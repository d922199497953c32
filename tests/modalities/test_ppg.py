from __future__ import annotations

from pathlib import Path

import edfio
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from consilience.core.errors import RecordingError
from consilience.core.seeds import generator
from consilience.modalities.params.single_channel import SingleChannelParams
from consilience.modalities.ppg import modality
from consilience.signals.types import Signal
from consilience.testing import MODALITY_CHECKS, ModalityCase, name_of

RATE_HZ = 64  # as the Muse
PARAMS = SingleChannelParams()


def pulse(rate_per_min: float = 70, duration_s: float = 40, sign: int = 1) -> Signal:
    """Return pulses with a dicrotic notch, on breathing and a little noise."""
    times = np.arange(int(duration_s * RATE_HZ)) / RATE_HZ
    rng = generator("pulse", rate_per_min)
    length_s = 60 / rate_per_min
    onsets = np.cumsum(length_s * (1 + 0.03 * rng.standard_normal(int(duration_s / length_s))))
    values = 0.3 * np.sin(2 * np.pi * 0.25 * times) + 0.02 * rng.standard_normal(len(times))
    for delay, width, height in ((0.2, 0.09, 1), (0.5, 0.12, 0.35)):
        for onset in onsets:
            middle = onset + delay * length_s
            values += height * np.exp(-0.5 * ((times - middle) / (width * length_s)) ** 2)
    return Signal(1000 + 50 * sign * values[:, None], times, ("IR",))


@settings(max_examples=8)
@given(st.integers(45, 140), st.sampled_from([1, -1]))
def test_the_pulse_rate_is_right_whichever_way_it_runs(rate_per_min: int, sign: int) -> None:
    features = modality.features(pulse(rate_per_min, sign=sign), PARAMS)
    rate = features.values[:, modality.feature_names.index("pulse_rate_per_min")]
    assert np.nanmedian(rate) == pytest.approx(rate_per_min, rel=0.05)
    assert np.isfinite(rate).mean() > 0.8


def test_smaller_pulses_have_a_smaller_size() -> None:
    signal = pulse()
    weaker = np.where(signal.times_s[:, None] > 20, 0.5, 1.0) * (signal.values - 1000)
    features = modality.features(Signal(weaker, signal.times_s, ("IR",)), PARAMS)
    size = features.values[:, modality.feature_names.index("pulse_relative")]
    early, late = size[features.times_s < 15], size[features.times_s > 25]
    assert np.nanmedian(late) == pytest.approx(np.nanmedian(early) / 2, rel=0.1)


def test_a_stream_chosen_as_ppg_needs_no_usual_channel_name(tmp_path, xdf) -> None:
    stream, write = xdf
    signal = pulse()
    stamps = 100 + signal.times_s
    rows = np.column_stack([np.zeros(len(stamps)), signal.values[:, 0]])
    path = write(
        tmp_path / "a.xdf",
        stream("Muse", "PPG", RATE_HZ, rows, stamps, ("LUX", "IR"), "mmHg"),
        stream("Ring", "PPG", RATE_HZ, signal.values, stamps, ("finger",), "mmHg"),
    )
    assert modality.read(path, "PPG#1", PARAMS).channels == ("IR",)
    assert modality.read(path, "PPG#2", PARAMS).channels == ("finger",)
    read = modality.read(path, "PPG#2", PARAMS)
    assert np.allclose(read.values, signal.values, rtol=1e-6)
    assert read.anchors_s.shape == (1, 2)
    assert modality.probe(path, "PPG#1").rate_hz == RATE_HZ


def optical(seed: int, noise: float, rate_per_min: float = 70) -> np.ndarray:
    rng = generator("optical", seed)
    values = pulse(rate_per_min).values[:, 0]
    return 1e3 * (seed + 1) + values + noise * rng.standard_normal(len(values))


def flicker(per_min: float = 100) -> np.ndarray:
    times = np.arange(40 * RATE_HZ) / RATE_HZ
    return 300 * np.sin(2 * np.pi * per_min / 60 * times) + generator("light").normal(
        size=len(times)
    )


@pytest.mark.parametrize(
    ("columns", "names", "chosen"),
    [
        ((flicker(), optical(0, 1), optical(1, 2)), ("PPG1", "PPG2", "PPG3"), "PPG2"),
        ((optical(0, 1), flicker(), optical(1, 2)), ("PPG1", "PPG2", "PPG3"), "PPG1"),
        ((optical(0, 1), optical(1, 2)), ("a", "b"), "a"),
        ((np.ones(2560), optical(1, 2)), ("a", "b"), "b"),
        ((flicker(), optical(1, 2)), ("Ambient PPG", "PPG red"), "PPG red"),
    ],
)
def test_of_several_channels_one_that_agrees_with_another_is_read(
    tmp_path, xdf, columns, names, chosen
) -> None:
    stream, write = xdf
    stamps = 100 + np.arange(2560) / RATE_HZ
    rows = np.column_stack(columns)
    path = write(tmp_path / "a.xdf", stream("Band", "PPG", RATE_HZ, rows, stamps, names, "n/a"))
    assert modality.read(path, "PPG", PARAMS).channels == (chosen,)


def test_channels_that_disagree_are_listed_and_the_parameter_decides(tmp_path, xdf) -> None:
    stream, write = xdf
    stamps = 100 + np.arange(2560) / RATE_HZ
    rows = np.column_stack([flicker(100), optical(1, 1)])
    names = ("PPG1", "PPG2")
    path = write(tmp_path / "a.xdf", stream("Band", "PPG", RATE_HZ, rows, stamps, names, "n/a"))
    message = (
        r"several channels .* ppg: PPG1 \(100 a minute\), PPG2 \(7[01] a minute\).*ppg\.channel"
    )
    with pytest.raises(RecordingError, match=message):
        modality.probe(path, "PPG")
    named = SingleChannelParams(channel="PPG2")
    assert modality.configured(named).probe(path, "PPG").rate_hz == RATE_HZ
    assert modality.read(path, "PPG", named).channels == ("PPG2",)
    assert not any("several" in what for what in modality.configured(named).inspect(path, "PPG"))


def examples(folder: Path) -> list[tuple[Path, str | None]]:
    """Return two recordings that differ."""
    recordings: list[tuple[Path, str | None]] = []
    for number, signal in enumerate((pulse(60, 24), pulse(90, 30))):
        line = edfio.EdfSignal(
            signal.values[:, 0],
            RATE_HZ,
            label="PPG",
            physical_dimension="",
            physical_range=(800, 1200),
        )
        path = folder / f"ppg-{number}.edf"
        edfio.Edf([line], data_record_duration=1).write(path)
        recordings.append((path, None))
    return recordings


@pytest.fixture(scope="module")
def case(tmp_path_factory: pytest.TempPathFactory) -> ModalityCase:
    return ModalityCase(modality, examples(tmp_path_factory.mktemp("ppg")))


@pytest.mark.parametrize("check", MODALITY_CHECKS, ids=name_of)
def test_it_keeps_the_contract(check, case: ModalityCase) -> None:
    check(case)

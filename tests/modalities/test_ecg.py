from __future__ import annotations

from pathlib import Path

import edfio
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from consilience.core.errors import RecordingError
from consilience.core.seeds import generator
from consilience.modalities.ecg import modality
from consilience.modalities.params.single_channel import CORRUPTIONS, SingleChannelParams
from consilience.schema.constants import SEVERITIES
from consilience.signals.types import Signal
from consilience.testing import MODALITY_CHECKS, ModalityCase, name_of

RATE_HZ = 200
PARAMS = SingleChannelParams(corruptions={kind: c.severities for kind, c in CORRUPTIONS.items()})


def beat_times(rate_per_min: float, duration_s: float, jitter: float = 0.04) -> np.ndarray:
    rng = generator("beats", rate_per_min)
    n_beats = int(duration_s * rate_per_min / 60)
    return 0.5 + np.cumsum(60 / rate_per_min * (1 + jitter * rng.standard_normal(n_beats)))


def heart(rate_per_min: float = 70, duration_s: float = 40, sign: int = 1) -> Signal:
    """Return volts: P, R and T waves on breathing and a little noise."""
    times = np.arange(int(duration_s * RATE_HZ)) / RATE_HZ
    volts = 1e-4 * np.sin(2 * np.pi * 0.25 * times)
    for delay_s, width_s, height in ((-0.17, 0.02, 1e-4), (0, 0.01, 1e-3), (0.25, 0.04, 2.5e-4)):
        for beat in beat_times(rate_per_min, duration_s) + delay_s:
            volts += height * np.exp(-0.5 * ((times - beat) / width_s) ** 2)
    volts += 1e-5 * generator("ecg").standard_normal(len(times))
    return Signal(sign * volts[:, None], times, ("ECG",))


@settings(max_examples=8)
@given(st.integers(45, 150), st.sampled_from([1, -1]))
def test_the_heart_rate_is_right_whatever_the_polarity(rate_per_min: int, sign: int) -> None:
    features = modality.features(heart(rate_per_min, sign=sign), PARAMS)
    rate = features.values[:, modality.feature_names.index("heart_rate_per_min")]
    assert np.nanmedian(rate) == pytest.approx(rate_per_min, rel=0.04)
    assert np.isfinite(rate).mean() > 0.9


def test_frames_are_regular_and_quality_is_high() -> None:
    features = modality.features(heart(), PARAMS)
    assert features.names == modality.feature_names
    assert features.values.shape == (65, 3)
    assert np.allclose(np.diff(features.times_s), PARAMS.hop_s, atol=1 / RATE_HZ)
    assert features.quality["quality"] > 0.95
    variability = features.values[:, modality.feature_names.index("rmssd_ms")]
    assert np.nanmedian(variability) == pytest.approx(1e3 * 0.04 * 60 / 70 * np.sqrt(2), rel=0.4)


def test_noise_gives_no_rate() -> None:
    noise = generator("noise").standard_normal((40 * RATE_HZ, 1))
    features = modality.features(Signal(noise, heart().times_s, ("ECG",)), PARAMS)
    assert features.quality["quality"] < 0.5


def test_frames_over_a_gap_or_a_flat_line_are_missing() -> None:
    whole = heart()
    keep = (whole.times_s < 15) | (whole.times_s > 20)
    gapped = Signal(whole.values[keep], whole.times_s[keep], whole.channels)
    features = modality.features(gapped, PARAMS)
    centre = np.abs(features.times_s - 17.5) < 4
    assert np.isnan(features.values[centre]).all()
    assert features.quality["packet_losses"] == 1
    assert features.quality["packet_loss_fraction"] == pytest.approx(5 / 40, rel=0.01)
    flat = np.where(keep[:, None], whole.values, 0)
    features = modality.features(Signal(flat, whole.times_s, whole.channels), PARAMS)
    assert np.isnan(features.values[centre]).all()
    assert features.quality["flat_fraction"] == pytest.approx(5 / 40, rel=0.1)


@pytest.mark.parametrize("kind", CORRUPTIONS)
def test_harm_grows_with_severity(kind: str) -> None:
    clean = modality.features(heart(), PARAMS)
    qualities = [clean.quality["quality"]]
    for severity in SEVERITIES:
        corrupted = modality.corrupt(heart(), kind, severity, PARAMS, generator(kind, severity))
        assert corrupted.values.shape == heart().values.shape
        try:
            qualities.append(modality.features(corrupted, PARAMS).quality["quality"])
        except RecordingError:
            qualities.append(0.0)
    assert qualities[0] >= qualities[3] - 0.05
    assert qualities[5] < 0.8
    again = modality.corrupt(heart(), kind, 3, PARAMS, generator(kind, 3))
    assert np.array_equal(
        again.values, modality.corrupt(heart(), kind, 3, PARAMS, generator(kind, 3)).values
    )


@pytest.mark.parametrize(
    ("values", "rate_hz", "message"),
    [
        (np.zeros((0, 1)), 200, "0 samples"),
        (np.zeros((100, 1)), 200, "too short"),
        (np.zeros((4000, 1)), 50, "too few"),
        (np.zeros((4000, 1)), 200, "flat"),
        (np.full((4000, 1), np.nan), 200, "flat"),
    ],
)
def test_unusable_recordings_are_refused(values: np.ndarray, rate_hz: int, message: str) -> None:
    signal = Signal(values, np.arange(len(values)) / rate_hz, ("ECG",))
    with pytest.raises(RecordingError, match=message):
        modality.features(signal, PARAMS)


def write(path: Path, *labels: str) -> Path:
    signals = [
        edfio.EdfSignal(
            1e3 * heart(60 + 20 * number).values[:, 0],
            RATE_HZ,
            label=label,
            physical_dimension="mV",
            physical_range=(-3, 3),
        )
        for number, label in enumerate(labels)
    ]
    edfio.Edf(signals, data_record_duration=1).write(path)
    return path


def test_the_channel_is_selected_by_its_name_or_the_parameter(tmp_path: Path) -> None:
    path = write(tmp_path / "a.edf", "Fp1", "ECG II", "chest")
    usual = modality.read(path, None, PARAMS)
    chosen = modality.read(path, None, SingleChannelParams(channel="chest"))
    assert (modality.probe(path, None).n_channels, usual.channels) == (1, ("ECG II",))
    assert chosen.channels == ("chest",)
    assert np.abs(usual.values - heart(80).values).max() < 1e-6
    assert modality.inspect(path, None) == []


def test_a_file_without_it_names_the_parameter(tmp_path: Path) -> None:
    path = write(tmp_path / "a.edf", "Fp1", "chest")
    with pytest.raises(RecordingError, match=r"modalities\.ecg\.channel; there are Fp1, chest"):
        modality.probe(path, None)
    with pytest.raises(RecordingError, match="has no channel 'belly'"):
        modality.read(path, None, SingleChannelParams(channel="belly"))


def test_any_electrode_is_no_ecg_unless_it_is_the_only_one(tmp_path: Path) -> None:
    assert modality.read(write(tmp_path / "a.edf", "Fp1", "EXG3"), None, PARAMS).channels == (
        "EXG3",
    )
    named = write(tmp_path / "b.edf", "EXG1", "EXG2", "ECG")
    assert modality.read(named, None, PARAMS).channels == ("ECG",)
    assert "several channels are named like ecg: EXG1, EXG2, ECG; ECG is read" in (
        modality.inspect(named, None)
    )
    with pytest.raises(RecordingError, match=r"several channels may be ecg: EXG1, EXG2"):
        modality.probe(write(tmp_path / "c.edf", "EXG1", "EXG2"), None)


def test_a_signal_without_beats_is_reported(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    noise = generator("noise").standard_normal(40 * RATE_HZ)
    path.write_text("ECG\n" + "".join(f"{value:.4f}\n" for value in noise))
    assert "the signal may not be ecg" in modality.inspect(path, f"@{RATE_HZ}")[0]


def examples(folder: Path) -> list[tuple[Path, str | None]]:
    """Return two recordings that differ."""
    recordings: list[tuple[Path, str | None]] = []
    for number, signal in enumerate((heart(60, 24), heart(90, 30))):
        line = edfio.EdfSignal(
            1e3 * signal.values[:, 0],
            RATE_HZ,
            label="ECG",
            physical_dimension="mV",
            physical_range=(-3, 3),
        )
        path = folder / f"ecg-{number}.edf"
        edfio.Edf([line], data_record_duration=1).write(path)
        recordings.append((path, None))
    return recordings


@pytest.fixture(scope="module")
def case(tmp_path_factory: pytest.TempPathFactory) -> ModalityCase:
    return ModalityCase(modality, examples(tmp_path_factory.mktemp("ecg")))


@pytest.mark.parametrize("check", MODALITY_CHECKS, ids=name_of)
def test_it_keeps_the_contract(check, case: ModalityCase) -> None:
    check(case)

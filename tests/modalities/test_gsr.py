from __future__ import annotations

from pathlib import Path

import edfio
import numpy as np
import pytest

from consilience.core.errors import RecordingError
from consilience.core.seeds import generator
from consilience.modalities.gsr import modality
from consilience.modalities.params.gsr import GsrParams
from consilience.modalities.params.single_channel import CORRUPTIONS
from consilience.schema.constants import SEVERITIES
from consilience.signals.types import Signal
from consilience.testing import MODALITY_CHECKS, ModalityCase, name_of

RATE_HZ = 32
PARAMS = GsrParams(corruptions={kind: c.severities for kind, c in CORRUPTIONS.items()})
RESPONSES_S = (20, 26, 33, 39, 70)


def skin(duration_s: float = 120, noise: float = 0.001) -> Signal:
    """Return microsiemens: a level that rises, and responses of Bateman's shape."""
    times = np.arange(int(duration_s * RATE_HZ)) / RATE_HZ
    level = 5 + 0.5 * np.tanh((times - 60) / 20)
    for onset in RESPONSES_S:
        since = np.clip(times - onset, 0, None)
        level += 0.9 * (np.exp(-since / 3) - np.exp(-since / 0.8))
    level += noise * generator("skin").standard_normal(len(times))
    return Signal(level[:, None], times, ("EDA",))


def column(name: str, signal: Signal, params: GsrParams = PARAMS) -> tuple[np.ndarray, np.ndarray]:
    features = modality.features(signal, params)
    return features.times_s, features.values[:, modality.feature_names.index(name)]


def test_responses_are_counted_where_they_are() -> None:
    times, rate = column("responses_per_min", skin())
    busy, calm = np.abs(times - 30) < 5, np.abs(times - 95) < 10
    assert rate[busy].mean() == pytest.approx(60 * 4 / 25, rel=0.4)
    assert rate[calm].max() == 0


def test_level_and_slope_rise_together() -> None:
    times, level = column("level", skin())
    _, slope = column("slope_per_s", skin())
    assert level[times > 90].mean() > level[times < 12].mean() + 1
    assert slope[np.abs(times - 60) < 6].mean() > 0


def test_neither_unit_nor_scale_matters() -> None:
    signal = skin()
    larger = Signal(1e3 * signal.values + 7, signal.times_s, signal.channels)
    ohms = Signal(1e6 / signal.values, signal.times_s, signal.channels)
    features = modality.features(signal, PARAMS).values
    assert np.allclose(modality.features(larger, PARAMS).values, features, atol=1e-3)
    resistance = PARAMS.model_copy(update={"is_resistance": True})
    assert np.allclose(modality.features(ohms, resistance).values, features, atol=1e-3)


def coarse(quantum: float, rate_hz: float = 4, level: float = 0.4) -> Signal:
    """Return a minute of skin conductance in µS as a recorder of some resolution gives it."""
    times = np.arange(int(60 * rate_hz)) / rate_hz
    values = level * (1 + 2e-4 * times) + 0.2 * level * np.exp(-np.clip(times - 30, 0, None) / 4)
    values[times < 30] -= 0.2 * level
    return Signal(quantum * np.round(values / quantum)[:, None], times, ("EDA",))


@pytest.mark.parametrize(
    ("quantum", "rate_hz"), [(0.0013, 4), (0.0026, 8), (0.005, 32), (1e-6, 64)]
)
def test_plateaus_of_a_coarse_recorder_are_no_fault(quantum: float, rate_hz: float) -> None:
    features = modality.features(coarse(quantum, rate_hz), PARAMS)
    assert features.quality["flat_fraction"] == 0
    assert np.isfinite(features.values).all()


@pytest.mark.parametrize("quantum", [0.0013, 1e-6])
def test_a_detached_sensor_is_flat(quantum: float) -> None:
    signal = coarse(quantum, 4)
    values = np.concatenate([signal.values, np.full((480, 1), 0.002)])
    detached = Signal(values, np.arange(720) / 4, ("EDA",))
    features = modality.features(detached, PARAMS)
    assert features.quality["flat_fraction"] == pytest.approx(2 / 3, abs=0.01)


@pytest.mark.parametrize(
    ("unit", "factor", "power"),
    [("uS", 1, 1), ("nS", 1e3, 1), ("Siemens", 1e-6, 1), ("kOhm", 1e3, -1), ("Ohm", 1e6, -1)],
)
def test_any_unit_of_conductance_or_resistance_becomes_microsiemens(
    tmp_path: Path, unit: str, factor: float, power: int
) -> None:
    values = factor * skin(30).values[:, 0] ** power
    path = tmp_path / "a.csv"
    path.write_text(f"GSR [{unit}]\n" + "".join(f"{value:.9e}\n" for value in values))
    signal = modality.read(path, "@32", PARAMS)
    assert signal.values == pytest.approx(skin(30).values, rel=1e-6)
    assert modality.inspect(path, "@32") == []
    resistance = PARAMS.model_copy(update={"is_resistance": True})
    if power > 0:
        with pytest.raises(RecordingError, match=r"the header states .* the parameters a resist"):
            modality.configured(resistance).probe(path, "@32")
    else:
        read = modality.read(path, "@32", resistance).values
        assert 1e6 / read == pytest.approx(skin(30).values, rel=1e-6)


def test_impossible_conductance_is_missing_and_reported(tmp_path: Path) -> None:
    values = skin(30).values[:, 0].copy()
    values[:96], values[96:192] = 0.0, 250.0
    path = tmp_path / "a.csv"
    path.write_text("GSR [uS]\n" + "".join(f"{value:.6f}\n" for value in values))
    signal = modality.read(path, "@32", PARAMS)
    assert np.isnan(signal.values[:192]).all()
    assert np.isfinite(signal.values[192:]).all()
    assert "20 % of the samples are impossible for gsr: missing" in modality.inspect(path, "@32")


@pytest.mark.parametrize(
    ("name", "matches"),
    [
        *((name, True) for name in ("EDA", "GSR1", "gsr_left", "rawEDA", "SkinConductance", "SCL")),
        *((name, True) for name in ("Shimmer_8A_GSR_Skin_Conductance_CAL", "E4 EDA")),
        *((name, False) for name in ("Pedal", "pedal_2", "Edam", "scalp", "SCR count", "medal")),
    ],
)
def test_names_of_channels(name: str, matches: bool) -> None:
    assert bool(modality.channel_pattern.search(name)) == matches


@pytest.mark.parametrize("kind", CORRUPTIONS)
def test_harm_grows_with_severity(kind: str) -> None:
    clean = modality.features(skin(), PARAMS).values
    harm = []
    for severity in (SEVERITIES[0], SEVERITIES[4]):
        corrupted = modality.corrupt(skin(), kind, severity, PARAMS, generator(kind))
        values = modality.features(corrupted, PARAMS).values
        there = np.isfinite(values).all(axis=1)
        lost = 1 - there.mean()
        error = np.abs(values - clean)[there] / clean.std(axis=0) if there.any() else [0.0]
        harm.append(10 * lost + np.mean(error))
    assert harm[1] > 1.5 * harm[0]


def test_noise_lowers_the_quality() -> None:
    good, bad = (modality.features(skin(noise=n), PARAMS).quality["quality"] for n in (0.001, 1.0))
    assert good > 0.9 > 0.7 > bad


def examples(folder: Path) -> list[tuple[Path, str | None]]:
    """Return two recordings that differ."""
    recordings: list[tuple[Path, str | None]] = []
    for number, signal in enumerate((skin(60), skin(80, 0.01))):
        line = edfio.EdfSignal(
            signal.values[:, 0],
            RATE_HZ,
            label="GSR",
            physical_dimension="uS",
            physical_range=(0, 20),
        )
        path = folder / f"gsr-{number}.edf"
        edfio.Edf([line], data_record_duration=1).write(path)
        recordings.append((path, None))
    return recordings


@pytest.fixture(scope="module")
def case(tmp_path_factory: pytest.TempPathFactory) -> ModalityCase:
    return ModalityCase(modality, examples(tmp_path_factory.mktemp("gsr")))


@pytest.mark.parametrize("check", MODALITY_CHECKS, ids=name_of)
def test_it_keeps_the_contract(check, case: ModalityCase) -> None:
    check(case)

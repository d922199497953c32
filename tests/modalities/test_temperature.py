"""Skin that cools and warms at known times, in several units."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from consilience.core.errors import RecordingError
from consilience.core.seeds import generator
from consilience.modalities.params.temperature import TemperatureParams
from consilience.modalities.temperature import modality
from consilience.signals.types import Signal
from consilience.testing import MODALITY_CHECKS, ModalityCase, name_of

RATE_HZ = 4
PARAMS = TemperatureParams()
STEP_C = 0.02  # of a wrist recorder


def skin(duration_s: float = 180, seed: str = "skin", step_c: float = STEP_C) -> Signal:
    """Return degrees that fall by 1.2 in the minute from 60 s on."""
    times_s = np.arange(int(duration_s * RATE_HZ)) / RATE_HZ
    values = 33 - 1.2 * np.clip((times_s - 60) / 60, 0, 1)
    values += 0.01 * generator(seed).standard_normal(len(times_s))
    return Signal(step_c * np.round(values / step_c)[:, None], times_s, ("TEMP",))


def column(name: str, signal: Signal) -> tuple[np.ndarray, np.ndarray]:
    features = modality.features(signal, PARAMS)
    return features.times_s, features.values[:, modality.feature_names.index(name)]


def test_level_and_slope_are_those_of_the_skin() -> None:
    times_s, level = column("level_c", skin())
    _, slope = column("slope_c_per_min", skin())
    early, cooling, late = times_s < 45, np.abs(times_s - 90) < 15, times_s > 145
    assert level[early].mean() == pytest.approx(33, abs=0.02)
    assert level[late].mean() == pytest.approx(31.8, abs=0.02)
    assert slope[cooling].mean() == pytest.approx(-1.2, rel=0.1)
    assert np.abs(slope[early | late].mean()) < 0.05


def test_an_unsteady_temperature_is_one() -> None:
    calm = skin()
    waves = 0.3 * np.sin(2 * np.pi * calm.times_s / 25)[:, None]
    unsteady = Signal(calm.values + waves, calm.times_s, calm.channels)
    _, of_calm = column("unsteadiness_log10_c", calm)
    _, of_waves = column("unsteadiness_log10_c", unsteady)
    assert np.median(of_waves) > np.median(of_calm) + 0.7


def test_plateaus_of_a_coarse_recorder_are_no_fault_and_a_stuck_one_is() -> None:
    features = modality.features(skin(step_c=0.1), PARAMS)
    assert features.quality["flat_fraction"] < 0.05
    stuck = skin(600)
    stuck.values[200 * RATE_HZ :] = 31.8
    quality = modality.features(stuck, PARAMS).quality
    assert quality["flat_fraction"] == pytest.approx(2 / 3, abs=0.05)


@pytest.mark.parametrize(
    ("unit", "convert"), [("°C", lambda c: c), ("degF", lambda c: 1.8 * c + 32), ("", lambda c: c)]
)
def test_units_become_degrees_celsius(tmp_path: Path, unit: str, convert) -> None:
    path = tmp_path / "a.csv"
    values = convert(skin(30).values[:, 0])
    head = f"Skin Temp [{unit}]" if unit else "Skin Temp"
    path.write_text(f"{head}\n" + "".join(f"{value:.6f}\n" for value in values))
    signal = modality.read(path, "@4", PARAMS)
    assert signal.values == pytest.approx(skin(30).values, abs=1e-5)
    assert modality.inspect(path, "@4") == []


def test_the_unit_of_another_quantity_is_refused_and_impossible_values_are_missing(
    tmp_path: Path,
) -> None:
    path = tmp_path / "a.csv"
    values = skin(60).values[:, 0]
    path.write_text("Temp [mV]\n" + "".join(f"{value:.3f}\n" for value in values))
    with pytest.raises(RecordingError, match=r"the header states 'mV', not a temperature"):
        modality.probe(path, "@4")
    values[:48] = 0.0
    path.write_text("Temp\n" + "".join(f"{value:.3f}\n" for value in values))
    assert np.isnan(modality.read(path, "@4", PARAMS).values[:48]).all()
    assert "20 % of the samples are impossible for temperature: missing" in modality.inspect(
        path, "@4"
    )


@pytest.mark.parametrize(
    ("name", "matches"),
    [
        *((name, True) for name in ("TEMP", "Skin Temperature", "SKT", "temp_c", "E4 TEMP")),
        *((name, False) for name in ("tempo", "temporal", "attempt", "T7", "skter")),
    ],
)
def test_names_of_channels(name: str, matches: bool) -> None:
    assert bool(modality.channel_pattern.search(name)) == matches


def examples(folder: Path) -> list[tuple[Path, str | None]]:
    """Return two recordings of a wrist recorder that differ."""
    paths = []
    for number in range(2):
        path = folder / f"{number}" / "TEMP.csv"
        path.parent.mkdir()
        values = skin(60 + 30 * number, f"skin-{number}").values[:, 0]
        rows = [1645456369.0, RATE_HZ, *values]
        path.write_text("".join(f"{row:.6f}\n" for row in rows))
        paths.append((path, None))
    return paths


@pytest.fixture(scope="module")
def case(tmp_path_factory: pytest.TempPathFactory) -> ModalityCase:
    return ModalityCase(modality, examples(tmp_path_factory.mktemp("temperature")))


@pytest.mark.parametrize("check", MODALITY_CHECKS, ids=name_of)
def test_it_keeps_the_contract(check, case: ModalityCase) -> None:
    check(case)

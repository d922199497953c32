from __future__ import annotations

from pathlib import Path

import edfio
import numpy as np
import pytest

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

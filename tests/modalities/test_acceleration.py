"""An arm that rests, gestures and trembles, however the sensor is turned and scaled."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from consilience.core.errors import RecordingError
from consilience.core.seeds import generator
from consilience.modalities.acceleration import modality
from consilience.modalities.params.acceleration import AccelerationParams
from consilience.signals.types import Signal
from consilience.testing import MODALITY_CHECKS, ModalityCase, name_of

RATE_HZ = 32
PARAMS = AccelerationParams()
GESTURES_S, TREMBLING_S = (20, 40), (40, 60)


def axes_g(duration_s: float = 80, seed: str = "arm") -> np.ndarray:
    """Return three axes in g, shape (n_samples, 3): rest, gestures of 1 Hz, trembling of 8 Hz."""
    times_s = np.arange(int(duration_s * RATE_HZ)) / RATE_HZ
    values = np.tile([0.6, 0.0, 0.8], (len(times_s), 1))
    for (start, end), hz, size_g in ((GESTURES_S, 1, 0.3), (TREMBLING_S, 8, 0.1)):
        moving = (times_s >= start) & (times_s < end)
        values[moving, 2] += size_g * np.sin(2 * np.pi * hz * times_s[moving])
    return values + 0.005 * generator(seed).standard_normal(values.shape)


def sized(axes: np.ndarray) -> Signal:
    """Return the signal that the sensor makes of axes."""
    return Signal(modality.combined(axes), np.arange(len(axes)) / RATE_HZ, ("ACC",))


def medians(name: str, signal: Signal) -> tuple[float, float, float]:
    """Return a feature at rest, in gestures and while trembling."""
    features = modality.features(signal, PARAMS)
    values, at_s = features.values[:, modality.feature_names.index(name)], features.times_s
    inside = [(at_s > low + 3) & (at_s < low + 17) for low in (0, 20, 40)]
    return tuple(float(np.median(values[rows])) for rows in inside)


def test_movement_and_fast_movement_differ() -> None:
    rest, gestures, trembling = medians("movement_log10_g", sized(axes_g()))
    assert gestures == pytest.approx(np.log10(0.8 * 0.3 / np.sqrt(2)), abs=0.1)
    assert rest < -2 < trembling < gestures
    rest, gestures, trembling = medians("fast_movement_log10_g", sized(axes_g()))
    assert trembling > gestures + 0.5 > rest


def test_neither_the_unit_nor_the_way_it_is_turned_matters() -> None:
    expected = modality.features(sized(axes_g()), PARAMS).values
    turned = np.linalg.qr(generator("turn").standard_normal((3, 3)))[0]
    for axes in (64 * axes_g(), axes_g() @ turned):
        np.testing.assert_allclose(
            modality.features(sized(axes), PARAMS).values, expected, atol=1e-5
        )


def test_an_arm_that_rests_is_no_fault() -> None:
    still = np.round(64 * np.tile([0.6, 0.0, 0.8], (20 * RATE_HZ, 1)))
    still[::400] += 1
    assert modality.features(sized(still), PARAMS).quality["flat_fraction"] == 0


def test_shaking_lowers_the_quality() -> None:
    shaken = generator("shaken").standard_normal((80 * RATE_HZ, 3)) ** 3
    assert modality.features(sized(axes_g()), PARAMS).quality["quality"] > 0.95
    assert modality.features(sized(shaken), PARAMS).quality["quality"] < 0.7


def write(path: Path, axes: np.ndarray, names: str = "X,Y,Z") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = [names, *(",".join(f"{value:.6f}" for value in row) for row in axes)]
    path.write_text("\n".join(rows) + "\n")
    return path


def test_the_axes_are_found_by_name_or_listed(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", axes_g(), "Accel X [g],Accel Y [g],Accel Z [g]")
    signal = modality.read(path, "@32", PARAMS)
    assert signal.values == pytest.approx(modality.combined(axes_g()), abs=1e-5)
    assert modality.inspect(path, "@32") == []
    path = write(tmp_path / "b.csv", axes_g())
    with pytest.raises(RecordingError, match="0 channels may be acceleration, not 3"):
        modality.probe(path, "@32")
    listed = AccelerationParams(channel="x, Y,Z")
    assert modality.configured(listed).probe(path, "@32").rate_hz == 32
    assert modality.read(path, "@32", listed).values == pytest.approx(signal.values, abs=1e-5)


def test_two_sensors_in_one_file_must_be_named(tmp_path: Path) -> None:
    names = ",".join(f"Accel {kind} {axis}" for kind in ("LN", "WR") for axis in "XYZ")
    path = write(tmp_path / "a.csv", np.hstack([axes_g(), axes_g()]), names)
    with pytest.raises(RecordingError, match=r"6 channels may be acceleration, not 3: .*LN X"):
        modality.probe(path, "@32")
    chosen = AccelerationParams(channel="Accel WR X,Accel WR Y,Accel WR Z")
    assert modality.read(path, "@32", chosen).values.shape == (80 * RATE_HZ, 1)


def examples(folder: Path) -> list[tuple[Path, str | None]]:
    """Return two recordings of a wrist recorder that differ."""
    paths = []
    for number in range(2):
        start, rate = [1645456369.0] * 3, [RATE_HZ] * 3
        axes = np.round(64 * axes_g(seed=f"arm-{number}"))
        paths.append((_headless(folder / f"{number}" / "ACC.csv", [start, rate, *axes]), None))
    return paths


def _headless(path: Path, rows: list) -> Path:
    path.parent.mkdir()
    path.write_text("".join(",".join(f"{value:.6f}" for value in row) + "\n" for row in rows))
    return path


@pytest.fixture(scope="module")
def case(tmp_path_factory: pytest.TempPathFactory) -> ModalityCase:
    return ModalityCase(modality, examples(tmp_path_factory.mktemp("acceleration")))


@pytest.mark.parametrize("check", MODALITY_CHECKS, ids=name_of)
def test_it_keeps_the_contract(check, case: ModalityCase) -> None:
    check(case)

"""Deviations of shifted recordings in a small store of windows, and the shifts of a signal."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from benchmarks.shifted import (
    Outcome,
    auroc,
    compare,
    interval,
    shifted_signal,
    shifts_of,
    table,
)
from consilience import params
from consilience.core import registry
from consilience.core.files import write_arrays
from consilience.signals.types import Signal
from consilience.windows.cutting import Cutter
from consilience.windows.layout import Grid
from consilience.windows.store import Corpus

N_PEOPLE, N_WINDOWS, N_FEATURES = 12, 10, 6


def cutter(rate_hz: float | None = 10.0) -> Cutter:
    fields = params.defaults("demo")["modalities"]["eeg"]
    settings = registry.params("modalities", "eeg").model_validate(fields)
    return Cutter("eeg", settings, ("a",), Grid(rate_hz, 5))


def store(folder: Path) -> tuple[Corpus, Path]:
    """Write clean windows of people, and those of a shift with another mean."""
    rng = np.random.default_rng(0)
    rows = []
    for number in range(N_PEOPLE):
        session = f"p{number:02}_1"
        values = rng.normal(size=N_FEATURES) + rng.normal(size=(N_WINDOWS, N_FEATURES))
        clean = {"eeg": values.astype(np.float32)}
        shifted = {"eeg": clean["eeg"] + 6 * (-1) ** np.arange(N_FEATURES, dtype=np.float32)}
        write_arrays(folder / "windows/sessions" / f"{session}.npz", clean)
        available = np.full(N_WINDOWS, number > 0)  # of one recording the shift leaves nothing
        path = folder / "shifted/eeg/gain 4/sessions" / f"{session}.npz"
        level = {"level_db": np.float64("nan")}  # as of a sensor without levels
        write_arrays(path, shifted | {"available": available} | level)
        rows += [{"session": session, "subject": f"p{number:02}"}] * N_WINDOWS
    nothing = np.empty((len(rows), 0), np.float32)
    corpus = Corpus(
        folder=folder / "windows",
        corrupted=folder / "none",
        modalities=("eeg",),
        classes=(),
        dataset="test",
        features={"eeg": list("abcdef")},
        variants={"eeg": ()},
        index=pl.DataFrame(rows),
        splits=pl.DataFrame(),
        available=np.ones((len(rows), 1), bool),
        target=nothing,
        affect=nothing,
    )
    return corpus, folder / "shifted"


def test_shifted_recordings_deviate_more_than_those_of_new_people(tmp_path: Path) -> None:
    corpus, folder = store(tmp_path)
    (outcome,) = compare(corpus, folder, {"eeg": ["gain 4"]})
    assert outcome.clean.height == N_PEOPLE
    assert outcome.shifted.height == N_PEOPLE - 1
    value, low, high = interval([outcome])
    assert value > 0.95
    assert low <= value <= high
    lines = table([outcome])
    assert len(lines) == 5  # head, the shift, the sensor, and all
    assert lines[2].startswith("| eeg | gain 4 | 12 | ")


def test_auroc_counts_ties_half() -> None:
    assert auroc(np.array([0.0, 1.0]), np.array([1.0, 2.0])) == pytest.approx(0.875)


def test_clean_recordings_count_once_for_all_shifts_of_a_sensor() -> None:
    clean = pl.DataFrame({"recording": ["a", "b"], "subject": ["a", "b"], "deviation": [0.0, 1.0]})
    outcomes = [Outcome("eeg", shift, clean, clean) for shift in ("noise", "gain 4")]
    assert interval(outcomes)[0] == pytest.approx(0.5)
    assert table(outcomes)[-1].startswith("| all | all | 2 | ")


def test_shifts_are_the_kinds_of_corruption_and_gains_of_sensors_with_samples() -> None:
    assert {"noise", "muscle", "gain 4"} <= {*shifts_of(cutter())}
    assert not [shift for shift in shifts_of(cutter(None)) if shift.startswith("gain")]


def test_a_gain_keeps_the_type_and_range_of_samples() -> None:
    times_s = np.arange(3.0)
    picture = Signal(np.array([10, 100, 200], np.uint8), times_s, ("grey",), np.empty(0))
    loud = shifted_signal(picture, "gain 4", cutter(), "r")
    np.testing.assert_array_equal(loud.values, np.array([40, 255, 255], np.uint8))
    assert loud.values.dtype == np.uint8

"""Recordings that differ from those of the training."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from consilience.schema.tables import Deviations, Levels, frame_of
from consilience.training.reference import (
    Reference,
    as_tensors,
    cross_fitted_deviations,
    deviations,
    fit_references,
    from_tensors,
    unusual_windows,
)

N_FEATURES, N_WINDOWS = 12, 20
RNG = np.random.default_rng(7)
DIRECTIONS = RNG.normal(size=(2, N_FEATURES))  # in which people differ


@dataclass
class Windows:
    """What the reference reads of a corpus."""

    index: pl.DataFrame
    values: Any
    modalities: tuple[str, ...] = ("eeg",)
    levels: pl.DataFrame = field(default_factory=lambda: frame_of([], Levels))

    @property
    def available(self) -> Any:
        return np.ones((len(self.values), 1), bool)

    def windows(self, modality: str) -> Any:
        return self.values.astype(np.float32)


def recordings(n: int, seed: int, offset: Any = 0.0, gain: float = 1.0) -> Windows:
    rng = np.random.default_rng(seed)
    of_person = rng.normal(size=(n, 2)) @ DIRECTIONS
    values = of_person[:, None] + gain * rng.normal(size=(n, N_WINDOWS, N_FEATURES)) + offset
    names = np.repeat([f"s{number:02}" for number in range(n)], N_WINDOWS)
    index = pl.DataFrame({"session": names, "subject": names})
    return Windows(index, values.reshape(-1, N_FEATURES))


@pytest.fixture(scope="module")
def reference() -> dict[str, Reference]:
    return fit_references(recordings(24, 0))  # type: ignore[arg-type]


def of(reference: dict[str, Reference], windows: Windows) -> Any:
    return deviations(reference, windows)["deviation"].to_numpy()  # type: ignore[arg-type]


def test_recordings_of_new_people_do_not_differ(reference: dict[str, Reference]) -> None:
    values = of(reference, recordings(200, 1))
    assert (values > 2.5).mean() < 0.03
    assert abs(np.median(values)) < 1


@pytest.mark.parametrize(
    "change", [{"offset": 3 * (-1.0) ** np.arange(N_FEATURES)}, {"gain": 2.0}, {"gain": 0.4}]
)
def test_another_device_differs(reference: dict[str, Reference], change: dict[str, Any]) -> None:
    assert (of(reference, recordings(50, 2, **change)) > 2.5).mean() > 0.9


def test_the_direction_in_which_people_differ_is_no_difference(
    reference: dict[str, Reference],
) -> None:
    along = of(reference, recordings(50, 3, offset=1.5 * DIRECTIONS[0]))
    across = np.linalg.svd(DIRECTIONS)[2][-1] * np.linalg.norm(1.5 * DIRECTIONS[0])
    assert np.median(along) < 0.3 * np.median(of(reference, recordings(50, 3, offset=across)))


def test_noise_in_few_features_of_every_window_differs(reference: dict[str, Reference]) -> None:
    """The mean over a recording's windows hides it."""
    noisy = recordings(50, 9)
    noisy.values[:, :3] += 3 * np.random.default_rng(1).normal(size=(len(noisy.values), 3))
    assert (of(reference, noisy) > 2.5).mean() > 0.9


def with_levels(windows: Windows, change_db: float = 0.0) -> Windows:
    names = windows.index["session"].unique(maintain_order=True)
    level_db = -30 + change_db + 2 * np.random.default_rng(3).normal(size=len(names))
    table = pl.DataFrame({"session": names, "modality": "eeg", "level_db": level_db})
    return replace(windows, levels=Levels.validate(table))


@pytest.mark.parametrize("change_db", [-12.0, 12.0])
def test_another_level_differs_though_the_features_ignore_it(change_db: float) -> None:
    reference = fit_references(with_levels(recordings(24, 0)))  # type: ignore[arg-type]
    assert (of(reference, with_levels(recordings(50, 1))) > 2.5).mean() < 0.1
    assert (of(reference, with_levels(recordings(50, 1), change_db)) > 2.5).mean() > 0.9
    # Without a level the inputs decide alone.
    assert (of(reference, recordings(50, 1)) > 2.5).mean() < 0.1


def test_a_faulty_level_in_the_training_does_not_widen_the_usual_ones() -> None:
    windows = with_levels(recordings(24, 0))
    faulty = windows.levels.with_columns(
        level_db=pl.when(pl.col("session") < "s05").then(0.0).otherwise("level_db")
    )
    reference = fit_references(replace(windows, levels=faulty))  # type: ignore[arg-type]
    median_db, spread_db = reference["eeg"].level_db
    assert -32 < median_db < -28
    assert spread_db < 4


def test_one_window_in_a_hundred_is_unusual(reference: dict[str, Reference]) -> None:
    usual = unusual_windows(reference, recordings(24, 0))  # type: ignore[arg-type]
    assert 0.005 < usual.mean() < 0.015
    noisy = unusual_windows(reference, recordings(50, 8, gain=4))  # type: ignore[arg-type]
    assert noisy.mean() > 0.9
    assert not unusual_windows({}, recordings(5, 8)).any()  # type: ignore[arg-type]


def test_the_result_survives_a_file(reference: dict[str, Reference]) -> None:
    again = from_tensors(as_tensors(reference))
    windows = recordings(10, 4)
    np.testing.assert_allclose(of(again, windows), of(reference, windows), atol=1e-3)
    assert from_tensors({}) == {}


def test_a_table_row_names_recording_sensor_and_windows(reference: dict[str, Reference]) -> None:
    table = deviations(reference, recordings(3, 5))  # type: ignore[arg-type]
    assert table["recording"].to_list() == ["s00", "s01", "s02"]
    assert set(table["sensor"]) == {"eeg"}
    assert set(table["windows"]) == {N_WINDOWS}


def test_with_few_recordings_nothing_is_stated() -> None:
    assert fit_references(recordings(7, 0)) == {}  # type: ignore[arg-type]


@given(order=st.permutations(range(12)))
def test_the_order_of_the_windows_does_not_matter(order: list[int]) -> None:
    windows = recordings(12, 6)
    rows = np.concatenate([np.arange(N_WINDOWS) + N_WINDOWS * place for place in order])
    shuffled = Windows(windows.index[rows], windows.values[rows])
    reference = fit_references(windows)  # type: ignore[arg-type]
    again = fit_references(shuffled)  # type: ignore[arg-type]
    np.testing.assert_allclose(of(again, windows), of(reference, windows), atol=1e-6)
    np.testing.assert_allclose(of(reference, shuffled), of(reference, windows), atol=1e-9)


def test_a_time_axis_counts_as_mean_and_spread() -> None:
    windows = recordings(12, 7)
    over_time = Windows(windows.index, np.repeat(windows.values[..., None], 5, -1))
    reference = fit_references(over_time)  # type: ignore[arg-type]
    assert reference["eeg"].feature_mean.shape == (2 * N_FEATURES,)
    assert np.isfinite(of(reference, over_time)).all()


def test_a_recording_of_the_training_is_compared_with_those_of_other_people() -> None:
    usual, other = recordings(24, 0), recordings(1, 1, gain=4.0)
    index = pl.concat([usual.index, other.index.with_columns(pl.all().str.replace("s00", "s99"))])
    windows = Windows(index, np.concatenate([usual.values, other.values]))
    table = Deviations.validate(cross_fitted_deviations(windows))  # type: ignore[arg-type]
    assert table.height == 25
    assert set(table["windows"]) == {N_WINDOWS}
    by_recording = dict(table.select("recording", "deviation").iter_rows())
    # Its own person had no part in the reference, which would hide the difference.
    assert by_recording.pop("s99") > 5
    assert max(by_recording.values()) < 3


def test_with_few_people_the_deviation_is_unknown() -> None:
    table = cross_fitted_deviations(recordings(5, 0))  # type: ignore[arg-type]
    assert table["deviation"].null_count() == 5

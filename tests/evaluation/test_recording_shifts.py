"""Shifts of whole sessions, on simulated feature frames."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from consilience.core.files import write_arrays
from consilience.evaluation.recording_shifts import (
    STEPS,
    TimedFrames,
    aligned_frames,
    fit_shift_estimator,
    folds_of_sessions,
    on_common_steps,
    recording_shifts,
)
from consilience.project import Project
from consilience.schema.params.robustness import RobustnessParams
from consilience.schema.tables import Alignment, Pieces, frame_of, write_table
from tests.evaluation.conftest import SENSORS, build_corpus

CORPUS = build_corpus()
SESSIONS = [f"s{number}" for number in range(6)]
PARAMS = RobustnessParams()
RATES_HZ = {"eeg": 4.0, "audio": 50.0, "video": 25.0}
LENGTH_S = 90.0


def recording(session: int, sensor: str, late_s: float = 0.0) -> TimedFrames:
    """Return frames that follow two sources of the session, which differ every half second."""
    rate_hz, number = RATES_HZ[sensor], SENSORS.index(sensor)
    sources = np.random.default_rng(session).normal(size=(int(2 * LENGTH_S), 2))
    mixing = np.random.default_rng(100 + number).normal(size=(2, 4))
    rng = np.random.default_rng((session, number))
    times_s = np.arange(0.5 / rate_hz, LENGTH_S, 1 / rate_hz)
    shown = sources[(2 * times_s).astype(int)] @ mixing
    noise = rng.normal(scale=0.2 * np.sqrt(rate_hz), size=shown.shape)
    return TimedFrames(shown + noise, times_s + late_s)


def recordings(
    late_s: Mapping[tuple[int, str], float], sensors: tuple[str, ...] = SENSORS
) -> dict[str, dict[str, TimedFrames]]:
    return {
        name: {
            sensor: recording(number, sensor, late_s.get((number, sensor), 0.0))
            for sensor in sensors
        }
        for number, name in enumerate(SESSIONS)
    }


def estimated(
    sessions: Mapping[str, Mapping[str, TimedFrames]],
) -> dict[str, dict[str, float]]:
    """Return the delays by session and sensor, of the sessions that have one."""
    folds = folds_of_sessions(CORPUS)
    frames = {name: on_common_steps(of, PARAMS.max_shift_s) for name, of in sessions.items()}
    estimator = fit_shift_estimator(frames, folds, PARAMS)
    delays_s = {
        name: {sensor: shift.delay_s for sensor, shift in estimator.shifts(of, folds[name]).items()}
        for name, of in frames.items()
    }
    return {name: of for name, of in delays_s.items() if of}


def test_sensors_in_time_have_no_shift() -> None:
    assert estimated(recordings({})) == {}


@pytest.mark.parametrize("sensor", SENSORS)
@pytest.mark.parametrize("late_s", [-4.0, 1.0, 2.5])
def test_the_late_sensor_of_three_is_named_with_the_delay(sensor: str, late_s: float) -> None:
    assert estimated(recordings({(2, sensor): late_s})) == {"s2": {sensor: late_s}}


def test_of_two_sensors_each_is_late_relative_to_the_other() -> None:
    found = estimated(recordings({(1, "video"): 3.0}, ("eeg", "video")))
    assert found == {"s1": {"eeg": -3.0, "video": 3.0}}


def test_a_session_without_a_sensor_is_compared_by_the_others() -> None:
    sessions = recordings({(4, "audio"): 2.0, (5, "eeg"): -2.0})
    del sessions["s4"]["eeg"], sessions["s0"]["video"]
    found = estimated(sessions)
    assert found == {"s4": {"audio": 2.0, "video": -2.0}, "s5": {"eeg": -2.0}}


def test_an_unrelated_sensor_has_no_shift() -> None:
    sessions = recordings({})
    sessions["s3"]["audio"] = recording(77, "audio")
    assert estimated(sessions) == {}


def test_a_shift_beyond_the_largest_one_is_not_named() -> None:
    assert estimated(recordings({(0, "eeg"): PARAMS.max_shift_s + 2})) == {}


def test_frames_are_on_one_grid_whatever_their_rates_and_starts() -> None:
    frames = on_common_steps(
        {"eeg": recording(0, "eeg", 10.0), "audio": recording(0, "audio", -3.0)}, 8.0
    )
    # From -3 s to 100 s in steps of half a second.
    assert {sensor: len(values) for sensor, values in frames.items()} == {"eeg": 206, "audio": 206}
    assert np.isnan(frames["eeg"][:26]).all()
    assert np.isfinite(frames["eeg"][26:]).all()
    assert np.isfinite(frames["audio"][:180]).all()


@pytest.mark.parametrize("times_s", [[np.nan], [0.0]])
def test_a_sensor_without_a_time_axis_has_no_shift(times_s: list[float]) -> None:
    single = TimedFrames(np.ones((1, 3)), np.array(times_s))
    sessions: dict[str, dict[str, TimedFrames]] = {
        name: {"eeg": of["eeg"], "audio": single} for name, of in recordings({}).items()
    }
    assert estimated(sessions) == {}
    assert estimated({name: {"eeg": single, "audio": single} for name in SESSIONS}) == {}


def test_a_person_without_others_has_no_shift() -> None:
    alone = {"s0": recordings({(0, "eeg"): 2.0})["s0"]}
    assert estimated(alone) == {}


def test_only_sessions_that_a_fold_tests_are_used() -> None:
    splits = CORPUS.splits.filter((pl.col("subject") != "p5") | (pl.col("role") != "test"))
    folds = folds_of_sessions(replace(CORPUS, splits=splits))
    assert folds == {"s0": 0, "s1": 0, "s2": 1, "s3": 1, "s4": 2}


def write_project(folder: Path, sessions: Mapping[str, Mapping[str, TimedFrames]]) -> Project:
    """Write frames on device clocks that are 1 s ahead of the session's, and the clocks."""
    project = Project(folder)
    alignment: list[dict[str, object]] = []
    pieces: list[dict[str, object]] = []
    for session, of in sessions.items():
        # Names that sort in another order than the sensors.
        for sensor, (values, times_s) in of.items():
            name = f"{session}_{sensor[::-1]}"
            path = project.signals(sensor) / f"{name}.npz"
            path.parent.mkdir(parents=True, exist_ok=True)
            write_arrays(path, {"clean": values.astype(np.float32), "times_s": times_s + 1.0})
            alignment.append(
                {"recording": name, "session": session, "modality": sensor, "method": "pulses"}
                | {"n_anchors": 9, "n_pieces": 1, "status": "aligned"}
            )
            pieces.append(
                {"recording": name, "from_native_s": -np.inf, "until_native_s": np.inf}
                | {"offset_s": -1.0, "drift_ppm": 0.0}
            )
    write_table(project.alignment / "alignment.parquet", frame_of(alignment, Alignment), Alignment)
    write_table(project.alignment / "pieces.parquet", frame_of(pieces, Pieces), Pieces)
    return project


def test_the_frames_of_a_project_are_read_by_its_clocks(tmp_path: Path) -> None:
    sessions = recordings({(3, "video"): 2.0})
    project = write_project(tmp_path, sessions)
    read = dict(aligned_frames(project, SENSORS, ["s1", "s3"]))
    assert list(read) == ["s1", "s3"]
    assert list(read["s1"]) == list(SENSORS)
    np.testing.assert_allclose(read["s1"]["eeg"].times_s, sessions["s1"]["eeg"].times_s)
    np.testing.assert_allclose(read["s1"]["eeg"].values, sessions["s1"]["eeg"].values, rtol=1e-6)
    shifts = recording_shifts(project, CORPUS, PARAMS)
    assert {name: list(of) for name, of in shifts.items() if of} == {"s3": ["video"]}
    assert shifts["s3"]["video"].delay_s == 2.0
    assert shifts["s3"]["video"].gain > 10
    assert recording_shifts(project, CORPUS, PARAMS.model_copy(update={"max_shift_s": 0.0})) == {}


def test_recordings_that_are_not_aligned_are_left_out(tmp_path: Path) -> None:
    project = write_project(tmp_path, recordings({}))
    path = project.alignment / "alignment.parquet"
    table = pl.read_parquet(path)
    lost = (pl.col("session") == "s0") & (pl.col("modality") != "eeg")
    write_table(
        path,
        table.with_columns(status=pl.when(lost).then(pl.lit("unaligned")).otherwise("status")),
        Alignment,
    )
    assert list(dict(aligned_frames(project, SENSORS, SESSIONS))) == SESSIONS[1:]


def test_the_number_of_steps_is_that_of_the_lags() -> None:
    frames = on_common_steps({"eeg": recording(0, "eeg")}, PARAMS.max_shift_s)
    assert len(frames["eeg"]) == LENGTH_S / PARAMS.max_shift_s * STEPS

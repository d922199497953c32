"""Detection of swapped sensors in simulated predictions, and of simulated shifts."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from benchmarks.coherence import (
    agreement,
    auroc,
    detection,
    draw_swaps,
    shift_outcome,
    shift_table,
    swapped,
)
from consilience.evaluation.recording_shifts import Shift, TimedFrames
from consilience.training.recording_coherence import sensor_evidence
from tests.evaluation.test_recording_shifts import (
    CORPUS,
    PARAMS,
    recordings,
    write_project,
)

N_WINDOWS, N_CLASSES = 240, 4
SUBJECTS = np.repeat([f"p{number}" for number in range(6)], N_WINDOWS // 6)
PRIOR = np.full((N_WINDOWS, N_CLASSES), 1 / N_CLASSES)


def predictions(strength: float) -> NDArray[np.float64]:
    """Return predictions (N, 3, K) that follow the class as far as `strength`."""
    rng = np.random.default_rng(0)
    truth = np.eye(N_CLASSES)[rng.integers(N_CLASSES, size=N_WINDOWS)]
    noise = rng.dirichlet(np.ones(N_CLASSES), (N_WINDOWS, 3))
    return strength * truth[:, None] + (1 - strength) * noise


def figures(strength: float, size: int) -> dict[str, float]:
    probability = predictions(strength)
    available = np.ones((N_WINDOWS, 3), bool)
    swaps = draw_swaps(available, SUBJECTS, size, 300)
    evidence = sensor_evidence(probability, available, PRIOR)
    return detection(probability, evidence, swaps, 0.05)


def test_sensors_that_predict_the_class_reveal_a_swap() -> None:
    values = figures(0.9, 10)
    for name in ("auroc", "named", "agreement_auroc", "agreement_named"):
        assert values[name] > 0.95, name
    assert values["listed"] > 0.9
    assert values["false_alarms"] == 0


def test_sensors_at_chance_do_not() -> None:
    values = figures(0.0, 10)
    assert values["auroc"] == pytest.approx(0.5, abs=0.06)
    assert values["named"] == pytest.approx(1 / 3, abs=0.08)


def test_swaps_are_by_other_people_and_of_available_sensors() -> None:
    available = np.ones((N_WINDOWS, 3), bool)
    available[::3, 0] = False
    available[1::3, 1:] = False  # a single sensor: never drawn
    swaps = draw_swaps(available, SUBJECTS, 5, 50)
    assert swaps.rows.shape == swaps.donors.shape == (50, 5)
    assert (SUBJECTS[swaps.rows] != SUBJECTS[swaps.donors]).all()
    assert (available[swaps.rows].sum(-1) > 1).all()
    for rows in (swaps.rows, swaps.donors):
        assert available[rows, swaps.sensor[:, None]].all()


def test_only_the_swapped_sensor_changes() -> None:
    probability = predictions(0.6)
    swaps = draw_swaps(np.ones((N_WINDOWS, 3), bool), SUBJECTS, 5, 20)
    result = swapped(probability, swaps)
    for draw, sensor in enumerate(swaps.sensor):
        others = [m for m in range(3) if m != sensor]
        expected = probability[swaps.rows[draw]]
        np.testing.assert_array_equal(result[draw][:, others], expected[:, others])
        np.testing.assert_array_equal(
            result[draw][:, sensor], probability[swaps.donors[draw], sensor]
        )


def test_agreement_of_equal_and_of_disjoint_predictions() -> None:
    certain = np.eye(2)[[[[0, 0, 1]]]]  # one recording of one window, three sensors
    everywhere = np.ones((1, 1, 3), bool)
    np.testing.assert_allclose(agreement(certain, everywhere), [[0.5, 0.5, 0]])
    without_third = np.array([[[True, True, False]]])
    np.testing.assert_allclose(agreement(certain, without_third), [[1, 1, np.nan]])


def test_auroc_counts_ties_half() -> None:
    assert auroc(np.array([2.0, 1.0]), np.array([1.0, 0.0])) == pytest.approx(3.5 / 4)


def test_the_right_shift_is_that_of_the_sensor_alone_or_of_both() -> None:
    late, early = Shift(2.0, 9.0), Shift(-2.0, 9.0)
    assert shift_outcome({}, "eeg", 2.0, 3) == (False, False)
    assert shift_outcome({"eeg": late}, "eeg", 2.0, 3) == (True, True)
    assert shift_outcome({"eeg": early}, "eeg", 2.0, 3) == (True, False)
    assert shift_outcome({"audio": early}, "eeg", 2.0, 3) == (True, False)
    both = {"audio": early, "eeg": late}
    assert shift_outcome(both, "eeg", 2.0, 3) == (True, False)
    assert shift_outcome(both, "eeg", 2.0, 2) == (True, True)


def test_simulated_shifts_of_a_project_are_counted_by_sensor(tmp_path: Path) -> None:
    project = write_project(tmp_path, recordings({}))
    header, _, *lines = shift_table(project, CORPUS, PARAMS)
    assert "sensor and sign right" in header
    assert lines[0] == "| -4 | 18 | 1.00 | 1.00 | eeg 1.00, audio 1.00, video 1.00 |"
    assert lines[3] == "| 0 | 6 | 0.00 | – | – |"


def test_a_project_without_frames_over_time_has_no_table(tmp_path: Path) -> None:
    single = {
        session: {sensor: TimedFrames(np.ones((1, 2)), np.zeros(1)) for sensor in of}
        for session, of in recordings({}).items()
    }
    project = write_project(tmp_path, single)
    assert shift_table(project, CORPUS, PARAMS) == []

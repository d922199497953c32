from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest

from benchmarks.evidence.extra_figures import mean_of_single_sensors, severe_figures
from consilience.evaluation.scorer import Resampled
from consilience.windows.conditions import DESYNC, MISMATCH, SUBSET, Condition

ACCURACY = {
    Condition(SUBSET, ("a", "b")): 0.9,
    Condition(SUBSET, ("a",)): 0.7,
    Condition(SUBSET, ("b",)): 0.5,
    Condition("noise", ("a",), 1): 0.85,
    Condition("noise", ("a",), 5): 0.4,
    Condition("noise", ("b",), 5): 0.6,
    Condition("babble", ("a",), 5): 0.3,
    Condition(DESYNC, ("a",), 5): 0.1,
    Condition(MISMATCH, ("a",)): 0.2,
}


def scores(accuracy: Mapping[Condition, float], modalities: list[str]) -> Resampled:
    """Return scores under two weights, the second of which has half of the accuracy."""
    of_conditions = np.array(list(accuracy.values()))
    values = {"balanced_accuracy": np.stack([of_conditions, of_conditions / 2])}
    return Resampled(list(accuracy), modalities, values, {}, 3)


def test_severe_failures_are_split_by_kind_and_compared_with_the_sensor_left_out() -> None:
    figures = severe_figures(scores(ACCURACY, ["a", "b"]), ["babble"])
    expected = {
        "severe_seen": (0.4 + 0.6) / 2,
        "left_out_seen": (0.5 + 0.7) / 2,  # b without a, a without b
        "severe_held_out": 0.3,
        "left_out_held_out": 0.5,
    }
    assert {name: values[0] for name, values in figures.items()} == pytest.approx(expected)
    assert {name: 2 * values[1] for name, values in figures.items()} == pytest.approx(expected)


def test_without_held_out_kinds_all_are_seen() -> None:
    figures = severe_figures(scores(ACCURACY, ["a", "b"]), [])
    assert set(figures) == {"severe_seen", "left_out_seen"}
    assert figures["severe_seen"][0] == pytest.approx((0.4 + 0.6 + 0.3) / 3)


def test_a_single_sensor_has_none_to_leave_out() -> None:
    alone = {Condition(SUBSET, ("a",)): 0.7, Condition("noise", ("a",), 5): 0.4}
    assert severe_figures(scores(alone, ["a"]), []) == {}


def test_single_sensors_are_averaged() -> None:
    values = {"only_a": np.array([0.2, 0.4]), "only_b": np.array([0.4, 0.8]), "all": np.ones(2)}
    assert mean_of_single_sensors(values)["alone"] == pytest.approx([0.3, 0.6])
    assert mean_of_single_sensors({"all": np.ones(2)}) == {}

from __future__ import annotations

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from benchmarks.evidence import extra_figures
from benchmarks.evidence.extra_figures import severe_figures, with_alone
from consilience.evaluation.aggregate import Figures
from consilience.evaluation.scorer import Evaluated
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


@pytest.fixture(autouse=True)
def constant_accuracy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every resample and subject have the accuracy that the sums contain."""

    def resampled(evaluated: Evaluated, weights: np.ndarray) -> Any:
        accuracy = np.tile(evaluated.sums["accuracy"], (len(weights), 1))
        return SimpleNamespace(scores={"balanced_accuracy": accuracy})

    monkeypatch.setattr(extra_figures, "resampled", resampled)


def evaluated(accuracy: Mapping[Condition, float], modalities: list[str]) -> Evaluated:
    sums = {"accuracy": np.array(list(accuracy.values()))}
    return Evaluated(list(accuracy), modalities, ["p", "q", "r"], [0], sums, {})


def test_severe_failures_are_split_by_kind_and_compared_with_the_sensor_left_out() -> None:
    figures = severe_figures(evaluated(ACCURACY, ["a", "b"]), ["babble"], 10)
    assert {name: values[0] for name, values in figures.sample.items()} == pytest.approx(
        {
            "severe_seen": (0.4 + 0.6) / 2,
            "left_out_seen": (0.5 + 0.7) / 2,  # b without a, a without b
            "severe_held_out": 0.3,
            "left_out_held_out": 0.5,
        }
    )
    assert {len(values) for values in figures.sample.values()} == {11}
    assert {len(values) for values in figures.subjects.values()} == {3}


def test_without_held_out_kinds_all_are_seen() -> None:
    figures = severe_figures(evaluated(ACCURACY, ["a", "b"]), [], 10)
    assert set(figures.sample) == {"severe_seen", "left_out_seen"}
    assert figures.sample["severe_seen"][0] == pytest.approx((0.4 + 0.6 + 0.3) / 3)


def test_a_single_sensor_has_none_to_leave_out() -> None:
    alone = {Condition(SUBSET, ("a",)): 0.7, Condition("noise", ("a",), 5): 0.4}
    assert severe_figures(evaluated(alone, ["a"]), [], 10) == Figures({}, {})


def test_alone_is_the_mean_over_single_sensors() -> None:
    values = {"only_a": np.array([0.2, 0.4]), "only_b": np.array([0.4, 0.8]), "all": np.ones(2)}
    figures = with_alone(Figures(values, values))
    assert figures.sample["alone"] == pytest.approx([0.3, 0.6])
    assert figures.subjects["alone"] == pytest.approx([0.3, 0.6])
    assert "alone" not in with_alone(Figures({"all": np.ones(2)}, {})).sample

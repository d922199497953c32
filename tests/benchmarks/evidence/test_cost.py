from __future__ import annotations

import pytest

from benchmarks.evidence import cost, plan


@pytest.mark.slow
def test_cost_is_measured(laboratory):
    planned = plan.load(laboratory / "experiments.yaml")
    measured = cost.measure(planned, laboratory, laboratory / "store")
    assert measured["hybrid"]["parameters"] > 0
    assert measured["hybrid"]["prediction_ms"] > 0


def test_training_time_is_extrapolated_from_the_shortest_timings():
    timings = [cost._Timing(10, 2.0, 7.0, 0.5), cost._Timing(10, 1.0, 8.0, 0.25)]
    few, more = cost.EPOCHS
    per_epoch = (7.0 - 1.0) / (more - few)
    expected = {
        "parameters": 10,
        "training_s": pytest.approx(1.0 + per_epoch * (20 - few)),
        "prediction_ms": 0.25,
    }
    assert cost._cost(timings, 20) == expected

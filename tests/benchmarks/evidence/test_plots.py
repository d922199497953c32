from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from benchmarks.evidence import plots
from benchmarks.evidence.results import Results
from benchmarks.evidence.scenarios import Scenario


def accuracy(value: float) -> Any:
    return SimpleNamespace(estimate=lambda figure: (value, 0.0, 1.0))


def test_curves_start_at_the_clean_experiment_and_leave_controls_out() -> None:
    scenarios = {
        "clean": Scenario(),
        "noisy": Scenario(noise="symmetric", rate=0.4),
        "few": Scenario(labelled_subjects=2),
        "random": Scenario(random_split=True),
        "shuffled": Scenario(noise="shuffled"),
    }
    experiments = {
        name: SimpleNamespace(corpus="ravdess", sensors=["a", "b"], scenario=scenario)
        for name, scenario in scenarios.items()
    }
    experiments["three"] = SimpleNamespace(corpus="ravdess", sensors=list("abc"), scenario=None)
    plan: Any = SimpleNamespace(experiments=experiments)
    outcomes = {name: {"kd": accuracy(0.1 * n)} for n, name in enumerate(experiments)}
    assert plots.curve_points(Results(plan, outcomes)) == {
        "symmetric": [("kd", 0.0, 0.0), ("kd", 0.4, 0.1)],
        "pair": [("kd", 0.0, 0.0)],
        "labelled": [("kd", 2, 0.2)],
    }


def test_without_results_nothing_is_drawn() -> None:
    assert plots.severity({}) is plots.reliability({}) is plots.risk({}) is None

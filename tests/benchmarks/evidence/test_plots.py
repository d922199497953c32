from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from benchmarks.evidence import plots
from benchmarks.evidence.claims import TWO
from benchmarks.evidence.results import Results
from benchmarks.evidence.scenarios import Scenario


def accuracy(value: float) -> Any:
    return SimpleNamespace(estimate=lambda figure: (value, 0.0, 1.0))


def test_the_curve_starts_at_the_clean_experiment_and_leaves_controls_out() -> None:
    scenarios = {
        TWO: Scenario(),
        "noisy": Scenario(noise="symmetric", rate=0.4),
        "random": Scenario(random_split=True),
        "shuffled": Scenario(noise="shuffled"),
        "pair": Scenario(noise="pair", rate=0.2),
    }
    experiments = {
        name: SimpleNamespace(sensors=["a", "b"], scenario=scenario)
        for name, scenario in scenarios.items()
    }
    experiments["three"] = SimpleNamespace(sensors=list("abc"), scenario=Scenario())
    plan: Any = SimpleNamespace(experiments=experiments)
    outcomes = {name: {"kd": accuracy(0.1 * n)} for n, name in enumerate(experiments)}
    results = Results(plan, outcomes)
    assert plots.noise_curve(results) == [("kd", 0.0, 0.0), ("kd", 0.4, 0.1)]
    assert plots.curve(results) is None  # two points are not a curve


def test_without_results_nothing_is_drawn() -> None:
    assert plots.severity({}) is plots.reliability({}) is plots.risk({}) is None

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.evidence.results import (
    Comparison,
    Outcome,
    best,
    compare,
    difference_of,
    worst_quarter,
)
from consilience.evaluation.aggregate import Figures
from consilience.evaluation.resampling import Paired


def outcome(name: str, level: float, seed: int = 0) -> Outcome:
    """Return an entry whose figure is `level`, with every subject near it."""
    rng = np.random.default_rng(seed)
    subjects = level + 0.01 * rng.normal(size=12)
    sample = np.concatenate([[subjects.mean()], level + 0.003 * rng.normal(size=200)])
    made = Outcome(name, None)
    made.__dict__["figures"] = Figures({"grid": sample}, {"grid": subjects})
    return made


def test_ahead_needs_interval_and_corrected_test():
    result = compare(
        outcome("coherence_transfer", 0.8),
        {"a": outcome("a", 0.7), "b": outcome("b", 0.8)},
        ["grid"],
    )
    by_name = {comparison.other: comparison for comparison in result}
    assert by_name["a"].ahead(1)
    assert not by_name["a"].ahead(-1)
    assert not by_name["b"].ahead(1)


def test_the_best_entry_has_the_best_estimate_in_the_figures_direction():
    outcomes = {"a": outcome("a", 0.7), "b": outcome("b", 0.8)}
    assert best(outcomes, "grid", 1).name == "b"
    assert best(outcomes, "grid", -1).name == "a"
    assert best(outcomes, "other", 1) is None
    assert best({}, "grid", 1) is None


def test_a_difference_is_the_first_less_the_other():
    pair = difference_of(outcome("a", 0.8), outcome("b", 0.7), "grid")
    assert pair.difference == pytest.approx(0.1, abs=0.02)
    assert pair.n_subjects == 12


def test_a_figure_of_all_subjects_together_has_an_interval():
    made = outcome("a", 0.8)
    sample = made.figures.sample["grid"]
    made.__dict__["figures"] = Figures({"together": sample}, {"grid": np.full(12, np.nan)})
    estimate, low, high = made.estimate("together")
    assert low < estimate < high
    assert np.isnan(made.estimate("grid")).all()


def test_an_entry_states_whether_its_windows_were_corrupted():
    for training, expected in (({}, False), ({"corrupted": 0.5}, True), ({"dropout": 0.5}, False)):
        made = Outcome("a", None)
        made.__dict__["card"] = {"settings": [{"training": {}}, {"training": training}]}
        assert made.corruption_trained is expected


def test_a_clear_interval_alone_is_not_enough():
    pair = Paired(0.1, 0.05, 0.15, 0.04, 5)
    assert Comparison("grid", "a", pair, 0.01).ahead(1)
    assert not Comparison("grid", "a", pair, 0.2).ahead(1)


def test_a_small_p_alone_is_not_enough():
    assert not Comparison("grid", "a", Paired(0.1, -0.05, 0.2, 0.001, 5), 0.001).ahead(1)
    assert not Comparison("nll", "a", Paired(-0.1, -0.2, 0.05, 0.001, 5), 0.001).ahead(-1)
    assert Comparison("nll", "a", Paired(-0.1, -0.2, -0.05, 0.001, 5), 0.001).ahead(-1)


def test_all_comparisons_made_together_are_corrected_together():
    first = outcome("coherence_transfer", 0.8)
    one = compare(first, {"a": outcome("a", 0.7)}, ["grid"])
    four = compare(first, {name: outcome(name, 0.7) for name in "abcd"}, ["grid"])
    assert [c.p_corrected for c in four] == [4 * one[0].p_corrected] * 4


def test_the_worst_quarter_is_that_of_the_reference_for_all_entries():
    def entry(accuracies):
        made = Outcome("a", None)
        made.__dict__["figures"] = Figures({}, {"all": np.array(accuracies)})
        return made

    reference = entry([0.9, 0.2, 0.8, np.nan, 0.3, 0.7, 0.6, 0.5, 0.4])  # eight people
    other = entry([0.1, 0.8, 0.1, 0.0, 0.6, 0.1, 0.1, 0.1, 0.1])
    worst = worst_quarter({"concat": reference, "other": other})
    assert worst == pytest.approx({"concat": 0.25, "other": 0.7})
    assert worst_quarter({"other": other}) == {}

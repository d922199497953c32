from __future__ import annotations

import numpy as np

from benchmarks.evidence.results import Comparison, Outcome, compare, nearest
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
    assert nearest(result, 1).other == "b"
    assert nearest(result, -1).other == "a"


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

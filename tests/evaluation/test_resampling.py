from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import wilcoxon

from consilience.evaluation.resampling import (
    holm,
    interval,
    paired,
    signed_rank,
    subject_weights,
    worst_quarter,
)

P_VALUES = st.lists(st.floats(0, 1), min_size=1, max_size=20)


def test_intervals_narrow_with_more_subjects_and_hold_the_estimate() -> None:
    widths = []
    for n_subjects in (6, 24, 96):
        values = np.random.default_rng(2).normal(size=n_subjects)
        weights = subject_weights(n_subjects, 500)
        assert (weights.sum(1) == n_subjects).all()
        estimate, low, high = interval(weights @ values / n_subjects, n_subjects)
        assert low < estimate < high
        np.testing.assert_allclose(estimate, values.mean())
        widths.append(high - low)
    assert all(wide > narrow for wide, narrow in pairwise(widths))


def test_an_interval_lies_around_an_estimate_that_every_resample_exceeds() -> None:
    values = np.concatenate([[1.0], np.random.default_rng(0).uniform(2, 3, 1000)])
    estimate, low, high = interval(values, 1000)
    assert (low + high) / 2 == pytest.approx(estimate, abs=0.05)
    assert high - low == pytest.approx(0.95, abs=0.03)


@pytest.mark.parametrize("bound", [1.0, -1.0])
def test_an_interval_does_not_leave_the_bound_its_resamples_pile_up_at(bound: float) -> None:
    estimate, *ends = interval(bound * np.array([1.0, 1.0, 0.9, 1.0, 0.8, 1.0]), 20)

    assert estimate == bound
    assert max(np.abs(ends)) == 1 > min(np.abs(ends))


@pytest.mark.parametrize("n_subjects", [6, 20])
def test_the_interval_covers_the_true_difference_at_its_nominal_rate(n_subjects: int) -> None:
    """Without the widening, 6 subjects are covered in 86 % of the cases."""
    rng = np.random.default_rng(5)
    weights = subject_weights(n_subjects, 1000)
    covered = 0
    for _ in range(1000):
        own = rng.normal(0.1, 1, n_subjects)
        _, low, high = interval(weights @ own / n_subjects, n_subjects)
        covered += low < 0.1 < high
    assert 0.93 < covered / 1000 < 0.97


def test_the_worst_quarter_of_five_people_is_the_worst_and_a_quarter_of_the_next() -> None:
    accuracy = np.array([0.9, 0.1, 0.5, 0.8, 0.7])
    expected = (0.1 + 0.25 * 0.5) / 1.25
    assert worst_quarter(accuracy, np.ones((1, 5)))[0] == pytest.approx(expected)


def test_the_worst_quarter_of_a_resample_counts_its_repetitions() -> None:
    accuracy = np.array([0.2, 0.6, 0.6, 0.6])
    drawn = np.array([[0.0, 4, 0, 0], [4.0, 0, 0, 0], [2.0, 2, 0, 0]])
    assert worst_quarter(accuracy, drawn) == pytest.approx([0.6, 0.2, 0.2])
    weights = subject_weights(4, 200)
    values = worst_quarter(accuracy, weights)
    assert values.min() >= 0.2
    assert values.max() <= 0.6 + 1e-12


@pytest.mark.parametrize("confidence", [0.8, 0.95, 0.99])
def test_the_confidence_of_an_interval_is_its_coverage(confidence: float) -> None:
    rng = np.random.default_rng(6)
    weights = subject_weights(12, 1000)
    covered = 0
    for _ in range(500):
        own = rng.normal(0.1, 1, 12)
        _, low, high = interval(weights @ own / 12, 12, confidence)
        covered += low < 0.1 < high
    assert covered / 500 == pytest.approx(confidence, abs=0.035)


@given(st.lists(st.floats(-5, 5).map(lambda x: round(x, 3)), max_size=60, unique_by=abs))
def test_the_signed_rank_test_is_scipys_once_zeros_are_dropped(differences: list[float]) -> None:
    values = np.array(differences)
    left = values[values != 0]
    expected = wilcoxon(left).pvalue if len(left) else 1
    np.testing.assert_allclose(signed_rank(values), expected)
    np.testing.assert_allclose(signed_rank(-values), expected)


def test_the_smallest_p_of_n_subjects_is_exact() -> None:
    assert signed_rank(np.arange(1, 9) / 10) == pytest.approx(2 / 2**8)


def test_a_paired_difference_is_narrower_than_the_methods_own_intervals() -> None:
    rng = np.random.default_rng(3)
    subjects = rng.normal(size=18)
    better = subjects + rng.normal(0.1, 0.02, 18)
    weights = subject_weights(18, 500)
    result = paired(weights @ better / 18, weights @ subjects / 18, better, subjects)
    assert 0 < result.low < result.difference < result.high < 0.15
    assert result.p_value < 0.001
    assert result.n_subjects == 18


@given(P_VALUES)
def test_holm_keeps_the_order_and_lies_between_none_and_bonferroni(values: list[float]) -> None:
    given_p = {str(number): p for number, p in enumerate(values)}
    adjusted = holm(given_p)
    for name, p in given_p.items():
        assert p <= adjusted[name] <= min(1, p * len(values)) + 1e-12
    order = sorted(given_p, key=lambda name: given_p[name])
    assert all(adjusted[first] <= adjusted[later] for first, later in pairwise(order))


def test_holm_of_a_worked_example() -> None:
    adjusted = holm({"a": 0.01, "b": 0.04, "c": 0.03, "d": 0.005, "e": float("nan")})
    expected = {"a": 0.03, "b": 0.06, "c": 0.06, "d": 0.02, "e": float("nan")}
    assert adjusted == pytest.approx(expected, nan_ok=True)

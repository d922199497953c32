from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import rankdata

from consilience.annotation import evaluators
from consilience.annotation.evaluators import (
    RatingConsensus,
    contrary_annotators,
    evaluator_median,
    evaluator_weighted,
)

Estimate = Callable[..., RatingConsensus]


def long_format(ratings: np.ndarray) -> tuple[np.ndarray, ...]:
    annotator, item = np.nonzero(np.isfinite(ratings))
    return item, annotator, ratings[annotator, item]


def simulated(noise: tuple[float, ...], bias: tuple[float, ...], n: int = 400) -> tuple:
    rng = np.random.default_rng(3)
    truth = rng.normal(size=n)
    errors = np.array(noise)[:, None] * rng.normal(size=(len(noise), n))
    return truth, truth + np.array(bias)[:, None] + errors


def test_noisy_annotators_have_less_weight() -> None:
    truth, ratings = simulated((0.2, 0.2, 3.0), (0.0, 0.0, 0.0))
    result = evaluator_weighted(*long_format(ratings))
    assert result.weight[2] < min(result.weight[:2]) / 1.5
    assert result.weight.sum() == np.float64(1) or abs(result.weight.sum() - 1) < 1e-12
    assert np.std(result.mean - truth) < np.std(ratings.mean(axis=0) - truth)
    expected = [np.corrcoef(ratings[a], np.delete(ratings, a, 0).mean(0))[0, 1] for a in range(3)]
    np.testing.assert_allclose(result.reliability, expected, atol=0.02)


def test_the_mean_does_not_depend_on_who_rated_an_item() -> None:
    truth, ratings = simulated((0.1, 0.1, 0.1), (-1.0, 0.0, 1.0))
    ratings[2, ::2] = np.nan
    result = evaluator_weighted(*long_format(ratings))
    np.testing.assert_allclose(result.bias, [-1, 0, 1], atol=0.06)
    plain = np.nanmean(ratings, axis=0)
    assert abs(plain[::2].mean() - truth[::2].mean()) > 0.4
    assert abs((result.mean - truth)[::2].mean()) < 0.05
    np.testing.assert_allclose(result.sd.mean(), 0.1, atol=0.03)


def test_a_single_annotators_ratings_are_unchanged() -> None:
    result = evaluator_weighted(np.arange(4), np.zeros(4, int), np.array([1.0, 2, 5, 3]))
    assert result.mean.tolist() == [1, 2, 5, 3]
    assert result.bias.tolist() == [0]
    assert np.isnan(result.reliability).all()
    assert np.isnan(result.sd).all()


def test_a_contrary_annotator_has_no_weight_and_labels_nothing_alone() -> None:
    truth, ratings = simulated((0.1, 0.1, 0.1, 0.1), (0.0, 0.0, 0.0, 0.0))
    ratings[3] *= -1
    ratings[:3, 0] = np.nan
    result = evaluator_weighted(*long_format(ratings))
    assert result.weight[3] == 0
    np.testing.assert_allclose(result.mean[1:], truth[1:], atol=0.4)
    assert np.isnan(result.mean[0])


@pytest.mark.parametrize("estimate", [evaluator_weighted, evaluator_median])
@pytest.mark.parametrize("contrary", [0, 1, 2])
def test_one_contrary_annotator_of_three_is_detected(estimate: Estimate, contrary: int) -> None:
    truth, ratings = simulated((0.3, 0.3, 0.3), (0.0, 0.2, 0.0), n=12)
    ratings[contrary] *= -1
    result = estimate(*long_format(ratings))
    others = [number for number in range(3) if number != contrary]
    assert result.weight[contrary] == 0
    assert result.reliability[contrary] < -0.8
    assert (result.reliability[others] > 0.5).all()
    assert np.corrcoef(result.mean, truth)[0, 1] > 0.9


def test_indifferent_annotators_are_not_contrary() -> None:
    _, ratings = simulated((0.3, 0.3, 9.0, 9.0), (0.0, 0.0, 0.0, 0.0))
    assert not contrary_annotators(*long_format(ratings)).any()


@pytest.mark.parametrize("second", [[i / 7 for i in range(8)], [1 - i / 7 for i in range(8)]])
def test_reliabilities_are_correlations(second: list[float]) -> None:
    """Rounding gives -1.0000000000000002 for these ratings."""
    ratings = np.array([[i / 7 for i in range(8)], second])
    result = evaluator_weighted(*long_format(ratings))
    assert (np.abs(result.reliability) <= 1).all()
    assert np.isfinite(result.mean).all()


@pytest.mark.parametrize("value", [0.1, 0.3, 0.5, 0.7])
def test_a_constant_annotator_has_no_correlation(value: float) -> None:
    """Rounding gives the ratings of a constant annotator a spread, less their bias."""
    ratings = np.array([[-0.9, -0.6, -0.2, 0.1, 0.3, 0.5, 0.8, 0.9], [value] * 8])
    result = evaluator_weighted(*long_format(ratings))
    assert result.reliability.tolist() == [0, 0]
    assert result.weight.tolist() == [0.5, 0.5]
    np.testing.assert_allclose(result.mean, ratings.mean(axis=0))


def test_the_median_depends_on_the_order_of_ratings_only() -> None:
    truth, ratings = simulated((0.2, 0.2, 0.2, 3.0), (0.0, 0.0, 0.0, 0.0))
    item, annotator, rating = long_format(ratings)
    result = evaluator_median(item, annotator, rating)
    monotone = evaluator_median(item, annotator, rating**3)
    np.testing.assert_allclose(result.weight, monotone.weight, atol=1e-12)
    assert result.weight[3] == result.weight.min()
    assert np.isnan(result.bias).all()
    assert np.std(result.mean - truth) < np.std(np.median(ratings, axis=0) - truth)


@given(
    rows=st.lists(
        st.tuples(st.integers(0, 4), st.integers(0, 3), st.integers(1, 9)), min_size=1, max_size=20
    )
)
def test_the_consensus_is_finite_and_the_median_within_the_ratings(
    rows: list[tuple[int, int, int]],
) -> None:
    item, annotator, rating = np.array(rows).T
    _, item = np.unique(item, return_inverse=True)
    _, annotator = np.unique(annotator, return_inverse=True)
    for estimate in (evaluator_weighted, evaluator_median):
        result = estimate(item, annotator, rating.astype(float))
        assert np.isfinite(result.mean).all()
        assert abs(result.weight.sum() - 1) < 1e-9
    low, high = (
        np.array([f(rating[item == k]) for k in range(item.max() + 1)]) for f in (np.min, np.max)
    )
    assert (result.mean >= low - 1e-9).all()
    assert (result.mean <= high + 1e-9).all()


@given(st.lists(st.integers(-3, 3), min_size=1, max_size=20))
def test_tied_ratings_share_their_mean_rank(values: list[int]) -> None:
    ratings = np.array(values, float)
    np.testing.assert_array_equal(evaluators._average_ranks(ratings), rankdata(ratings))

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from consilience.annotation.evaluators import evaluator_median, evaluator_weighted


def everybody(ratings: np.ndarray) -> tuple[np.ndarray, ...]:
    who, what = np.nonzero(np.isfinite(ratings))
    return what, who, ratings[who, what]


def simulated(noise: tuple[float, ...], bias: tuple[float, ...], n: int = 400) -> tuple:
    rng = np.random.default_rng(3)
    truth = rng.normal(size=n)
    errors = np.array(noise)[:, None] * rng.normal(size=(len(noise), n))
    return truth, truth + np.array(bias)[:, None] + errors


def test_the_noisy_count_less() -> None:
    truth, ratings = simulated((0.2, 0.2, 3.0), (0.0, 0.0, 0.0))
    found = evaluator_weighted(*everybody(ratings))
    assert found.weight[2] < min(found.weight[:2]) / 1.5
    assert found.weight.sum() == np.float64(1) or abs(found.weight.sum() - 1) < 1e-12
    assert np.std(found.mean - truth) < np.std(ratings.mean(axis=0) - truth)
    expected = [np.corrcoef(ratings[a], np.delete(ratings, a, 0).mean(0))[0, 1] for a in range(3)]
    np.testing.assert_allclose(found.reliability, expected, atol=0.02)


def test_who_is_missing_does_not_shift_the_mean() -> None:
    truth, ratings = simulated((0.1, 0.1, 0.1), (-1.0, 0.0, 1.0))
    ratings[2, ::2] = np.nan
    found = evaluator_weighted(*everybody(ratings))
    np.testing.assert_allclose(found.bias, [-1, 0, 1], atol=0.06)
    plain = np.nanmean(ratings, axis=0)
    assert abs(plain[::2].mean() - truth[::2].mean()) > 0.4
    assert abs((found.mean - truth)[::2].mean()) < 0.05
    np.testing.assert_allclose(found.sd.mean(), 0.1, atol=0.03)


def test_one_alone_is_taken_at_their_word() -> None:
    found = evaluator_weighted(np.arange(4), np.zeros(4, int), np.array([1.0, 2, 5, 3]))
    assert found.mean.tolist() == [1, 2, 5, 3]
    assert found.bias.tolist() == [0]
    assert np.isnan(found.reliability).all()
    assert np.isnan(found.sd).all()


def test_a_contrary_one_is_ignored_unless_alone() -> None:
    truth, ratings = simulated((0.1, 0.1, 0.1, 0.1), (0.0, 0.0, 0.0, 0.0))
    ratings[3] *= -1
    ratings[:3, 0] = np.nan
    found = evaluator_weighted(*everybody(ratings))
    assert found.weight[3] == 0
    np.testing.assert_allclose(found.mean[1:], truth[1:], atol=0.4)
    assert np.isfinite(found.mean[0])


def test_a_median_keeps_to_the_order() -> None:
    truth, ratings = simulated((0.2, 0.2, 0.2, 3.0), (0.0, 0.0, 0.0, 0.0))
    item, annotator, rating = everybody(ratings)
    found = evaluator_median(item, annotator, rating)
    bent = evaluator_median(item, annotator, rating**3)
    np.testing.assert_allclose(found.weight, bent.weight, atol=1e-12)
    assert found.weight[3] == found.weight.min()
    assert np.isnan(found.bias).all()
    assert np.std(found.mean - truth) < np.std(np.median(ratings, axis=0) - truth)


@given(
    rows=st.lists(
        st.tuples(st.integers(0, 4), st.integers(0, 3), st.integers(1, 9)), min_size=1, max_size=20
    )
)
def test_within_the_ratings_and_finite(rows: list[tuple[int, int, int]]) -> None:
    item, annotator, rating = np.array(rows).T
    _, item = np.unique(item, return_inverse=True)
    _, annotator = np.unique(annotator, return_inverse=True)
    for estimate in (evaluator_weighted, evaluator_median):
        found = estimate(item, annotator, rating.astype(float))
        assert np.isfinite(found.mean).all()
        assert abs(found.weight.sum() - 1) < 1e-9
    low, high = (
        np.array([f(rating[item == k]) for k in range(item.max() + 1)]) for f in (np.min, np.max)
    )
    assert (found.mean >= low - 1e-9).all()
    assert (found.mean <= high + 1e-9).all()

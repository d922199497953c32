import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from consilience.annotation.dawid_skene import dawid_skene, posterior


def simulated(accuracy: tuple[float, ...], n: int, k: int) -> tuple[np.ndarray, ...]:
    rng = np.random.default_rng(0)
    actual = rng.integers(k, size=n)
    named = [np.where(rng.random(n) < p, actual, rng.integers(k, size=n)) for p in accuracy]
    item, annotator = np.tile(np.arange(n), len(accuracy)), np.repeat(np.arange(len(accuracy)), n)
    return actual, item, annotator, np.eye(k)[np.concatenate(named)]


def test_reliable_annotators_outvote_a_majority() -> None:
    actual, item, annotator, votes = simulated((0.95, 0.95, 0.15, 0.15, 0.15), 300, 3)
    fit = dawid_skene(item, annotator, votes)
    shares = np.stack([np.bincount(item, column) for column in votes.T], axis=1)
    correct = (fit.posterior.argmax(1) == actual).mean()
    assert correct > (shares.argmax(1) == actual).mean() + 0.05
    assert (fit.reliability[:2] > 0.85).all()
    assert (fit.reliability[2:] < 0.6).all()
    np.testing.assert_allclose(fit.confusion.sum(axis=2), 1)


def test_a_systematic_confusion_is_corrected() -> None:
    rng = np.random.default_rng(1)
    actual = rng.integers(2, size=200)
    named = [np.where(rng.random(200) < 0.85, actual, 1 - actual) for _ in range(3)]
    named.append(1 - actual)  # always the opposite, which is as informative as always correct
    item, annotator = np.tile(np.arange(200), 4), np.repeat(np.arange(4), 200)
    fit = dawid_skene(item, annotator, np.eye(2)[np.concatenate(named)])
    assert fit.reliability[3] < 0.2
    majority = (np.mean(named, axis=0) > 0.5) == actual
    assert (fit.posterior.argmax(1) == actual).mean() > majority.mean() + 0.05


def test_posterior_from_a_fit_equals_its_own() -> None:
    _, item, annotator, votes = simulated((0.9, 0.8, 0.6), 200, 4)
    fit = dawid_skene(item, annotator, votes)
    np.testing.assert_allclose(posterior(item, annotator, votes, fit), fit.posterior, atol=1e-5)


@given(
    votes=st.lists(
        st.tuples(st.integers(0, 5), st.integers(0, 3), st.integers(0, 2)), min_size=1, max_size=30
    )
)
def test_any_votes_give_probabilities(votes: list[tuple[int, int, int]]) -> None:
    item, annotator, label = np.array(votes).T
    _, item = np.unique(item, return_inverse=True)
    fit = dawid_skene(item, annotator, np.eye(3)[label])
    assert fit.posterior.shape == (item.max() + 1, 3)
    np.testing.assert_allclose(fit.posterior.sum(axis=1), 1)
    assert (fit.posterior > 0).all()
    assert fit.reliability.max() == pytest.approx(np.clip(fit.reliability.max(), 0, 1))

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from consilience.annotation.dawid_skene import dawid_skene, posterior


def simulated(right: tuple[float, ...], n: int, k: int) -> tuple[np.ndarray, ...]:
    rng = np.random.default_rng(0)
    actual = rng.integers(k, size=n)
    said = [np.where(rng.random(n) < p, actual, rng.integers(k, size=n)) for p in right]
    item, annotator = np.tile(np.arange(n), len(right)), np.repeat(np.arange(len(right)), n)
    return actual, item, annotator, np.eye(k)[np.concatenate(said)]


def test_the_reliable_outvote_the_many() -> None:
    actual, item, annotator, vote = simulated((0.95, 0.95, 0.15, 0.15, 0.15), 300, 3)
    found = dawid_skene(item, annotator, vote)
    shares = np.stack([np.bincount(item, column) for column in vote.T], axis=1)
    right = (found.posterior.argmax(1) == actual).mean()
    assert right > (shares.argmax(1) == actual).mean() + 0.05
    assert (found.reliability[:2] > 0.85).all()
    assert (found.reliability[2:] < 0.6).all()
    np.testing.assert_allclose(found.confusion.sum(axis=2), 1)


def test_a_habitual_mistake_is_understood() -> None:
    rng = np.random.default_rng(1)
    actual = rng.integers(2, size=200)
    said = [np.where(rng.random(200) < 0.85, actual, 1 - actual) for _ in range(3)]
    said.append(1 - actual)  # always the opposite, and so as informative as always right
    item, annotator = np.tile(np.arange(200), 4), np.repeat(np.arange(4), 200)
    found = dawid_skene(item, annotator, np.eye(2)[np.concatenate(said)])
    assert found.reliability[3] < 0.2
    majority = (np.mean(said, axis=0) > 0.5) == actual
    assert (found.posterior.argmax(1) == actual).mean() > majority.mean() + 0.05


def test_confusions_serve_for_other_items() -> None:
    _, item, annotator, vote = simulated((0.9, 0.8, 0.6), 200, 4)
    found = dawid_skene(item, annotator, vote)
    np.testing.assert_allclose(posterior(item, annotator, vote, found), found.posterior, atol=1e-5)


@given(
    votes=st.lists(
        st.tuples(st.integers(0, 5), st.integers(0, 3), st.integers(0, 2)), min_size=1, max_size=30
    )
)
def test_probabilities_whatever_the_votes(votes: list[tuple[int, int, int]]) -> None:
    item, annotator, said = np.array(votes).T
    _, item = np.unique(item, return_inverse=True)
    found = dawid_skene(item, annotator, np.eye(3)[said])
    assert found.posterior.shape == (item.max() + 1, 3)
    np.testing.assert_allclose(found.posterior.sum(axis=1), 1)
    assert (found.posterior > 0).all()
    assert found.reliability.max() == pytest.approx(np.clip(found.reliability.max(), 0, 1))

import pytest

from benchmarks.speed.training import exponent, measure
from benchmarks.speed.windows import synthetic_corpus


def test_the_exponent_is_that_of_a_power() -> None:
    assert exponent([10, 100, 1000], [3 * n**1.5 for n in (10, 100, 1000)]) == pytest.approx(1.5)


@pytest.mark.slow
def test_training_on_synthetic_windows_is_measured() -> None:
    cost = measure("concat", 200, n_runs=2)
    assert 0 < cost["network"] < 1
    assert cost["processor_s"] > 0


def test_every_window_has_one_role_in_a_fold() -> None:
    corpus = synthetic_corpus(320)
    for fold in corpus.folds:
        sizes = [len(corpus.members(fold, role)) for role in ("train", "validation", "test")]
        assert sizes == [160, 80, 80]

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sklearn_metrics

from pipeline.robustness.metrics import measures, pool, subject_sums


def sums(seed: int, n: int = 80, n_classes: int = 4, n_subjects: int = 5) -> tuple:
    rng = np.random.default_rng(seed)
    probability = rng.dirichlet(np.ones(n_classes), n)
    target = rng.dirichlet(np.ones(n_classes), n)
    affect, true_affect = rng.normal(size=(2, n, 2))
    subject = rng.integers(0, n_subjects, n)
    added = subject_sums(probability, affect, target, true_affect, subject, n_subjects, 10)
    return added, probability, target, affect, true_affect, subject


@given(st.integers(0, 500))
@settings(max_examples=20)
def test_pooled_metrics_equal_those_of_all_windows(seed: int) -> None:
    added, p, target, affect, true_affect, _ = sums(seed)
    found = {name: value[0] for name, value in measures(pool(added, np.ones((1, 5)), 0)).items()}
    truth, guess = target.argmax(1), p.argmax(1)
    score = sklearn_metrics.balanced_accuracy_score(truth, guess)
    np.testing.assert_allclose(found["balanced_accuracy"], score)
    f1 = sklearn_metrics.f1_score(truth, guess, average="macro", labels=np.unique(truth))
    np.testing.assert_allclose(found["macro_f1"], f1)
    np.testing.assert_allclose(found["nll"], sklearn_metrics.log_loss(truth, p, labels=range(4)))
    np.testing.assert_allclose(found["brier"], ((p - np.eye(4)[truth]) ** 2).sum(1).mean())
    x, y = affect[:, 0], true_affect[:, 0]
    ccc = 2 * np.cov(x, y, ddof=0)[0, 1] / (x.var() + y.var() + (x.mean() - y.mean()) ** 2)
    np.testing.assert_allclose(found["valence_ccc"], ccc)
    np.testing.assert_allclose(
        found["arousal_rmse"], np.sqrt(((affect - true_affect) ** 2).mean(0))[1]
    )


def test_weights_count_a_subject_as_often_as_it_was_drawn() -> None:
    added, p, target, affect, true_affect, subject = sums(1)
    weights = np.array([[2.0, 0, 1, 0, 0]])
    chosen = np.concatenate([np.flatnonzero(subject == s) for s in (0, 0, 2)])
    again = subject_sums(
        p[chosen], affect[chosen], target[chosen], true_affect[chosen], subject[chosen], 5, 10
    )
    drawn, repeated = measures(pool(added, weights, 0)), measures(pool(again, np.ones((1, 5)), 0))
    for name, value in drawn.items():
        np.testing.assert_allclose(value, repeated[name])


def test_calibration_error_knows_perfect_and_overconfident() -> None:
    target = np.eye(2)[[0, 0, 0, 1]]
    unknown = np.full((4, 2), np.nan)
    subject = np.zeros(4, int)

    def ece(confidence: float) -> float:
        p = np.tile([confidence, 1 - confidence], (4, 1))
        added = subject_sums(p, unknown, target, unknown, subject, 1, 10)
        return float(measures(added)["ece"][0])

    np.testing.assert_allclose(ece(0.75), 0, atol=1e-12)
    np.testing.assert_allclose(ece(0.99), 0.24)


def test_nothing_known_is_nan_not_zero() -> None:
    unknown = np.full((3, 2), np.nan)
    added = subject_sums(unknown, unknown, unknown, unknown, np.zeros(3, int), 1, 10)
    assert all(np.isnan(value).all() for value in measures(added).values())

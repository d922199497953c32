import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn import metrics as sklearn_metrics

from consilience.evaluation.metrics import (
    LEVELS,
    aurc,
    auroc,
    exact_areas,
    levels,
    measures,
    pool,
    ranking,
    spearman,
    subject_sums,
)


def sums(seed: int, n: int = 80, n_classes: int = 4, n_subjects: int = 5) -> tuple:
    rng = np.random.default_rng(seed)
    probability = rng.dirichlet(np.ones(n_classes), n)
    target = rng.dirichlet(np.ones(n_classes), n)
    affect, true_affect = rng.normal(size=(2, n, 2))
    subject = rng.integers(0, n_subjects, n)
    added = subject_sums(probability, affect, target, true_affect, subject, n_subjects, 10)
    return added, probability, target, affect, true_affect, subject


def plain_aurc(confidence: np.ndarray, right: np.ndarray) -> float:
    wrong = ~right[np.argsort(-confidence, kind="stable")]
    return float((np.cumsum(wrong) / np.arange(1, len(wrong) + 1)).mean())


@given(st.integers(0, 500))
@settings(max_examples=20)
def test_pooled_metrics_equal_those_of_all_windows(seed: int) -> None:
    added, p, target, affect, true_affect, _ = sums(seed)
    result = {name: value[0] for name, value in measures(pool(added, np.ones((1, 5)), 0)).items()}
    truth, guess = target.argmax(1), p.argmax(1)
    score = sklearn_metrics.balanced_accuracy_score(truth, guess)
    np.testing.assert_allclose(result["balanced_accuracy"], score)
    f1 = sklearn_metrics.f1_score(truth, guess, average="macro", labels=np.unique(truth))
    np.testing.assert_allclose(result["macro_f1"], f1)
    np.testing.assert_allclose(result["nll"], sklearn_metrics.log_loss(truth, p, labels=range(4)))
    np.testing.assert_allclose(result["brier"], ((p - np.eye(4)[truth]) ** 2).sum(1).mean())
    x, y = affect[:, 0], true_affect[:, 0]
    ccc = 2 * np.cov(x, y, ddof=0)[0, 1] / (x.var() + y.var() + (x.mean() - y.mean()) ** 2)
    np.testing.assert_allclose(result["valence_ccc"], ccc)
    np.testing.assert_allclose(
        result["arousal_rmse"], np.sqrt(((affect - true_affect) ** 2).mean(0))[1]
    )
    np.testing.assert_allclose(result["aurc"], plain_aurc(p.max(1), guess == truth))
    np.testing.assert_allclose(
        result["failure_auroc"], sklearn_metrics.roc_auc_score(guess == truth, p.max(1))
    )


def test_weights_count_a_subject_as_often_as_it_was_drawn() -> None:
    added, p, target, affect, true_affect, subject = sums(1)
    weights = np.array([[2.0, 0, 1, 0, 0]])
    chosen = np.concatenate([np.flatnonzero(subject == s) for s in (0, 0, 2)])
    again = subject_sums(
        p[chosen], affect[chosen], target[chosen], true_affect[chosen], subject[chosen], 5, 10
    )
    drawn, repeated = measures(pool(added, weights, 0)), measures(pool(again, np.ones((1, 5)), 0))
    del drawn["adaptive_ece"], repeated["adaptive_ece"]  # its bins stay those of the sample
    for name, value in drawn.items():
        np.testing.assert_allclose(value, repeated[name])


def test_calibration_error_of_perfect_and_overconfident_predictions() -> None:
    target = np.eye(2)[[0, 0, 0, 1]]
    unknown = np.full((4, 2), np.nan)
    subject = np.zeros(4, int)

    def errors(confidence: float) -> list[float]:
        p = np.tile([confidence, 1 - confidence], (4, 1))
        result = measures(subject_sums(p, unknown, target, unknown, subject, 1, 10))
        return [result["ece"].item(), result["adaptive_ece"].item()]

    np.testing.assert_allclose(errors(0.75), 0, atol=1e-12)
    np.testing.assert_allclose(errors(0.99), 0.24)


def test_adaptive_bins_hold_equally_many_windows() -> None:
    rng = np.random.default_rng(0)
    p = rng.dirichlet(np.full(3, 0.1), 300)
    added = subject_sums(p, p[:, :2], p, p[:, :2], np.zeros(300, int), 1, 15)
    np.testing.assert_array_equal(added["adaptive_bins"][0, :, 0], 20)


def test_nothing_known_is_nan_not_zero() -> None:
    unknown = np.full((3, 2), np.nan)
    added = subject_sums(unknown, unknown, unknown, unknown, np.zeros(3, int), 1, 10)
    assert all(np.isnan(value).all() for value in measures(added).values())


@given(st.integers(0, 500), st.integers(1, 400))
@settings(max_examples=40)
def test_levels_keep_the_order_and_hold_ties_together(seed: int, n: int) -> None:
    score = np.random.default_rng(seed).integers(0, 50, n).astype(float)
    result = levels(score, LEVELS)
    order = np.argsort(-score)
    assert (np.diff(result[order]) >= 0).all()
    assert 0 <= result.min() <= result.max() < LEVELS
    for value in np.unique(score):
        assert len(set(result[score == value])) == 1


@given(st.integers(0, 500))
@settings(max_examples=20)
def test_many_windows_share_levels_and_hardly_move_the_areas(seed: int) -> None:
    rng = np.random.default_rng(seed)
    confidence = rng.random(5000)
    right = rng.random(5000) < 0.3 + 0.6 * confidence
    counts = ranking(confidence, right, np.zeros(5000, int), 1)[0]
    np.testing.assert_allclose(aurc(counts), plain_aurc(confidence, right), atol=1e-3)
    exact = sklearn_metrics.roc_auc_score(right, confidence)
    np.testing.assert_allclose(auroc(counts), exact, atol=1e-3)
    by_window = exact_areas(confidence, right)
    np.testing.assert_allclose(by_window, (exact, plain_aurc(confidence, right)))


def test_areas_know_their_limits() -> None:
    def areas(confidence: list[float], right: list[bool]) -> tuple[float, float]:
        owner = np.zeros(len(right), int)
        counts = ranking(np.array(confidence), np.array(right), owner, 1)[0]
        return float(aurc(counts)), float(auroc(counts))

    assert areas([0.9, 0.8, 0.1], [True, True, False]) == (1 / 9, 1)
    assert areas([0.9, 0.8, 0.1], [False, True, True])[1] == 0
    assert areas([0.5, 0.5], [True, False])[1] == 0.5
    assert areas([0.5, 0.6], [True, True])[0] == 0
    assert np.isnan(areas([0.5, 0.6], [True, True])[1])


@given(st.lists(st.integers(0, 5), min_size=3, max_size=8))
def test_spearman_is_that_of_scipy(values: list[int]) -> None:
    result = spearman(np.array(values, float))
    if len(set(values)) == 1:
        assert np.isnan(result)
    else:
        expected = stats.spearmanr(values, range(len(values))).statistic
        np.testing.assert_allclose(result, expected, atol=1e-12)

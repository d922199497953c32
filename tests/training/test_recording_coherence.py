"""Coherence of a recording: values computed by hand, and simulated recordings."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from consilience.training import recording_coherence
from consilience.training.recording_coherence import (
    LAPSE,
    SensorEvidence,
    cross_fitted_sharpness,
    log_likelihood_ratios,
    mismatch_probability,
    sensor_evidence,
    sharpened,
)

Array = NDArray[np.float64]


@pytest.fixture
def without_lapses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave the probabilities as they are, for values computed by hand."""
    monkeypatch.setattr(recording_coherence, "LAPSE", 0.0)


def evidence_of(probability: object, prior: object, available: object = None) -> SensorEvidence:
    """Return the evidence of N windows under one prior."""
    values = np.array(probability, dtype=float)
    present = np.ones(values.shape[:2], bool) if available is None else np.array(available)
    return sensor_evidence(values, present, np.tile(np.array(prior), (len(values), 1)))


@pytest.mark.usefixtures("without_lapses")
def test_ratios_of_three_sensors_equal_a_hand_computation() -> None:
    # pi = (.5, .5): Z(abc) = 2^2 (.8 .6 .3 + .2 .4 .7) = .8
    # Z(bc) = 2 (.6 .3 + .4 .7) = .92, Z(ac) = 2 (.8 .3 + .2 .7) = .76, Z(ab) = 2 (.48 + .08) = 1.12
    evidence = evidence_of([[(0.8, 0.2), (0.6, 0.4), (0.3, 0.7)]], (0.5, 0.5))
    expected = np.log([0.8 / 0.92, 0.8 / 0.76, 0.8 / 1.12])
    np.testing.assert_allclose(log_likelihood_ratios(evidence), [expected])


@pytest.mark.usefixtures("without_lapses")
def test_the_prior_counts_once_however_many_sensors() -> None:
    # pi = (.9, .1): Z(ab) = .9 (.9 / .9) (.5 / .9) + .1 (.1 / .1) (.5 / .1) = .5 + .5
    evidence = evidence_of([[(0.9, 0.1), (0.5, 0.5)]], (0.9, 0.1))
    np.testing.assert_allclose(log_likelihood_ratios(evidence), 0, atol=1e-12)


@pytest.mark.usefixtures("without_lapses")
def test_a_window_without_a_sensor_compares_the_others_only() -> None:
    probability = [[(0.8, 0.2), (0.6, 0.4), (np.nan, np.nan)], [(0.8, 0.2), (0.1, 0.9), (0.5, 0.5)]]
    available = [[True, True, False], [True, False, False]]
    ratios = log_likelihood_ratios(evidence_of(probability, (0.5, 0.5), available))
    np.testing.assert_allclose(ratios[0], [np.log(1.12), np.log(1.12), 0])
    assert (ratios[1] == 0).all()  # a single sensor contradicts none


def test_uniform_predictions_neither_agree_nor_contradict() -> None:
    evidence = evidence_of(np.full((5, 3, 4), 0.25), np.full(4, 0.25))
    np.testing.assert_allclose(log_likelihood_ratios(evidence), 0, atol=1e-12)


def test_certain_predictions_of_different_classes_stay_finite() -> None:
    evidence = evidence_of([[(1, 0, 0), (0, 1, 0)]], np.full(3, 1 / 3))
    likely, rare = 1 - 2 * LAPSE / 3, LAPSE / 3
    expected = np.log(3 * (2 * likely * rare + rare * rare))
    np.testing.assert_allclose(log_likelihood_ratios(evidence), [[expected, expected]])
    never_trained = evidence_of([[(1, 0, 0), (0, 0, 1)]], (0.5, 0.5, 0.0))
    assert np.isfinite(log_likelihood_ratios(never_trained)).all()


def test_probabilities_are_a_softmax_over_no_mismatch_and_each_sensor() -> None:
    probability = mismatch_probability(np.array([-3.0, 1.0, 2.0]), 0.3)
    weights = np.array([0.7, 0.1 * np.exp(3), 0.1 * np.exp(-1), 0.1 * np.exp(-2)])
    np.testing.assert_allclose(probability, weights[1:] / weights.sum())
    assert mismatch_probability(np.zeros(0), 0.3).shape == (0,)
    # A long recording: the exponential alone would overflow.
    np.testing.assert_allclose(mismatch_probability(np.array([-9e3, 5.0]), 0.05), [1, 0])


def test_of_two_sensors_none_is_more_probable_than_all_else() -> None:
    for llr in (-50.0, 0.0, 50.0):
        probability = mismatch_probability(np.array([llr, llr]), 0.5)
        assert probability[0] == probability[1] <= 0.5
    assert mismatch_probability(np.array([-50.0, -50.0]), 0.5).sum() == pytest.approx(1)


def recording(n_windows: int) -> Array:
    """Return predictions of three sensors, the first of which shows other states."""
    rng = np.random.default_rng(0)
    states = rng.integers(3, size=(2, n_windows))
    predictions = [
        0.5 * np.eye(3)[states[min(1, m)]] + 0.5 * rng.dirichlet(np.ones(3), n_windows)
        for m in range(3)
    ]
    return np.stack(predictions, 1)


def test_an_unrelated_sensor_is_mismatched_and_the_others_are_not() -> None:
    evidence = evidence_of(recording(40), np.full(3, 1 / 3))
    llr = log_likelihood_ratios(evidence).sum(0)
    probability = mismatch_probability(llr, 0.05)
    assert probability[0] > 0.99
    assert llr[0] < 0 < llr[1]


def calibration_case(
    sharpness: float, n_windows: int = 4000, prior: tuple[float, ...] = (0.5, 0.3, 0.2)
) -> tuple[Array, Array]:
    """Return predictions to the power of `sharpness` of calibrated ones, and one-hot labels."""
    rng = np.random.default_rng(3)
    truth = rng.choice(3, n_windows, p=prior)
    scores = np.log(prior) + 1.5**2 * np.eye(3)[truth] + 1.5 * rng.normal(size=(n_windows, 3))
    posterior = np.exp(scores - scores.max(1, keepdims=True))
    posterior /= posterior.sum(1, keepdims=True)
    return sharpened(posterior, np.full(n_windows, sharpness)), np.eye(3)[truth]


@pytest.mark.parametrize("sharpness", [0.5, 1.0, 2.5])
def test_the_temperature_of_calibrated_predictions_is_recovered(sharpness: float) -> None:
    # Normal scores of variance 1.5^2 and a mean difference of 1.5^2 are the log posterior.
    probability, target = calibration_case(sharpness)
    prior = np.tile((0.5, 0.3, 0.2), (len(target), 1))
    fold = np.arange(len(target)) % 4
    fitted = cross_fitted_sharpness(probability, target, prior, fold)
    np.testing.assert_allclose(fitted, 1 / sharpness, rtol=0.1)


def test_labels_of_other_frequencies_than_in_training_are_weighted() -> None:
    probability, target = calibration_case(1.0, prior=(1 / 3, 1 / 3, 1 / 3))
    # One window in five of two classes is kept: posteriors of balanced classes stay calibrated.
    rare = target[:, 0] == 1
    kept = rare | (np.arange(len(target)) % 5 == 0)
    prior = np.full((kept.sum(), 3), 1 / 3)
    fold = np.arange(kept.sum()) % 2
    fitted = cross_fitted_sharpness(probability[kept], target[kept], prior, fold)
    np.testing.assert_allclose(fitted, 1, rtol=0.1)


def test_a_fold_is_calibrated_by_the_labels_of_the_others_only() -> None:
    probability, target = calibration_case(1.0, 1200)
    prior = np.tile((0.5, 0.3, 0.2), (1200, 1))
    fold = np.repeat([0, 1, -1], 400)
    probability[fold < 0] = np.nan
    before = cross_fitted_sharpness(probability, target, prior, fold)
    changed = target.copy()
    changed[fold == 0] = np.roll(changed[fold == 0], 1, axis=1)
    after = cross_fitted_sharpness(probability, changed, prior, fold)
    assert (before[fold == 0] == after[fold == 0]).all()
    assert (before[fold == 1] > after[fold == 1]).all()
    target[fold == 1] = np.nan
    assert (cross_fitted_sharpness(probability, target, prior, fold)[fold == 0] == 1).all()


def test_sharpened_probabilities_keep_certainties_finite() -> None:
    powers = sharpened(np.array([(0.5, 0.5), (0.8, 0.2), (1.0, 0.0)]), np.array([2.0, 2.0, 0.5]))
    np.testing.assert_allclose(powers[:2], [(0.5, 0.5), (0.64 / 0.68, 0.04 / 0.68)])
    np.testing.assert_allclose(powers[2], (1, 1e-6), atol=1e-5)

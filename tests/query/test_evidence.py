"""What predictions for people held out indicate about labels and sensors."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import mannwhitneyu

from consilience.query.evidence import (
    disagreement,
    entropy,
    label_accuracy,
    label_distrust,
    pooled,
)
from tests.query.small import TRUTH, WRONG, K, N, evidence, unlabelled


def test_wrong_labels_have_the_highest_distrust() -> None:
    distrust = label_distrust(evidence())
    wrong = np.isin(np.arange(N), WRONG)
    area = mannwhitneyu(distrust[wrong], distrust[~wrong]).statistic / wrong.sum() / (~wrong).sum()
    assert area > 0.97
    assert np.all((distrust >= 0) & (distrust <= 1))


def test_distrust_is_the_posterior_of_bayes_rule(monkeypatch: pytest.MonkeyPatch) -> None:
    of = evidence()
    monkeypatch.setattr("consilience.query.evidence.label_accuracy", lambda _: 0.8)
    monkeypatch.setattr("consilience.query.evidence.SHARPNESS", (1.0,))
    q, label = pooled(of), of.target.argmax(1)
    for row in range(5):
        likelihood = np.where(np.arange(K) == label[row], 0.8, 0.1)
        right = 0.8 * q[row, label[row]] / (likelihood * q[row]).sum()
        assert label_distrust(of)[row] == pytest.approx(1 - right)


def test_the_accuracy_of_labels_is_estimated_without_right_ones() -> None:
    rng = np.random.default_rng(0)
    of = evidence(sharpness=2.0)
    for accuracy in (0.95, 0.6):
        wrong = rng.random(N) > accuracy
        label = np.where(wrong, (TRUTH + rng.integers(1, K, N)) % K, TRUTH)
        estimated = label_accuracy(replace(of, target=np.eye(K)[label]))
        assert estimated == pytest.approx(1 - wrong.mean(), abs=0.08)


def test_an_unlabelled_window_is_doubtful_as_far_as_its_class_is_uncertain() -> None:
    of = unlabelled(evidence())
    np.testing.assert_allclose(label_distrust(of), 1 - pooled(of).max(1))


def test_windows_without_prediction_have_no_distrust() -> None:
    of = evidence()
    of.probability[:, 3] = np.nan
    assert np.flatnonzero(np.isnan(label_distrust(of))).tolist() == [3]


def test_an_unreliable_sensor_does_not_count() -> None:
    of = evidence()
    of.sensors[:, 1] = np.roll(of.sensors[:, 1], 1, -1)  # the second sensor is mismatched
    reliability = np.tile([1.0, 0.0], (N, 1))
    trusting, careful = (of, replace(of, reliability=reliability))
    assert (pooled(careful).argmax(1) == TRUTH).mean() > 0.95
    assert (pooled(trusting).argmax(1) == TRUTH).mean() < 0.8
    assert disagreement(careful).max() == pytest.approx(0, abs=1e-9)
    assert disagreement(trusting).mean() > 0.3


def test_disagreement_is_one_for_certain_sensors_that_contradict_and_zero_for_one() -> None:
    of = evidence()
    of.sensors[0] = [[1, 0, 0], [0, 1, 0]]
    of.sensors[1] = [[1, 0, 0], [1, 0, 0]]
    of.available[2, 1] = False
    values = disagreement(of)
    assert values[:3] == pytest.approx([1, 0, 0], abs=1e-9)


def test_entropy_is_in_nats() -> None:
    assert entropy(np.full((1, 4), 0.25)) == pytest.approx([np.log(4)])

"""Label estimates must not depend on the windows' own labels, and must detect wrong labels."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.stats import rankdata
from torch import Tensor

from consilience.training import label_reliability
from consilience.training.label_reliability import (
    LabelEstimate,
    cross_fitted,
    estimate_labels,
    triangulated,
)

CLASSES, DIMS, PER_SUBJECT = 4, 6, 60

Labels = NDArray[np.float32]


class Simulated(NamedTuple):
    """Windows whose true class moves each sensor's normal distribution along an axis of its own."""

    prepared: dict[str, Tensor]
    available: NDArray[np.bool_]
    subject: NDArray[np.str_]
    truth: NDArray[np.int64]
    label: NDArray[np.int64]

    @property
    def target(self) -> Labels:
        return np.eye(CLASSES, dtype=np.float32)[self.label]

    def estimate(self, target: Labels | None = None, rows: object = None) -> LabelEstimate:
        labels = self.target if target is None else target
        train = np.arange(len(labels)) if rows is None else np.asarray(rows)
        return cross_fitted(self.prepared, self.available, labels, self.subject, train)


def simulate(
    seed: int, *, noise: float = 0.0, apart: float = 2.0, sensors: int = 3, subjects: int = 8
) -> Simulated:
    rng = np.random.default_rng(seed)
    n = subjects * PER_SUBJECT
    truth = rng.integers(0, CLASSES, n)
    means = apart * np.eye(CLASSES, DIMS)
    prepared = {
        f"sensor_{m}": torch.from_numpy(means[truth] + rng.normal(size=(n, DIMS))).float()
        for m in range(sensors)
    }
    wrong = rng.random(n) < noise
    return Simulated(
        prepared,
        np.ones((n, sensors), bool),
        np.repeat([f"p{i}" for i in range(subjects)], PER_SUBJECT),
        truth,
        np.where(wrong, (truth + rng.integers(1, CLASSES, n)) % CLASSES, truth),
    )


def scores(probability: NDArray[np.float64]) -> NDArray[np.float64]:
    """Undo the softmax but for the sharpness."""
    log = np.log(probability)
    return log - log.mean(-1, keepdims=True)


def auroc(score: NDArray[np.float64], positive: NDArray[np.bool_]) -> float:
    n = positive.sum()
    ranks = rankdata(score)[positive].sum() - n * (n + 1) / 2
    return float(ranks / (n * (~positive).sum()))


def relabelled(one: Simulated, chosen: NDArray[np.bool_]) -> Labels:
    target = one.target.copy()
    target[chosen] = np.roll(target[chosen], 1, axis=1)
    return target


@pytest.fixture(params=["a window", "a subject"])
def chosen(request: pytest.FixtureRequest) -> NDArray[np.bool_]:
    """Mask of the windows whose labels are changed."""
    one = simulate(0)
    of_subject = one.subject == "p2"
    return of_subject if request.param == "a subject" else np.arange(len(one.label)) == 130


def test_labels_change_the_sharpness_of_their_own_windows_estimates_only(
    chosen: NDArray[np.bool_],
) -> None:
    one = simulate(0, noise=0.2, apart=1.0)
    own = one.subject == "p2"
    before = scores(one.estimate().probability[own])
    after = scores(one.estimate(relabelled(one, chosen)).probability[own])
    sharper = (before * after).sum() / (before * before).sum()
    np.testing.assert_allclose(after, sharper * before, rtol=1e-9, atol=1e-9)
    grid = np.array(label_reliability.SHARPNESS)
    assert np.abs(grid[:, None] / grid - sharper).min() < 1e-9


def test_at_a_fixed_sharpness_labels_change_other_subjects_windows_only(
    chosen: NDArray[np.bool_], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(label_reliability, "SHARPNESS", (5.0,))
    one = simulate(0, noise=0.2, apart=1.0)
    own = one.subject == "p2"
    before = one.estimate().probability
    after = one.estimate(relabelled(one, chosen)).probability
    np.testing.assert_array_equal(before[own], after[own])
    changed = {str(name) for name in one.subject[(before != after).any(1)]}
    assert {"p1", "p3"} <= changed


def test_the_estimate_depends_on_the_windows_content() -> None:
    one = simulate(0)
    turned = one.prepared["sensor_0"].clone()
    turned[130] = turned[130].roll(1)
    other = one._replace(prepared={**one.prepared, "sensor_0": turned})
    assert (one.estimate().probability[130] != other.estimate().probability[130]).any()


def test_windows_outside_the_training_set_are_uniform_and_have_no_influence() -> None:
    one = simulate(0, noise=0.2)
    rows = np.flatnonzero(~np.isin(one.subject, ["p6", "p7"]))
    others = np.setdiff1d(np.arange(len(one.label)), rows)
    estimate = one.estimate(rows=rows)
    assert (estimate.probability[others] == 1 / CLASSES).all()
    assert (estimate.probability[rows].max(1) > 1 / CLASSES).all()
    content = {name: values.clone() for name, values in one.prepared.items()}
    for values in content.values():
        values[others] = torch.nan
    target = one.target
    target[others[::2]] = 0.25
    target[others[1::2]] = np.nan
    again = one._replace(prepared=content).estimate(target, rows)
    np.testing.assert_array_equal(estimate.probability, again.probability)
    assert estimate.reliability == again.reliability


def test_unlabelled_windows_are_uniform_and_have_no_influence() -> None:
    one = simulate(1)
    unlabelled = np.isin(one.subject, ["p0", "p5"]) | (np.arange(len(one.label)) % 3 == 0)
    target = one.target
    target[unlabelled] = np.nan
    estimate = one.estimate(target)
    assert (estimate.probability[unlabelled] == 1 / CLASSES).all()
    labelled = one.estimate(one.target, np.flatnonzero(~unlabelled))
    np.testing.assert_array_equal(estimate.probability, labelled.probability)
    assert estimate.reliability == labelled.reliability > 0.95


def test_clean_labels_are_reliable() -> None:
    for seed in range(3):
        assert simulate(seed).estimate().reliability > 0.97


@pytest.mark.parametrize("sensors", [2, 3])
@pytest.mark.parametrize("noise", [0.2, 0.4])
def test_the_reliability_of_noisy_labels_is_estimated(noise: float, sensors: int) -> None:
    for seed in range(3):
        one = simulate(seed, noise=noise, sensors=sensors, subjects=12)
        right = (one.label == one.truth).mean()
        expected = (CLASSES * right - 1) / (CLASSES - 1)
        assert one.estimate().reliability == pytest.approx(expected, abs=0.06)


def test_a_hard_task_is_not_mistaken_for_noisy_labels() -> None:
    one = simulate(0, apart=0.8, subjects=24)
    estimate = one.estimate()
    alone = one._replace(
        prepared={"sensor_0": one.prepared["sensor_0"]}, available=one.available[:, :1]
    )
    assert (alone.estimate().probability.argmax(1) == one.truth).mean() < 0.6
    assert estimate.reliability > 0.9


def test_random_labels_are_unreliable() -> None:
    one = simulate(0)
    random = one._replace(label=np.random.default_rng(5).permutation(one.label))
    assert random.estimate().reliability < 0.2


@pytest.mark.parametrize("noise", [0.2, 0.4])
def test_wrong_labels_are_detected_and_right_ones_restored(noise: float) -> None:
    one = simulate(2, noise=noise)
    probability = one.estimate().probability
    doubt = 1 - probability[np.arange(len(one.label)), one.label]
    wrong = one.label != one.truth
    assert auroc(doubt, wrong) > 0.95
    assert (probability.argmax(1) == one.truth)[wrong].mean() > 0.85


@pytest.mark.parametrize("noise", [0.0, 0.4])
def test_estimates_are_calibrated_whatever_the_label_noise(noise: float) -> None:
    one = simulate(3, noise=noise, apart=1.5, subjects=12)
    probability = one.estimate().probability
    right = (probability.argmax(1) == one.truth).mean()
    assert probability.max(1).mean() == pytest.approx(right, abs=0.06)


def test_wrong_labels_are_detected_in_a_hard_task_too() -> None:
    one = simulate(2, noise=0.2, apart=1.0)
    doubt = 1 - one.estimate().probability[np.arange(len(one.label)), one.label]
    assert auroc(doubt, one.label != one.truth) > 0.85


def test_one_sensor_cannot_estimate_reliability_and_labels_are_trusted() -> None:
    one = simulate(0, noise=0.4, sensors=1)
    estimate = one.estimate()
    assert estimate.reliability == 1.0
    assert (estimate.probability.argmax(1) == one.truth).mean() > 0.7


def test_sensors_without_common_windows_cannot_estimate_reliability() -> None:
    one = simulate(0, noise=0.4, sensors=2)
    first = np.arange(len(one.label)) % 2 == 0
    apart = one._replace(available=np.stack([first, ~first], 1))
    assert apart.estimate().reliability == 1.0


@pytest.mark.parametrize("labelled", [1, 2, 3])
def test_few_labelled_subjects_cannot_estimate_reliability(labelled: int) -> None:
    one = simulate(0, noise=0.4)
    target = one.target
    target[~np.isin(one.subject, [f"p{i}" for i in range(labelled)])] = np.nan
    assert one.estimate(target).reliability == 1.0


def test_missing_sensors_are_ignored() -> None:
    one = simulate(3, noise=0.2)
    available = np.random.default_rng(0).random(one.available.shape) < 0.7
    partly = one._replace(available=available)
    estimate = partly.estimate()
    nothing = ~available.any(1)
    assert nothing.any()
    np.testing.assert_allclose(estimate.probability[nothing], 1 / CLASSES)
    assert (estimate.probability.argmax(1) == one.truth)[~nothing].mean() > 0.9
    assert estimate.reliability == pytest.approx((CLASSES * 0.8 - 1) / (CLASSES - 1), abs=0.1)
    content = {
        name: torch.where(torch.from_numpy(available[:, m, None]), values, torch.nan)
        for m, (name, values) in enumerate(one.prepared.items())
    }
    again = partly._replace(prepared=content).estimate()
    np.testing.assert_array_equal(estimate.probability, again.probability)


def test_the_order_of_the_runs_does_not_matter() -> None:
    one = simulate(0, noise=0.2)
    all_rows = np.arange(len(one.label))
    shifted = relabelled(one, one.subject == "p1")
    cases = [(one.target, all_rows), (shifted, all_rows), (one.target, all_rows[:240])]
    cases.append(cases[0])

    def estimated(order: list[int]) -> tuple[Tensor, Tensor]:
        targets, rows = zip(*(cases[place] for place in order), strict=True)
        return estimate_labels(lambda _: one.prepared, one.available, targets, one.subject, rows)

    probability, reliability = estimated([0, 1, 2, 3])
    assert probability.shape == (4, len(one.label), CLASSES)
    assert torch.equal(probability[0], probability[3])
    assert len({probability[run].numpy().tobytes() for run in range(3)}) == 3
    order = [3, 2, 0, 1]
    again, trusted = estimated(order)
    assert torch.equal(again, probability[order])
    assert torch.equal(trusted, reliability[order])
    alone = one.estimate(shifted)
    np.testing.assert_allclose(probability[1], alone.probability, rtol=1e-6)
    assert float(reliability[1]) == pytest.approx(alone.reliability)


def test_raters_that_err_independently_give_the_reliability_of_the_labels() -> None:
    rng = np.random.default_rng(0)
    truth = rng.integers(0, CLASSES, 8000)

    def rated(reliability: float) -> NDArray[np.int64]:
        guesses = rng.integers(0, CLASSES, len(truth))
        return np.where(rng.random(len(truth)) < reliability, truth, guesses)

    named, label = np.stack([rated(0.8), rated(0.6), rated(0.7)], 1), rated(0.75)
    everywhere = np.ones(named.shape, bool)
    assert triangulated(named, everywhere, label, CLASSES) == pytest.approx(0.75, abs=0.03)
    assert triangulated(named[:3], everywhere[:3], label[:3], CLASSES) == 1  # fewer than classes
    assert triangulated(named, everywhere & [True, False, False], label, CLASSES) == 1

"""Targets of unlabelled windows: formulas, recordings with a mismatched sensor, and leaks."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.special import softmax
from torch import Tensor

from consilience.schema.params.plugins import TransferParams
from consilience.training.probes import cross_fitted_scores
from consilience.training.recording_coherence import sensor_evidence
from consilience.training.soft_targets import (
    SoftTargets,
    Windows,
    soft_targets,
    targets_of_runs,
)

CLASSES, DIMS, PER_SUBJECT, SENSORS = 4, 6, 40, 3
UNALIGNED = TransferParams(align_classes=False)

Labels = NDArray[np.float32]


class Simulated(NamedTuple):
    """Subjects whose true class moves each sensor's normal distribution along its own axis."""

    prepared: dict[str, Tensor]
    windows: Windows
    truth: NDArray[np.int64]

    def target(self, *labelled: str) -> Labels:
        """Return the labels of some subjects, NaN for the others."""
        target = np.eye(CLASSES, dtype=np.float32)[self.truth]
        target[~np.isin(self.windows.subject, labelled)] = np.nan
        return target

    def estimate(self, target: Labels, params: TransferParams | None = None) -> SoftTargets:
        drawn = np.arange(len(self.truth))
        return soft_targets(self.prepared, self.windows, target, drawn, params or TransferParams())


def simulate(seed: int = 0, apart: float = 1.5, subjects: int = 10, rare: float = 1.0) -> Simulated:
    rng = np.random.default_rng(seed)
    n = subjects * PER_SUBJECT
    chances = np.array([rare, 1.0, 1.0, 1.0]) / (3 + rare)
    truth = rng.choice(CLASSES, n, p=chances)
    prepared = {
        f"sensor_{m}": torch.from_numpy(
            apart * rng.permutation(np.eye(CLASSES, DIMS))[truth] + rng.normal(size=(n, DIMS))
        ).float()
        for m in range(SENSORS)
    }
    subject = np.repeat([f"p{i}" for i in range(subjects)], PER_SUBJECT)
    return Simulated(prepared, Windows(np.ones((n, SENSORS), bool), subject, subject), truth)


def mismatched(one: Simulated, sensor: int, subject: str, donor: str) -> Simulated:
    """Return windows whose sensor shows another subject throughout the recording."""
    values = one.prepared[f"sensor_{sensor}"].clone()
    of_donor = np.flatnonzero(one.windows.subject == donor)
    values[np.flatnonzero(one.windows.subject == subject)] = values[of_donor]
    return one._replace(prepared={**one.prepared, f"sensor_{sensor}": values})


def test_only_unlabelled_windows_get_a_target() -> None:
    one = simulate()
    target = one.target("p0", "p1", "p2")
    target[np.flatnonzero(one.windows.subject == "p1")[::2]] = np.nan
    estimate = one.estimate(target)
    unlabelled = np.isnan(target).any(1)
    assert np.isnan(estimate.probability[~unlabelled]).all()
    np.testing.assert_allclose(estimate.probability[unlabelled].sum(1), 1.0)
    assert (estimate.sensor_weight[~unlabelled] == 1).all()
    right = estimate.probability.argmax(1) == one.truth
    assert right[unlabelled].mean() > 0.85


def test_windows_outside_the_training_set_have_no_influence() -> None:
    one, target = simulate(), simulate().target("p0", "p1")
    rows = np.flatnonzero(~np.isin(one.windows.subject, ["p8", "p9"]))
    others = np.setdiff1d(np.arange(len(one.truth)), rows)
    params = TransferParams()
    estimate = soft_targets(one.prepared, one.windows, target, rows, params)
    assert np.isnan(estimate.probability[others]).all()
    assert (estimate.sensor_weight[others] == 1).all()
    content = {name: values.clone() for name, values in one.prepared.items()}
    for values in content.values():
        values[others] = torch.nan
    labelled = target.copy()
    labelled[others] = 1 / CLASSES
    again = soft_targets(content, one.windows, labelled, rows, params)
    np.testing.assert_array_equal(estimate.probability, again.probability)
    np.testing.assert_array_equal(estimate.sensor_weight, again.sensor_weight)


@pytest.mark.parametrize("weighting", ["coherence", "none"])
def test_the_target_is_the_product_of_the_experts(weighting: str) -> None:
    """With one round, no alignment, and the sharpness taken from the result of one sensor."""
    one = mismatched(simulate(apart=1.0), 1, "p5", "p6")
    target = one.target("p0", "p1", "p2", "p3")
    params = TransferParams(rounds=1, weighting=weighting, align_classes=False)
    estimate = one.estimate(target, params)
    labelled = np.isfinite(target).all(1)
    prior = target[labelled].mean(0).astype(float)
    ratios = np.zeros((SENSORS, len(target), CLASSES))
    for m, name in enumerate(one.prepared):
        available = np.zeros((len(target), SENSORS), bool)
        available[:, m] = True
        alone = one._replace(windows=one.windows._replace(available=available))
        mixed = alone.estimate(target, params).probability
        ratios[m] = np.log(mixed / prior)
        scores = cross_fitted_scores(
            {name: one.prepared[name]},
            np.arange(len(target)),
            np.ones((len(target), 1), bool),
            target.astype(float),
            np.isfinite(target).all(1)[:, None].astype(float),
            np.where(labelled, 0, 1),
        )[0]
        # The ranking of the classes follows the scores of the expert that saw all labels.
        logits = np.log(mixed / prior)[~labelled]
        correlation = np.corrcoef(logits.ravel(), scores[~labelled].ravel())[0, 1]
        assert correlation > 0.95
    weight = estimate.sensor_weight.T[..., None]
    expected = softmax(np.log(prior) + (weight * ratios).sum(0), -1)
    np.testing.assert_allclose(
        estimate.probability[~labelled], expected[~labelled], rtol=1e-6, atol=1e-9
    )
    assert (weighting == "none") == bool((estimate.sensor_weight == 1).all())


def test_experts_are_calibrated_on_labels_they_were_not_trained_on() -> None:
    one = simulate(apart=1.0, subjects=16)
    target = one.target(*(f"p{i}" for i in range(6)))
    unlabelled = np.isnan(target).any(1)
    available = np.zeros((len(target), SENSORS), bool)
    available[:, 0] = True
    alone = one._replace(windows=one.windows._replace(available=available))
    params = TransferParams(rounds=1, align_classes=False)
    probability = alone.estimate(target, params).probability[unlabelled]
    right = probability.argmax(1) == one.truth[unlabelled]
    assert probability.max(1).mean() == pytest.approx(right.mean(), abs=0.06)


def test_a_sensor_mismatched_throughout_a_recording_gets_no_weight() -> None:
    one = mismatched(simulate(), 1, "p5", "p6")
    estimate = one.estimate(one.target("p0", "p1", "p2"))
    faulty = one.windows.subject == "p5"
    assert estimate.sensor_weight[faulty, 1].max() < 0.01
    assert estimate.sensor_weight[faulty][:, [0, 2]].min() > 0.9
    sound = ~faulty & np.isnan(one.target("p0", "p1", "p2")).any(1)
    assert estimate.sensor_weight[sound].min() > 0.9
    plain = one.estimate(one.target("p0", "p1", "p2"), TransferParams(weighting="none"))

    def log_likelihood(of: SoftTargets) -> float:
        of_truth = of.probability[faulty, one.truth[faulty]]
        return float(np.log(of_truth).mean())

    assert log_likelihood(estimate) > log_likelihood(plain) + 0.1


def test_coherence_is_accumulated_over_the_recording() -> None:
    """The windows of a recording share their weights; apart, few of them are decided."""
    one = mismatched(simulate(apart=1.0), 1, "p5", "p6")
    target, faulty = one.target("p0", "p1", "p2"), one.windows.subject == "p5"
    together = one.estimate(target).sensor_weight[faulty]
    assert (together == together[0]).all()
    apart = one.windows._replace(recording=np.arange(len(one.truth)))
    assert one._replace(windows=apart).estimate(target).sensor_weight[faulty, 1].mean() > 0.5


def test_two_sensors_share_a_contradiction() -> None:
    one = mismatched(simulate(), 1, "p5", "p6")
    two = np.ones((len(one.truth), SENSORS), bool)
    two[:, 2] = False
    pair = one._replace(windows=one.windows._replace(available=two))
    estimate = pair.estimate(one.target("p0", "p1", "p2"))
    faulty = one.windows.subject == "p5"
    np.testing.assert_allclose(estimate.sensor_weight[faulty][:, :2], 0.5, atol=0.01)
    assert (estimate.sensor_weight[faulty, 2] == 1).all()


def test_a_missing_sensor_is_ignored() -> None:
    one, target = simulate(), simulate().target("p0", "p1")
    available = np.random.default_rng(0).random((len(target), SENSORS)) < 0.7
    partly = one._replace(windows=one.windows._replace(available=available))
    estimate = partly.estimate(target)
    content = {
        name: torch.where(torch.from_numpy(available[:, m, None]), values, torch.nan)
        for m, (name, values) in enumerate(one.prepared.items())
    }
    again = partly._replace(prepared=content).estimate(target)
    np.testing.assert_array_equal(estimate.probability, again.probability)
    nothing = ~available.any(1) & np.isnan(target).any(1)
    assert nothing.any()
    prior = np.nanmean(target, 0)
    np.testing.assert_allclose(estimate.probability[nothing], prior[None].repeat(nothing.sum(), 0))


def test_targets_of_unlabelled_subjects_have_the_frequencies_of_the_labels() -> None:
    one = simulate(apart=0.7, rare=0.3)
    target = one.target("p0", "p1")
    unlabelled = np.isnan(target).any(1)
    frequency = np.nanmean(target, 0)
    aligned = one.estimate(target).probability[unlabelled].mean(0)
    np.testing.assert_allclose(aligned, frequency, atol=0.01)
    unaligned = one.estimate(target, UNALIGNED).probability[unlabelled].mean(0)
    assert np.abs(unaligned - frequency).max() > 0.03


def test_few_unlabelled_subjects_are_not_aligned() -> None:
    one = simulate(apart=0.7, subjects=5)
    target = one.target("p0", "p1")
    np.testing.assert_array_equal(
        one.estimate(target).probability, one.estimate(target, UNALIGNED).probability
    )


def test_windows_that_are_drawn_more_often_count_more() -> None:
    one, target = simulate(rare=0.3, apart=0.7), simulate(rare=0.3, apart=0.7).target("p0", "p1")
    rows = np.arange(len(target))
    rare = np.flatnonzero(np.nan_to_num(target)[:, 0] == 1)
    drawn = np.concatenate([rows, np.repeat(rare, 4)])
    unlabelled = np.isnan(target).any(1)
    plain = one.estimate(target).probability[unlabelled, 0].mean()
    more = soft_targets(one.prepared, one.windows, target, drawn, TransferParams())
    assert more.probability[unlabelled, 0].mean() > 2 * plain


def test_later_rounds_improve_the_targets() -> None:
    def right(rounds: int) -> float:
        shares = []
        for seed in range(4):
            one = simulate(seed, apart=1.0)
            target = one.target("p0")
            unlabelled = np.isnan(target).any(1)
            of_round = one.estimate(target, TransferParams(rounds=rounds)).probability
            shares.append((of_round.argmax(1) == one.truth)[unlabelled].mean())
        return float(np.mean(shares))

    assert right(2) > right(1) + 0.02


def test_a_single_labelled_subject_suffices() -> None:
    one = simulate()
    target = one.target("p3")
    unlabelled = np.isnan(target).any(1)
    probability = one.estimate(target).probability[unlabelled]
    assert (probability.argmax(1) == one.truth[unlabelled]).mean() > 0.8


def test_without_labels_there_is_no_target() -> None:
    one = simulate()
    estimate = one.estimate(one.target())
    assert np.isnan(estimate.probability).all()
    assert (estimate.sensor_weight == 1).all()


def test_too_few_labels_for_any_expert_give_the_class_frequencies() -> None:
    one = simulate()
    target = one.target("p0")
    target[CLASSES:] = np.nan
    params = TransferParams(rounds=1, align_classes=False)
    probability = one.estimate(target, params).probability[CLASSES:]
    np.testing.assert_allclose(probability, np.tile(target[:CLASSES].mean(0), (396, 1)), atol=1e-5)


def test_the_order_of_the_runs_does_not_matter() -> None:
    one = simulate()
    rows = np.arange(len(one.truth))
    cases = [(one.target("p0", "p1"), rows), (one.target("p2", "p3"), rows)]
    cases += [(one.target("p0", "p1"), rows[:320]), cases[0]]

    def estimated(order: list[int]) -> tuple[Tensor, Tensor]:
        targets, drawn = zip(*(cases[place] for place in order), strict=True)
        return targets_of_runs(
            lambda _: one.prepared, one.windows, targets, drawn, TransferParams()
        )

    probability, weight = estimated([0, 1, 2, 3])
    assert probability.shape == (4, len(rows), CLASSES)
    assert weight.shape == (4, len(rows), SENSORS)
    torch.testing.assert_close(probability[0], probability[3], equal_nan=True, rtol=0, atol=0)
    order = [3, 2, 0, 1]
    again, same = estimated(order)
    torch.testing.assert_close(again, probability[order], equal_nan=True, rtol=0, atol=0)
    torch.testing.assert_close(same, weight[order], rtol=0, atol=0)


def test_the_evidence_of_a_uniform_expert_changes_nothing() -> None:
    prior = np.array([[0.7, 0.1, 0.1, 0.1]])
    evidence = sensor_evidence(prior[:, None], np.ones((1, 1), bool), prior)
    np.testing.assert_allclose(evidence.log_ratios, 0.0, atol=1e-12)

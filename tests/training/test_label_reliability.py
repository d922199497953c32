"""What the sensors think of labels: they must not be told, and they must find who errs."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.stats import rankdata
from torch import Tensor

from consilience.training import label_reliability
from consilience.training.label_reliability import Consensus, cross_fitted, of_runs

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

    def judge(self, target: Labels | None = None, rows: object = None) -> Consensus:
        told = self.target if target is None else target
        asked = np.arange(len(told)) if rows is None else np.asarray(rows)
        return cross_fitted(self.prepared, self.available, told, self.subject, asked)


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
    """Tell whose labels are changed."""
    one = simulate(0)
    of_subject = one.subject == "p2"
    return of_subject if request.param == "a subject" else np.arange(len(one.label)) == 130


def test_labels_change_how_boldly_their_own_windows_are_judged_but_never_what_is_thought(
    chosen: NDArray[np.bool_],
) -> None:
    one = simulate(0, noise=0.2, apart=1.0)
    own = one.subject == "p2"
    before = scores(one.judge().probability[own])
    after = scores(one.judge(relabelled(one, chosen)).probability[own])
    bolder = (before * after).sum() / (before * before).sum()
    np.testing.assert_allclose(after, bolder * before, rtol=1e-9, atol=1e-9)
    grid = np.array(label_reliability.SHARPNESS)
    assert np.abs(grid[:, None] / grid - bolder).min() < 1e-9


def test_at_one_sharpness_labels_change_other_peoples_windows_only(
    chosen: NDArray[np.bool_], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(label_reliability, "SHARPNESS", (5.0,))
    one = simulate(0, noise=0.2, apart=1.0)
    own = one.subject == "p2"
    before = one.judge().probability
    after = one.judge(relabelled(one, chosen)).probability
    np.testing.assert_array_equal(before[own], after[own])
    changed = {str(name) for name in one.subject[(before != after).any(1)]}
    assert {"p1", "p3"} <= changed


def test_what_a_window_shows_is_what_it_is_judged_by() -> None:
    one = simulate(0)
    turned = one.prepared["sensor_0"].clone()
    turned[130] = turned[130].roll(1)
    other = one._replace(prepared={**one.prepared, "sensor_0": turned})
    assert (one.judge().probability[130] != other.judge().probability[130]).any()


def test_windows_that_are_no_training_windows_are_even_and_have_no_say() -> None:
    one = simulate(0, noise=0.2)
    rows = np.flatnonzero(~np.isin(one.subject, ["p6", "p7"]))
    others = np.setdiff1d(np.arange(len(one.label)), rows)
    found = one.judge(rows=rows)
    assert (found.probability[others] == 1 / CLASSES).all()
    assert (found.probability[rows].max(1) > 1 / CLASSES).all()
    content = {name: values.clone() for name, values in one.prepared.items()}
    for values in content.values():
        values[others] = torch.nan
    target = one.target
    target[others[::2]] = 0.25
    target[others[1::2]] = np.nan
    again = one._replace(prepared=content).judge(target, rows)
    np.testing.assert_array_equal(found.probability, again.probability)
    assert found.reliability == again.reliability


def test_windows_without_a_label_are_judged_whoever_they_are_of() -> None:
    one = simulate(1)
    unlabelled = np.isin(one.subject, ["p0", "p5"]) | (np.arange(len(one.label)) % 3 == 0)
    target = one.target
    target[unlabelled] = np.nan
    found = one.judge(target)
    np.testing.assert_allclose(found.probability.sum(1), 1.0)
    right = found.probability.argmax(1) == one.truth
    assert right[unlabelled].mean() > 0.9
    assert found.reliability > 0.95


def test_clean_labels_prove_reliable() -> None:
    for seed in range(3):
        assert simulate(seed).judge().reliability > 0.97


@pytest.mark.parametrize("sensors", [2, 3])
@pytest.mark.parametrize("noise", [0.2, 0.4])
def test_noisy_labels_prove_as_reliable_as_they_are(noise: float, sensors: int) -> None:
    for seed in range(3):
        one = simulate(seed, noise=noise, sensors=sensors, subjects=12)
        right = (one.label == one.truth).mean()
        expected = (CLASSES * right - 1) / (CLASSES - 1)
        assert one.judge().reliability == pytest.approx(expected, abs=0.06)


def test_a_hard_task_is_not_mistaken_for_noisy_labels() -> None:
    one = simulate(0, apart=0.8, subjects=24)
    found = one.judge()
    alone = one._replace(
        prepared={"sensor_0": one.prepared["sensor_0"]}, available=one.available[:, :1]
    )
    assert (alone.judge().probability.argmax(1) == one.truth).mean() < 0.6
    assert found.reliability > 0.9


def test_labels_drawn_by_lot_prove_worthless() -> None:
    one = simulate(0)
    lot = one._replace(label=np.random.default_rng(5).permutation(one.label))
    assert lot.judge().reliability < 0.2


@pytest.mark.parametrize("noise", [0.2, 0.4])
def test_wrong_labels_are_found_and_right_ones_restored(noise: float) -> None:
    one = simulate(2, noise=noise)
    probability = one.judge().probability
    doubt = 1 - probability[np.arange(len(one.label)), one.label]
    wrong = one.label != one.truth
    assert auroc(doubt, wrong) > 0.95
    assert (probability.argmax(1) == one.truth)[wrong].mean() > 0.85


@pytest.mark.parametrize("noise", [0.0, 0.4])
def test_it_is_as_sure_as_it_is_right_however_noisy_the_labels(noise: float) -> None:
    one = simulate(3, noise=noise, apart=1.5, subjects=12)
    probability = one.judge().probability
    right = (probability.argmax(1) == one.truth).mean()
    assert probability.max(1).mean() == pytest.approx(right, abs=0.06)


def test_wrong_labels_are_found_in_a_hard_task_too() -> None:
    one = simulate(2, noise=0.2, apart=1.0)
    doubt = 1 - one.judge().probability[np.arange(len(one.label)), one.label]
    assert auroc(doubt, one.label != one.truth) > 0.85


def test_one_sensor_alone_cannot_tell_of_labels_and_believes_them() -> None:
    one = simulate(0, noise=0.4, sensors=1)
    found = one.judge()
    assert found.reliability == 1.0
    assert (found.probability.argmax(1) == one.truth).mean() > 0.7


def test_sensors_that_never_meet_cannot_tell_either() -> None:
    one = simulate(0, noise=0.4, sensors=2)
    first = np.arange(len(one.label)) % 2 == 0
    apart = one._replace(available=np.stack([first, ~first], 1))
    assert apart.judge().reliability == 1.0


@pytest.mark.parametrize("labelled", [1, 2, 3])
def test_few_labelled_subjects_cannot_tell_either(labelled: int) -> None:
    one = simulate(0, noise=0.4)
    target = one.target
    target[~np.isin(one.subject, [f"p{i}" for i in range(labelled)])] = np.nan
    assert one.judge(target).reliability == 1.0


def test_missing_sensors_are_not_asked() -> None:
    one = simulate(3, noise=0.2)
    available = np.random.default_rng(0).random(one.available.shape) < 0.7
    partly = one._replace(available=available)
    found = partly.judge()
    nothing = ~available.any(1)
    assert nothing.any()
    np.testing.assert_allclose(found.probability[nothing], 1 / CLASSES)
    assert (found.probability.argmax(1) == one.truth)[~nothing].mean() > 0.9
    assert found.reliability == pytest.approx((CLASSES * 0.8 - 1) / (CLASSES - 1), abs=0.1)
    content = {
        name: torch.where(torch.from_numpy(available[:, m, None]), values, torch.nan)
        for m, (name, values) in enumerate(one.prepared.items())
    }
    again = partly._replace(prepared=content).judge()
    np.testing.assert_array_equal(found.probability, again.probability)


def test_every_run_is_told_the_same_whatever_the_order_of_the_runs() -> None:
    one = simulate(0, noise=0.2)
    everybody = np.arange(len(one.label))
    shifted = relabelled(one, one.subject == "p1")
    told = [(one.target, everybody), (shifted, everybody), (one.target, everybody[:240])]
    told.append(told[0])

    def judged(order: list[int]) -> tuple[Tensor, Tensor]:
        targets, rows = zip(*(told[place] for place in order), strict=True)
        return of_runs(one.prepared, one.available, targets, one.subject, rows)

    probability, reliability = judged([0, 1, 2, 3])
    assert probability.shape == (4, len(one.label), CLASSES)
    assert torch.equal(probability[0], probability[3])
    assert len({probability[run].numpy().tobytes() for run in range(3)}) == 3
    order = [3, 2, 0, 1]
    again, trusted = judged(order)
    assert torch.equal(again, probability[order])
    assert torch.equal(trusted, reliability[order])
    alone = one.judge(shifted)
    np.testing.assert_allclose(probability[1], alone.probability, rtol=1e-6)
    assert float(reliability[1]) == pytest.approx(alone.reliability)


def test_of_a_signal_the_level_and_the_power_are_judged() -> None:
    rng = np.random.default_rng(0)
    truth = np.tile([0, 1], 120)
    louder = rng.standard_normal((240, 2, 64)) * (1 + truth)[:, None, None]
    found = cross_fitted(
        {"signal": torch.from_numpy(louder).float()},
        np.ones((240, 1), bool),
        np.eye(2, dtype=np.float32)[truth],
        np.repeat(np.arange(8), 30),
        np.arange(240),
    )
    assert (found.probability.argmax(1) == truth).mean() > 0.95

"""Simulated campaigns on separable windows: labels are corrupted, answered, and learned from."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.annotation import campaign as campaigns
from benchmarks.annotation.campaign import (
    Data,
    balanced_accuracy,
    campaign,
    corrupted_labels,
    fit,
    held_out_evidence,
    posteriors,
)
from consilience.core.seeds import generator
from consilience.query.evidence import label_distrust
from consilience.query.selection import Layout

K, PEOPLE, TRIALS = 3, 6, 12


@pytest.fixture(scope="module")
def data() -> Data:
    """Return two overlapping windows of every trial, seen by two sensors."""
    rng = generator("campaign windows")
    n = PEOPLE * TRIALS * 2
    unit = np.arange(n) // 2
    truth = unit % K
    shown = np.eye(K)[truth]
    inputs = {
        name: np.concatenate([shown + rng.normal(0, 0.35, shown.shape), rng.normal(size=(n, 3))], 1)
        for name in ("eeg", "audio")
    }
    available = np.ones((n, 2), bool)
    available[::9, 0] = False
    person = unit // TRIALS
    start_s = (unit % TRIALS) * 10.0 + 2.0 * (np.arange(n) % 2)
    layout = Layout(person, start_s, start_s + 4)
    return Data(inputs, available, truth, K, person, layout, unit, inputs["audio"])


def split(data: Data) -> tuple[Data, Data]:
    tested = data.person == 0
    return data.rows(~tested), data.rows(tested)


def test_windows_of_a_trial_share_a_label_that_is_wrong_or_hidden(data: Data) -> None:
    wrong = corrupted_labels(data, "wrong", (0,)).argmax(1)
    assert (wrong[::2] == wrong[1::2]).all()
    assert (wrong != data.truth).mean() == pytest.approx(0.4, abs=0.02)
    hidden = corrupted_labels(data, "hidden", (0,))
    labelled = np.isfinite(hidden).all(1)
    assert labelled.mean() == pytest.approx(0.1, abs=0.02)
    assert (hidden[labelled].argmax(1) == data.truth[labelled]).all()


def test_experts_learn_the_classes(data: Data) -> None:
    train, test = split(data)
    experts = fit(train, np.eye(K)[train.truth], np.ones(len(train.truth)))
    together, alone = posteriors(experts, test)
    assert (together.argmax(1) == test.truth).mean() > 0.9
    np.testing.assert_allclose(together.sum(1), 1)
    np.testing.assert_allclose(alone[0, 0], np.exp(experts.log_prior))  # is not available


def test_evidence_of_a_window_does_not_depend_on_its_person(data: Data) -> None:
    train, _ = split(data)
    target = np.eye(K)[train.truth]
    changed = target.copy()
    of_person = train.person == 1
    changed[of_person] = np.roll(changed[of_person], 1, 1)
    before, after = (held_out_evidence(train, each, (0,)) for each in (target, changed))
    group = train.person % campaigns.GROUPS == 1
    # Up to the temperature, which other groups determine: they learned from the changed labels.
    for first, second in ((before.mean, after.mean), (before.sensors, after.sensors)):
        np.testing.assert_array_equal(first[group].argsort(-1), second[group].argsort(-1))
    assert not np.array_equal(before.sensors[~group].argsort(-1), after.sensors[~group].argsort(-1))


@pytest.mark.parametrize("strategy", ["coherence", "coreset", "badge", "random"])
def test_a_campaign_ends_with_all_labels_right(
    data: Data, strategy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(campaigns, "ROUNDS", 3)
    train, test = split(data)
    predictions = campaign(train, test, strategy, "wrong", (0,))
    assert len(predictions) == 4
    experts = fit(train, np.eye(K)[train.truth], np.ones(len(train.truth)))
    np.testing.assert_array_equal(predictions[-1], posteriors(experts, test)[0].argmax(1))


def test_coherence_finds_wrong_labels_earlier_than_chance(
    data: Data, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(campaigns, "WRONG", 0.25)
    train, _ = split(data)
    target = corrupted_labels(train, "wrong", (1,))
    wrong = target.argmax(1) != train.truth
    evidence = held_out_evidence(train, target, (1,))
    first = np.argsort(-label_distrust(evidence))[: wrong.sum()]
    assert wrong[first].mean() > 0.75


def test_balanced_accuracy_is_the_mean_recall() -> None:
    assert balanced_accuracy(np.array([0, 0, 0, 1]), np.array([0, 0, 1, 1]), 3) == 0.75

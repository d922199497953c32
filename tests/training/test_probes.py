"""Probes equal ridge regression on the windows of the other groups."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from consilience.training import probes
from consilience.training.probes import GROUPS, cross_fitted_scores, subject_groups

CLASSES, PER_GROUP = 4, 40

Array = NDArray[np.float64]


def simulate(n_features: int, seed: int = 0) -> tuple[Array, Array, NDArray[np.int64]]:
    """Return inputs far from 0, soft targets and groups."""
    rng = np.random.default_rng(seed)
    n = GROUPS * PER_GROUP
    target = rng.dirichlet(np.ones(CLASSES), n)
    mixing = rng.normal(size=(CLASSES, n_features))
    x = 100 + 3 * (target @ mixing + rng.normal(size=(n, n_features)))
    x[:, 1] = 5.0  # a constant feature
    return x.astype(np.float32).astype(float), target, np.repeat(np.arange(GROUPS), PER_GROUP)


def scores_of(
    x: Array, target: Array, groups: NDArray[np.int64], weight: Array | None = None
) -> Array:
    has = np.ones((len(x), 1), bool)
    weights = np.ones((len(x), 1)) if weight is None else weight[:, None]
    inputs = {"sensor": torch.from_numpy(x).float()}
    return cross_fitted_scores(inputs, np.arange(len(x)), has, target, weights, groups)[0]


@pytest.mark.parametrize("n_features", [6, 300], ids=["primal", "dual"])
@pytest.mark.parametrize("block", [7, 4096])
def test_scores_are_those_of_ridge_regression(
    monkeypatch: pytest.MonkeyPatch, block: int, n_features: int
) -> None:
    monkeypatch.setattr(probes, "BLOCK", block)
    x, target, groups = simulate(n_features)
    own = groups == 1
    mean, std = x[~own].mean(0), x[~own].std(0)
    std = np.where(std > 1e-6, std, np.inf)
    train, test = (x[~own] - mean) / std, (x[own] - mean) / std
    y = target[~own] - target[~own].mean(0)
    weight = np.linalg.solve(train.T @ train / n_features + np.eye(n_features), train.T @ y)
    actual = scores_of(x, target, groups)[own]
    np.testing.assert_allclose(actual, test @ weight / n_features, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("n_features", [6, 300])
def test_a_weight_counts_like_a_repetition(n_features: int) -> None:
    x, target, groups = simulate(n_features)
    weight = np.random.default_rng(1).integers(0, 4, len(x))
    repeated = np.repeat(np.arange(len(x)), np.maximum(weight, 1))
    of_repeated = np.repeat((weight > 0).astype(float), np.maximum(weight, 1))
    again = scores_of(x[repeated], target[repeated], groups[repeated], of_repeated)
    first = np.searchsorted(repeated, np.arange(len(x)))
    np.testing.assert_allclose(
        scores_of(x, target, groups, weight.astype(float)), again[first], rtol=1e-5, atol=1e-8
    )


def test_targets_change_the_scores_of_other_groups_only() -> None:
    x, target, groups = simulate(6)
    own = groups == 2
    changed = np.where(own[:, None], np.roll(target, 1, 1), target)
    before, after = scores_of(x, target, groups), scores_of(x, changed, groups)
    np.testing.assert_array_equal(before[own], after[own])
    assert (before[~own] != after[~own]).all()


def test_windows_without_weight_need_no_target() -> None:
    x, target, groups = simulate(6)
    weight = (np.arange(len(x)) % 3 > 0).astype(float)
    without = np.where(weight[:, None] > 0, target, np.nan)
    np.testing.assert_array_equal(
        scores_of(x, target, groups, weight), scores_of(x, without, groups, weight)
    )
    few = np.zeros(len(x))
    few[:CLASSES] = 1.0
    assert (scores_of(x, target, groups, few) == 0).all()


def test_level_and_power_of_a_signal_are_used() -> None:
    rng = np.random.default_rng(0)
    truth = np.tile([0, 1], 120)
    louder = rng.standard_normal((240, 2, 64)) * (1 + truth)[:, None, None]
    groups = np.repeat(np.arange(4), 60)
    scores = scores_of(louder, np.eye(2)[truth], groups)
    assert (scores.argmax(1) == truth).mean() > 0.95


def test_subjects_are_distributed_evenly() -> None:
    subject = np.array(["c", "a", "b", "a", "d", "e"])
    np.testing.assert_array_equal(subject_groups(subject), [2, 0, 1, 0, 3, 0])

"""Weights of the modality subsets, and the certainty of their mixture."""

from itertools import combinations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.testing import assert_close

from consilience.model.modality_subsets import mixture, modality_subsets, subset_log_weights
from consilience.model.uncertainty import normalised_entropy

CERTAIN, WINDOWS, CLASSES = 40.0, 6, 4
sizes, seeds = st.integers(1, 4), st.integers(0, 10_000)


def sensors(seed: int, n: int, spread: float = 8.0) -> tuple[Tensor, Tensor]:
    """Return log odds and availability of windows, the last of which has nothing."""
    generator = torch.Generator().manual_seed(seed)
    odds = spread * torch.randn(WINDOWS, n, generator=generator)
    available = (torch.rand(WINDOWS, n, generator=generator) < 0.7).float()
    available[-1] = 0
    return odds, available


def subset_logits(seed: int, n: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed + 1)
    return 5 * torch.randn(WINDOWS, 2**n - 1, CLASSES, generator=generator)


def full(available: Tensor, masks: Tensor) -> Tensor:
    """Return 1 for the subset (B, S) of all available sensors."""
    return (available[:, None] == masks).all(-1).float()


@pytest.mark.parametrize("n", range(1, 6))
def test_all_non_empty_subsets_are_listed_and_the_full_set_comes_first(n: int) -> None:
    masks = modality_subsets(n)
    weights = [tuple(np.flatnonzero(row)) for row in masks.numpy()]
    assert masks.shape == (2**n - 1, n)
    assert set(weights) == {c for size in range(1, n + 1) for c in combinations(range(n), size)}
    assert (masks[0] == 1).all()
    assert (masks.sum(1).diff() <= 0).all()


def test_many_modalities_list_the_subsets_that_lack_at_most_two_and_the_single_ones() -> None:
    masks = modality_subsets(8)
    assert masks.shape == (1 + 8 + 28 + 8, 8)
    assert set(masks.sum(1).tolist()) == {8, 7, 6, 1}


@pytest.mark.parametrize("present", [8, 5, 4, 3, 2, 1, 0])
def test_of_many_modalities_every_hypothesis_counts_once(present: int) -> None:
    masks = modality_subsets(8)
    available = torch.zeros(1, 8)
    available[:, :present] = 1
    log_weights = subset_log_weights(torch.full((1, 8), 2.0), available, masks)[0]
    possible = log_weights.exp() > 0
    effective = [tuple(row) for row in (masks * available)[possible].tolist()]
    assert len(set(effective)) == len(effective)
    sizes = {int(sum(row)) for row in effective}
    assert sizes == ({present, present - 1, present - 2, 1} & set(range(1, 9)) if present else {0})
    assert_close(log_weights.logsumexp(-1), torch.zeros(()), atol=1e-5, rtol=0)


@given(seeds, sizes)
def test_weights_are_those_of_independent_sensors_and_of_available_subsets_only(
    seed: int, n: int
) -> None:
    odds, available = sensors(seed, n, spread=2.0)
    masks = modality_subsets(n)
    weights = subset_log_weights(odds, available, masks).exp().double().numpy()
    right = 1 / (1 + np.exp(-odds.double().numpy()))
    for window, has in enumerate(available.numpy() > 0):
        expected = np.zeros(len(masks))
        for number, members in enumerate(masks.numpy() > 0):
            if has.any() and not (members & ~has).any():
                each = np.where(members, right[window], 1 - right[window])
                expected[number] = each[has].prod()
        if not has.any():
            expected[0] = 1.0
        np.testing.assert_allclose(weights[window], expected / expected.sum(), rtol=1e-4, atol=1e-7)
        assert (weights[window][expected == 0] == 0).all()


@given(seeds, sizes, st.sampled_from([0.1, 8.0, 100.0]))
def test_weights_are_normalised_for_extreme_odds(seed: int, n: int, spread: float) -> None:
    log_weights = subset_log_weights(*sensors(seed, n, spread), modality_subsets(n))
    assert not log_weights.isnan().any()
    assert_close(log_weights.logsumexp(-1), torch.zeros(WINDOWS), atol=1e-5, rtol=0)


@given(seeds, st.permutations(range(3)))
def test_weights_follow_a_permutation_of_the_sensors(seed: int, order: list[int]) -> None:
    odds, available = sensors(seed, 3)
    masks = modality_subsets(3)
    before = subset_log_weights(odds, available, masks)
    after = subset_log_weights(odds[:, order], available[:, order], masks)
    same = [int((masks == row).all(1).nonzero()) for row in masks[:, order]]
    has_input = available.any(1)
    assert_close(after[has_input][:, same], before[has_input])


@given(seeds, sizes)
def test_the_odds_of_an_unavailable_sensor_are_ignored(seed: int, n: int) -> None:
    odds, available = sensors(seed, n)
    other = torch.where(available > 0, odds, -odds + 3)
    assert_close(
        subset_log_weights(odds, available, modality_subsets(n)),
        subset_log_weights(other, available, modality_subsets(n)),
    )


@given(seeds, sizes)
def test_certain_sensors_put_all_weight_on_the_full_set(seed: int, n: int) -> None:
    _, available = sensors(seed, n)
    masks = modality_subsets(n)
    weights = subset_log_weights(torch.full((WINDOWS, n), CERTAIN), available, masks).exp()
    has_input = available.any(1)
    assert_close(weights[has_input], full(available, masks)[has_input])


def test_an_invalid_sensor_is_excluded_unless_it_is_the_only_one() -> None:
    masks, wrong = modality_subsets(3), torch.tensor([[1.0, -CERTAIN, 0.5]])
    weights = subset_log_weights(wrong, torch.ones(1, 3), masks).exp()
    assert_close((weights @ masks)[0, 1], torch.tensor(0.0), atol=1e-6, rtol=0)
    # The weights of the others are those without it.
    without = subset_log_weights(wrong, torch.tensor([[1.0, 0, 1]]), masks).exp()
    assert_close(weights, without, atol=1e-6, rtol=0)
    alone = subset_log_weights(wrong, torch.tensor([[0.0, 1, 0]]), masks).exp()
    assert_close(alone @ masks, torch.tensor([[0.0, 1, 0]]))


@given(seeds, sizes)
def test_the_mixture_is_a_distribution_no_more_certain_than_any_subset(seed: int, n: int) -> None:
    odds, available = sensors(seed, n, spread=2.0)
    masks, logits = modality_subsets(n), subset_logits(seed, n)
    log_weights = subset_log_weights(odds, available, masks)
    mixed, each = mixture(log_weights, logits).exp(), logits.softmax(-1)
    assert_close(mixed.sum(-1), torch.ones(WINDOWS))
    possible = log_weights > -torch.inf
    largest = torch.where(possible, each.amax(-1), 0.0).amax(1)
    assert (mixed.amax(-1) <= largest + 1e-5).all()
    least = torch.where(possible, normalised_entropy(each), torch.inf).amin(1)
    assert (normalised_entropy(mixed) >= least - 1e-5).all()


def test_two_contradicting_sensors_stay_two_hypotheses() -> None:
    first, second = torch.tensor([8.0, 0, 0]), torch.tensor([0.0, 8, 0])
    together = torch.tensor([0.0, 0, 8])  # something in between
    even = subset_log_weights(torch.full((1, 2), -3.0), torch.ones(1, 2), modality_subsets(2))
    mixed = mixture(even, torch.stack([together, first, second])[None]).exp()[0]
    assert_close(mixed[0], mixed[1])
    assert mixed[2] < 0.05 < 0.4 < mixed[0]


@pytest.mark.parametrize("n", range(1, 5))
def test_where_nothing_is_available_all_stays_finite(n: int) -> None:
    odds = torch.randn(WINDOWS, n, requires_grad=True)
    logits = subset_logits(n, n).requires_grad_()
    available = torch.zeros(WINDOWS, n)
    mixed = mixture(subset_log_weights(odds, available, modality_subsets(n)), logits)
    assert_close(mixed, logits[:, 0].log_softmax(-1))
    mixed[:, 0].sum().backward()
    for leaf in (odds, logits):
        assert leaf.grad is not None
        assert leaf.grad.isfinite().all()

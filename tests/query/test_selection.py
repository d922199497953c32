"""Orders of windows keep to the budget and the limits, and are diverse."""

from __future__ import annotations

from typing import get_args

import numpy as np
import pytest

from consilience.core.seeds import generator
from consilience.query.evidence import QueryEvidence
from consilience.query.selection import Layout, select
from consilience.schema.params.query import QueryParams, Strategy
from tests.query.small import K, N, evidence, layout

NONE, ALL = np.zeros(N, bool), np.ones(N, bool)


def order(
    strategy: str,
    of: QueryEvidence | None = None,
    place: Layout | None = None,
    candidates: np.ndarray = ALL,
    answered: np.ndarray = NONE,
    seed: object = 0,
    **params: float,
) -> list[int]:
    settings = QueryParams(strategy=strategy, **params)
    rng = generator("test", seed)
    return select(of or evidence(), place or layout(), settings, candidates, answered, rng)


@pytest.mark.parametrize("strategy", get_args(Strategy))
def test_every_strategy_keeps_to_budget_limits_and_candidates(strategy: str) -> None:
    candidates = np.arange(N) % 2 == 0
    chosen = order(strategy, candidates=candidates, budget=20, max_per_recording=2)
    assert len(chosen) == len(set(chosen)) == 20
    assert candidates[chosen].all()
    assert np.bincount(layout().session[chosen]).max() <= 2
    assert chosen == order(strategy, candidates=candidates, budget=20, max_per_recording=2)


@pytest.mark.parametrize("strategy", get_args(Strategy))
def test_windows_that_overlap_a_ranked_one_are_not_ranked(strategy: str) -> None:
    place = layout(length_s=4.0, hop_s=2.0)
    chosen = np.sort(order(strategy, place=place, budget=N, max_per_recording=N))
    same = np.diff(place.session[chosen]) == 0
    assert (np.diff(place.start_s[chosen])[same] >= 4).all()
    assert len(chosen) > N / 4


@pytest.mark.parametrize("strategy", get_args(Strategy))
def test_without_candidates_nothing_is_ranked(strategy: str) -> None:
    assert order(strategy, candidates=NONE) == []


def test_without_diversity_the_order_is_that_of_the_score() -> None:
    of = evidence()
    chosen = order("margin", of, budget=N, max_per_recording=N, diversity=0.0)
    ordered = np.sort(of.mean, -1)
    lead = ordered[:, -1] - ordered[:, -2]
    assert (np.diff(lead[chosen]) >= -1e-12).all()
    assert len(chosen) == N


def test_diversity_ranks_a_distant_window_before_the_twin_of_a_ranked_one() -> None:
    of = evidence()
    of.probability[:, :3] = [[0.34, 0.33, 0.33], [0.36, 0.32, 0.32], [0.5, 0.3, 0.2]]
    of.probability[:, 3] = [0.98, 0.01, 0.01]
    of.latent[:4] = [[0, 0, 0], [0, 0, 0], [2, 2, 2], [0, 0, 0]]
    twin, distant = (
        order("entropy", of, candidates=np.arange(N) < 4, budget=3, diversity=diversity)
        for diversity in (0.0, 1.0)
    )
    assert (twin, distant) == ([0, 1, 2], [0, 2, 1])


def test_coreset_takes_the_window_farthest_from_the_answered_ones() -> None:
    of = evidence()
    answered = np.isin(of.latent.argmax(1), [0, 1])
    (first,) = order("coreset", of, answered=answered, candidates=~answered, budget=1)
    distances = np.linalg.norm(of.latent[:, None] - of.latent[answered], axis=-1).min(1)
    assert first == np.where(answered, -1, distances).argmax()


def test_badge_is_the_k_means_seeding_of_the_gradients() -> None:
    of = evidence()
    p, latent = of.mean, np.concatenate([of.latent, np.ones((N, 1))], 1)
    residual = p - np.eye(K)[p.argmax(1)]
    gradient = (residual[:, :, None] * latent[:, None, :]).reshape(N, -1)
    chosen = order("badge", of, budget=8, max_per_recording=N)
    assert chosen[0] == np.square(gradient).sum(1).argmax()
    # Repeats the draws with the gradients written out.
    rng = generator("test", 0)
    rng.permutation(N)
    nearest, repeated = np.square(gradient - gradient[chosen[0]]).sum(1), [chosen[0]]
    for _ in range(7):
        weight = np.where(np.isin(np.arange(N), repeated), 0, nearest)
        repeated.append(int(rng.choice(N, p=weight / weight.sum())))
        nearest = np.minimum(nearest, np.square(gradient - gradient[repeated[-1]]).sum(1))
    assert chosen == repeated


def test_random_draws_depend_on_the_seed_alone() -> None:
    assert order("random", seed=1) == order("random", evidence(0.1), seed=1)
    assert order("random", seed=1) != order("random", seed=2)

"""The rules of the papers, step by step as they are printed, against the closed forms."""

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch.testing import assert_close

from consilience.model.evidence import (
    average,
    conflict,
    dempster,
    discounted,
    expected_probability,
)
from consilience.model.uncertainty import vacuity

Array = NDArray[np.float64]


def evidence(seed: int, views: int = 3, classes: int = 5) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return 8 * torch.rand(4, views, classes, generator=generator, dtype=torch.float64) ** 3


def opinion(e: Array) -> tuple[Array, float]:
    strength = (e + 1).sum()
    return e / strength, len(e) / strength


def combine(first: tuple[Array, float], second: tuple[Array, float]) -> tuple[Array, float]:
    """Dempster's rule for two opinions, with its measure of conflict C."""
    (b1, u1), (b2, u2) = first, second
    total = np.outer(b1, b2)
    scale = 1 / (1 - (total.sum() - np.trace(total)))
    return scale * (b1 * b2 + b1 * u2 + b2 * u1), scale * u1 * u2


@given(st.integers(0, 1000))
def test_dempster_equals_the_rule_applied_to_one_view_after_another(seed: int) -> None:
    views = evidence(seed)
    for row, actual in zip(views.numpy(), dempster(views).numpy(), strict=True):
        mass, unknown = opinion(row[0])
        for view in row[1:]:
            mass, unknown = combine((mass, unknown), opinion(view))
        strength = len(mass) / unknown
        np.testing.assert_allclose(actual, mass * strength, rtol=1e-9)


def test_a_view_without_evidence_changes_nothing() -> None:
    views = evidence(0)
    with_empty = torch.cat([views, torch.zeros_like(views[:, :1])], 1)
    assert_close(dempster(with_empty), dempster(views))
    available = torch.tensor([1.0, 1, 1, 0], dtype=torch.float64).expand(4, 4)
    assert_close(average(with_empty, available), views.mean(1))
    assert (conflict(with_empty)[:, 3] == 0).all()
    nothing = torch.zeros(1, 3, 5)
    assert vacuity(dempster(nothing)) == 1
    assert vacuity(average(nothing, torch.zeros(1, 3))) == 1


@given(st.integers(0, 1000))
def test_average_equals_conflictive_aggregation_of_two_views(seed: int) -> None:
    views = evidence(seed, views=2)
    actual = average(views, torch.ones(4, 2, dtype=torch.float64)).numpy()
    for (first, second), e in zip(views.numpy(), actual, strict=True):
        (b1, u1), (b2, u2) = opinion(first), opinion(second)
        mass, unknown = opinion(e)
        np.testing.assert_allclose(mass, (b1 * u2 + b2 * u1) / (u1 + u2), rtol=1e-9)
        np.testing.assert_allclose(unknown, 2 * u1 * u2 / (u1 + u2), rtol=1e-9)


def test_opposed_views_lose_vacuity_under_dempster_and_not_under_the_average() -> None:
    opposed = torch.tensor([[[19.0, 0, 0, 0, 0], [0, 19.0, 0, 0, 0]]])
    alone = vacuity(opposed)[0, 0]
    assert_close(alone, torch.tensor(5 / 24))
    assert vacuity(dempster(opposed))[0] < 0.6 * alone
    assert_close(vacuity(average(opposed, torch.ones(1, 2)))[0], alone)


@given(st.integers(0, 1000))
def test_conflict_is_distance_times_conjunctive_certainty(seed: int) -> None:
    views = evidence(seed)
    degree = conflict(views).numpy()
    for row, actual in zip(views.numpy(), degree, strict=True):
        for p, first in enumerate(row):
            for q, second in enumerate(row):
                (b1, u1), (b2, u2) = opinion(first), opinion(second)
                projected = (b1 + u1 / 5) - (b2 + u2 / 5)
                expected = np.abs(projected).sum() / 2 * (1 - u1) * (1 - u2)
                np.testing.assert_allclose(actual[p, q], expected, atol=1e-12)
    assert (degree >= 0).all()
    assert (degree <= 1).all()


def test_the_expected_probability_is_even_without_evidence() -> None:
    assert_close(expected_probability(torch.zeros(2, 4)), torch.full((2, 4), 0.25))


def test_a_discount_scales_the_masses_and_the_rest_is_vacuity() -> None:
    views = torch.tensor([[[4.0, 1.0, 0.0], [0.0, 2.0, 9.0]]])
    trust = torch.tensor([[0.3, 1.0]])
    after = discounted(views, trust)
    strength, strength_after = views.sum(-1) + 3, after.sum(-1) + 3
    masses, masses_after = views / strength[..., None], after / strength_after[..., None]
    torch.testing.assert_close(masses_after, trust[..., None] * masses)
    torch.testing.assert_close(3 / strength_after, 1 - trust * (1 - 3 / strength))
    torch.testing.assert_close(after[:, 1], views[:, 1])
    assert (discounted(views, torch.zeros(1, 2)) == 0).all()

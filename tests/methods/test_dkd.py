"""Decoupled distillation against the paper's formulas."""

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import softmax
from torch.testing import assert_close

from consilience.methods.base import Method
from consilience.methods.dkd import decoupled
from consilience.model.types import Batch

Build = Callable[..., Method]
Array = NDArray[np.float64]


def divergence(p: Array, q: Array) -> float:
    return float((p * np.log(p / q)).sum())


def test_decoupled_parts_are_those_of_the_paper() -> None:
    rng = np.random.default_rng(0)
    student, teacher = rng.normal(size=(2, 6, 5)) * 3
    target, t = rng.integers(0, 5, 6), 4.0
    actual = decoupled(*map(torch.from_numpy, (student, teacher, target)), t)
    for i, k in enumerate(target):
        p, q = softmax(teacher[i] / t), softmax(student[i] / t)
        two = [np.array([x[k], 1 - x[k]]) for x in (p, q)]
        others = [np.delete(x, k) / (1 - x[k]) for x in (p, q)]
        np.testing.assert_allclose(actual[0][i], t**2 * divergence(*two), rtol=1e-6)
        np.testing.assert_allclose(actual[1][i], t**2 * divergence(*others), rtol=1e-6)


def test_decoupled_parts_make_up_the_whole_divergence() -> None:
    """``KL = TCKD + (1 - p_t) NCKD``: the identity the paper starts from."""
    rng = np.random.default_rng(1)
    student, teacher = rng.normal(size=(2, 1, 5)) * 2
    target, others = decoupled(
        torch.from_numpy(student), torch.from_numpy(teacher), torch.tensor([2]), 1.0
    )
    p = softmax(teacher[0])
    whole = divergence(p, softmax(student[0]))
    np.testing.assert_allclose(target.item() + (1 - p[2]) * others.item(), whole, rtol=1e-9)


def test_decoupled_parts_are_finite_for_extreme_logits() -> None:
    student = torch.tensor([[90.0, -90.0, 0.0]], requires_grad=True)
    parts = decoupled(student, torch.tensor([[-90.0, 90.0, 0.0]]), torch.tensor([0]), 1.0)
    sum(parts).sum().backward()  # type: ignore[union-attr]
    assert student.grad is not None
    assert student.grad.isfinite().all()


def parts(network: Method, batch: Batch) -> tuple[float, float]:
    """Return the labels' and, after a ramp, the teacher's part of the loss."""
    supervised_only = network.loss(batch, 0.0)[0].item()
    return supervised_only, network.loss(batch, 1.0)[0].item() - supervised_only


def test_dkd_weighs_both_parts(build: Build, batch: Batch) -> None:
    neither = build("dkd", alpha=0.0, beta=0.0)
    assert_close(parts(neither, batch)[1], 0.0)
    target_only, others_only, both = (
        parts(build("dkd", alpha=a, beta=b), batch)[1] for a, b in ((1, 0), (0, 1), (2, 3))
    )
    np.testing.assert_allclose(2 * target_only + 3 * others_only, both, rtol=1e-4)

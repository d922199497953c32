"""KD, DKD and both with label trust against their formulas."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.special import softmax
from torch.testing import assert_close

from consilience.methods.base import Method
from consilience.methods.dkd import decoupled
from consilience.methods.hybrid import summed_loss
from consilience.model.label_trust import trusted_target
from consilience.model.types import Batch

Build = Callable[..., Method]
Array = NDArray[np.float64]
STUDENTS = ("kd", "kd_trust", "dkd")


def divergence(p: Array, q: Array) -> float:
    return float((p * np.log(p / q)).sum())


def test_decoupled_parts_are_those_of_the_paper() -> None:
    rng = np.random.default_rng(0)
    student, teacher = rng.normal(size=(2, 6, 5)) * 3
    target, t = rng.integers(0, 5, 6), 4.0
    found = decoupled(*map(torch.from_numpy, (student, teacher, target)), t)
    for i, k in enumerate(target):
        p, q = softmax(teacher[i] / t), softmax(student[i] / t)
        two = [np.array([x[k], 1 - x[k]]) for x in (p, q)]
        others = [np.delete(x, k) / (1 - x[k]) for x in (p, q)]
        np.testing.assert_allclose(found[0][i], t**2 * divergence(*two), rtol=1e-6)
        np.testing.assert_allclose(found[1][i], t**2 * divergence(*others), rtol=1e-6)


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
    untaught = network.loss(batch, 0.0)[0].item()
    return untaught, network.loss(batch, 1.0)[0].item() - untaught


def test_kd_is_hintons_on_the_fused_and_the_unimodal_logits(build: Build, batch: Batch) -> None:
    network = build("kd")
    said = network.network(batch.inputs, batch.available)  # type: ignore[operator]
    taught = network.teacher(batch.clean, batch.present)  # type: ignore[operator]
    labels = summed_loss(said, batch.available, batch.target, batch.affect, 1.0)
    labels = labels + summed_loss(taught, batch.present, batch.target, batch.affect, 0.5)
    supervised, transferred = parts(network, batch)
    np.testing.assert_allclose(supervised, labels.item(), rtol=1e-5)

    t = 2.0
    p = softmax(taught.logits.detach().double().numpy() / t, -1)

    def mean(logits: torch.Tensor, weight: torch.Tensor) -> float:
        q = softmax(logits.detach().double().numpy() / t, -1)
        each = [divergence(*pair) for pair in zip(p, q, strict=True)]
        return t**2 * float(np.average(each, weights=weight.numpy()))

    expected = mean(said.logits, batch.available.amax(-1))
    for m in range(3):
        expected += 0.5 * mean(said.unimodal[:, m], batch.available[:, m])
    np.testing.assert_allclose(transferred, 2 * expected, rtol=1e-4)


def test_dkd_weighs_both_parts(build: Build, batch: Batch) -> None:
    neither = build("dkd", alpha=0.0, beta=0.0)
    assert_close(parts(neither, batch)[1], 0.0)
    one, other, both = (
        parts(build("dkd", alpha=a, beta=b), batch)[1] for a, b in ((1, 0), (0, 1), (2, 3))
    )
    np.testing.assert_allclose(2 * one + 3 * other, both, rtol=1e-4)


@pytest.mark.parametrize("name", STUDENTS)
def test_the_teacher_learns_nothing_from_the_student(build: Build, batch: Batch, name: str) -> None:
    network = build(name)
    untaught = batch._replace(
        target=torch.full_like(batch.target, torch.nan),
        affect=torch.full_like(batch.affect, torch.nan),
    )
    loss, _ = network.loss(untaught, 0.5)
    loss.backward()
    gradients = {
        weight_name: 0.0 if weight.grad is None else float(weight.grad.abs().sum())
        for weight_name, weight in network.named_parameters()
    }
    assert all(value == 0 for n, value in gradients.items() if n.startswith("teacher."))
    assert any(value > 0 for n, value in gradients.items() if n.startswith("network."))


@pytest.mark.parametrize("name", STUDENTS)
def test_the_teacher_sees_what_was_recorded_and_not_what_was_left(
    build: Build, batch: Batch, name: str
) -> None:
    network = build(name)
    assert not {id(w) for w in network.teacher.parameters()} & {  # type: ignore[union-attr]
        id(w)
        for w in network.network.parameters()  # type: ignore[union-attr]
    }
    _, opinion = network.loss(batch, 0.5)
    expected = network.teacher(batch.clean, batch.present).logits.softmax(-1)  # type: ignore[operator]
    assert_close(opinion, expected)


@pytest.mark.parametrize(("name", "plain"), [("kd_trust", "kd"), ("hybrid_trust", "hybrid")])
@pytest.mark.parametrize("mode", ["on", "off", "auto"])
def test_trust_is_the_plain_method_on_trusted_targets(
    build: Build, batch: Batch, name: str, plain: str, mode: str
) -> None:
    trusting, other = build(name, label_trust=mode), build(plain)
    for disagreement in (0.0, 0.5):
        one = batch._replace(disagreement=torch.tensor(disagreement))
        target = trusted_target(one, 0.5, mode, 0.25)  # type: ignore[arg-type]
        expected, _ = other.loss(one._replace(target=target), 0.5)
        assert_close(trusting.loss(one, 0.5)[0], expected)
    assert torch.equal(trusting.loss(batch, 0.1)[0], other.loss(batch, 0.1)[0])

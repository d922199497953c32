"""Distillation against Hinton's formula."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.special import softmax
from torch.testing import assert_close

from consilience.methods.base import Method
from consilience.methods.hybrid import summed_loss
from consilience.model.types import Batch

Build = Callable[..., Method]
Array = NDArray[np.float64]
STUDENTS = ("kd", "kd_trust", "dkd")


def divergence(p: Array, q: Array) -> float:
    return float((p * np.log(p / q)).sum())


def parts(network: Method, batch: Batch) -> tuple[float, float]:
    """Return the labels' and, after a ramp, the teacher's part of the loss."""
    supervised = network.loss(batch, 0.0)[0].item()
    return supervised, network.loss(batch, 1.0)[0].item() - supervised


def test_kd_is_hintons_on_the_fused_and_the_unimodal_logits(build: Build, batch: Batch) -> None:
    network = build("kd")
    student_out = network.network(batch.inputs, batch.available)  # type: ignore[operator]
    teacher_out = network.teacher(batch.clean, batch.present)  # type: ignore[operator]
    labels = summed_loss(student_out, batch.available, batch.target, batch.affect, 1.0)
    labels = labels + summed_loss(teacher_out, batch.present, batch.target, batch.affect, 0.5)
    supervised, transferred = parts(network, batch)
    np.testing.assert_allclose(supervised, labels.item(), rtol=1e-5)

    t = 2.0
    p = softmax(teacher_out.logits.detach().double().numpy() / t, -1)

    def mean(logits: torch.Tensor, weight: torch.Tensor) -> float:
        q = softmax(logits.detach().double().numpy() / t, -1)
        each = [divergence(*pair) for pair in zip(p, q, strict=True)]
        return t**2 * float(np.average(each, weights=weight.numpy()))

    expected = mean(student_out.logits, batch.available.amax(-1))
    for m in range(3):
        expected += 0.5 * mean(student_out.unimodal[:, m], batch.available[:, m])
    np.testing.assert_allclose(transferred, 2 * expected, rtol=1e-4)


@pytest.mark.parametrize("name", STUDENTS)
def test_the_student_sends_no_gradient_to_the_teacher(
    build: Build, batch: Batch, name: str
) -> None:
    network = build(name)
    unlabelled = batch._replace(
        target=torch.full_like(batch.target, torch.nan),
        affect=torch.full_like(batch.affect, torch.nan),
    )
    loss, _ = network.loss(unlabelled, 0.5)
    loss.backward()
    gradients = {
        weight_name: 0.0 if weight.grad is None else float(weight.grad.abs().sum())
        for weight_name, weight in network.named_parameters()
    }
    assert all(value == 0 for n, value in gradients.items() if n.startswith("teacher."))
    assert any(value > 0 for n, value in gradients.items() if n.startswith("network."))


@pytest.mark.parametrize("name", STUDENTS)
def test_the_teacher_gets_all_recorded_modalities(build: Build, batch: Batch, name: str) -> None:
    network = build(name)
    assert not {id(w) for w in network.teacher.parameters()} & {  # type: ignore[union-attr]
        id(w)
        for w in network.network.parameters()  # type: ignore[union-attr]
    }
    _, probability = network.loss(batch, 0.5)
    expected = network.teacher(batch.clean, batch.present).logits.softmax(-1)  # type: ignore[operator]
    assert_close(probability, expected)

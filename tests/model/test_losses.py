import math
from collections.abc import Callable
from functools import partial

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from consilience.methods.elr import early_learning
from consilience.methods.gce import generalised_cross_entropy
from consilience.model.losses import cross_entropy, divergence, evidential_loss, gaussian_nll

N_WINDOWS, N_MODALITIES, N_CLASSES = 8, 3, 4


def test_cross_entropy_takes_soft_labels_and_skips_missing_ones() -> None:
    logits = torch.tensor([[0.0, 0.0], [9.0, -9.0]], requires_grad=True)
    target = torch.tensor([[0.3, 0.7], [torch.nan, torch.nan]])
    loss = cross_entropy(logits, target)
    assert_close(loss, torch.tensor(math.log(2)))
    loss.backward()
    assert logits.grad is not None
    assert_close(logits.grad, torch.tensor([[0.2, -0.2], [0.0, 0.0]]))


def test_losses_of_nothing_are_zero_with_finite_gradients() -> None:
    logits = torch.randn(3, 4, requires_grad=True)
    missing = torch.full((3, 4), torch.nan)
    loss = cross_entropy(logits, missing) + gaussian_nll(logits, logits, missing)
    loss.backward()
    assert loss.item() == 0
    assert logits.grad is not None
    assert (logits.grad == 0).all()


def test_gaussian_nll_is_least_at_the_true_spread() -> None:
    target, mean = torch.tensor([[2.0], [-2.0]]), torch.zeros(2, 1)
    losses = [gaussian_nll(mean, torch.full((2, 1), math.log(v)), target) for v in (3.0, 4.0, 5.0)]
    assert losses[1] < min(losses[0], losses[2])


def test_divergence_is_zero_at_the_teacher_and_leaves_it_alone() -> None:
    teacher = torch.randn(4, 3, requires_grad=True)
    student = teacher.detach().clone().requires_grad_()
    loss = divergence(student, teacher, 2.0, torch.ones(4))
    loss.backward()
    assert_close(loss, torch.tensor(0.0), atol=1e-6, rtol=0)
    assert teacher.grad is None
    assert divergence(student.detach() + torch.eye(4, 3), teacher, 2.0, torch.ones(4)) > 0


def test_evidence_for_the_label_is_rewarded_and_against_it_punished() -> None:
    target, weight = torch.tensor([[1.0, 0.0, 0.0]]), torch.ones(1)

    def loss(*evidence: float) -> float:
        return float(evidential_loss(torch.tensor([evidence]), target, weight, 1.0))

    assert loss(9, 0, 0) < loss(1, 0, 0) < loss(0, 0, 0) < loss(0, 1, 0) < loss(0, 9, 0)


def _labels() -> Tensor:
    target = torch.rand(N_WINDOWS, N_CLASSES, generator=torch.manual_seed(1)).softmax(-1)
    target[2] = torch.nan
    return target


def _affect(output: Tensor, weight: Tensor) -> Tensor:
    target = torch.randn(N_WINDOWS, N_CLASSES, generator=torch.manual_seed(2))
    target[1, 0] = target[3] = torch.nan
    return gaussian_nll(output, output.tanh(), target, weight)


LOSSES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "cross-entropy": lambda output, weight: cross_entropy(output, _labels(), weight),
    "generalised": lambda output, weight: generalised_cross_entropy(0.7, output, _labels(), weight),
    "early learning": lambda output, weight: early_learning(
        output, _labels().nan_to_num(0.25), _labels(), weight
    ),
    "divergence": lambda output, weight: divergence(
        output, _labels().nan_to_num(0.25), 2.0, weight
    ),
    "evidential": lambda output, weight: evidential_loss(output.exp(), _labels(), weight, 0.3),
    "affect": _affect,
}


@pytest.mark.parametrize("name", LOSSES)
def test_a_loss_of_modalities_is_the_sum_of_the_loss_of_each(name: str) -> None:
    loss, draw = LOSSES[name], partial(torch.randn, generator=torch.manual_seed(0))
    outputs = draw(N_WINDOWS, N_MODALITIES, N_CLASSES)
    weight = (draw(N_WINDOWS, N_MODALITIES) > 0).float()
    weight[:, 1] = 0  # a modality that no window has
    alone = [loss(outputs[:, m], weight[:, m]) for m in range(N_MODALITIES)]
    assert alone[1] == 0
    assert_close(loss(outputs, weight), torch.stack(alone).sum())

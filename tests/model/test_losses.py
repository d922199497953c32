import math

import torch
from torch.testing import assert_close

from consilience.model.losses import cross_entropy, divergence, evidential_loss, gaussian_nll


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

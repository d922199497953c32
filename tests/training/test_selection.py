import math

import pytest
import torch
from torch import Tensor

from consilience.training.selection import TEMPERATURES, balanced_accuracy, selection_loss

TARGET = torch.eye(3)[torch.tensor([0, 0, 0, 1, 2])]
AFFECT = torch.zeros(5, 2)


def logits(classes: list[int], scale: float = 2.0) -> Tensor:
    return scale * torch.eye(3)[torch.tensor(classes)]


def test_confidence_does_not_change_the_selection_loss() -> None:
    one_error = logits([0, 0, 1, 1, 2])
    losses = [
        selection_loss(temperature * one_error, TARGET, AFFECT, AFFECT)
        for temperature in TEMPERATURES[1:4]
    ]
    assert losses[0] == pytest.approx(losses[1], rel=0.02) == pytest.approx(losses[2], rel=0.02)


def test_more_errors_have_a_larger_selection_loss() -> None:
    few, many = (
        selection_loss(logits(classes), TARGET, AFFECT, AFFECT)
        for classes in ([0, 0, 0, 1, 1], [1, 0, 2, 1, 1])
    )
    assert few < many


def test_the_error_of_affect_counts() -> None:
    off = selection_loss(logits([0, 0, 0, 1, 2]), TARGET, AFFECT + 1, AFFECT)
    exact = selection_loss(logits([0, 0, 0, 1, 2]), TARGET, AFFECT, AFFECT)
    assert off - exact == pytest.approx(0.5)


def test_balanced_accuracy_is_the_mean_recall() -> None:
    assert balanced_accuracy(logits([0, 0, 1, 1, 1]), TARGET) == pytest.approx((2 / 3 + 1 + 0) / 3)


def test_unlabelled_windows_are_skipped() -> None:
    target = TARGET.clone()
    target[4] = torch.nan
    assert balanced_accuracy(logits([0, 0, 0, 1, 0]), target) == 1.0
    assert math.isnan(balanced_accuracy(logits([0]), torch.full((1, 3), torch.nan)))

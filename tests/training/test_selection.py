import math

import pytest
import torch
from torch import Tensor

from consilience.training.selection import TEMPERATURES, SelectionSums, selection_sums

TARGET = torch.eye(3)[torch.tensor([0, 0, 0, 1, 2])]
AFFECT = torch.zeros(5, 2)
ALL = torch.ones(5, dtype=torch.bool)


def logits(classes: list[int], scale: float = 2.0) -> Tensor:
    return scale * torch.eye(3)[torch.tensor(classes)]


def sums(predicted: Tensor, mean: Tensor = AFFECT, target: Tensor = TARGET) -> SelectionSums:
    return selection_sums(predicted, target, mean, AFFECT, ALL)


def test_confidence_does_not_change_the_selection_loss() -> None:
    one_error = logits([0, 0, 1, 1, 2])
    losses = [float(sums(scale * one_error).loss()) for scale in TEMPERATURES[1:4]]
    assert losses[0] == pytest.approx(losses[1], rel=0.02) == pytest.approx(losses[2], rel=0.02)


def test_more_errors_have_a_larger_selection_loss() -> None:
    few, many = (sums(logits(classes)).loss() for classes in ([0, 0, 0, 1, 1], [1, 0, 2, 1, 1]))
    assert few < many


def test_the_loss_is_the_cross_entropy_at_the_best_temperature() -> None:
    predicted = logits([0, 0, 1, 1, 2], 3.0)
    by_hand = [
        -(TARGET * (predicted / t).log_softmax(-1)).sum(-1).mean().item() for t in TEMPERATURES
    ]
    assert float(sums(predicted).loss()) == pytest.approx(min(by_hand), rel=1e-6)


def test_the_error_of_affect_counts() -> None:
    exact = logits([0, 0, 0, 1, 2])
    assert float(sums(exact, AFFECT + 1).loss() - sums(exact).loss()) == pytest.approx(0.5)


def test_balanced_accuracy_is_the_mean_recall() -> None:
    accuracy = sums(logits([0, 0, 1, 1, 1])).balanced_accuracy()
    assert float(accuracy) == pytest.approx((2 / 3 + 1 + 0) / 3)


def test_unlabelled_windows_are_skipped() -> None:
    target = TARGET.clone()
    target[4] = torch.nan
    assert sums(logits([0, 0, 0, 1, 0]), target=target).balanced_accuracy() == 1.0
    unlabelled = torch.full((5, 3), torch.nan)
    assert math.isnan(sums(logits([0] * 5), target=unlabelled).balanced_accuracy())


def test_runs_are_scored_side_by_side_and_batches_add_up() -> None:
    predicted = torch.stack([logits([0, 0, 1, 1, 2]), logits([1, 0, 2, 1, 1])])
    target, mean = TARGET.expand(2, -1, -1), AFFECT.expand(2, -1, -1)
    counted = torch.tensor([[True] * 5, [True] * 3 + [False] * 2])

    def of_rows(rows: slice) -> SelectionSums:
        return selection_sums(
            predicted[:, rows], target[:, rows], mean[:, rows], mean[:, rows], counted[:, rows]
        )

    whole, added = of_rows(slice(None)), of_rows(slice(0, 2)).plus(of_rows(slice(2, 5)))
    torch.testing.assert_close(whole.loss(), added.loss())
    torch.testing.assert_close(whole.balanced_accuracy(), added.balanced_accuracy())
    torch.testing.assert_close(whole.loss()[0], sums(predicted[0]).loss())
    alone = selection_sums(predicted[1, :3], TARGET[:3], AFFECT[:3], AFFECT[:3], ALL[:3])
    torch.testing.assert_close(whole.loss()[1], alone.loss())

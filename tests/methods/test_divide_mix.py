"""DivideMix: which labels are clean, and what replaces the others."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812
from torch.testing import assert_close

from consilience.methods.base import Method
from consilience.methods.divide_mix import (
    clean_probability,
    imbalance,
    sharpened,
    squared_error,
)
from consilience.methods.hybrid import summed_loss
from consilience.model.types import Batch

Build = Callable[..., Method]
Windows = Callable[..., dict[str, Tensor]]


def labelled_logits(n_clean: int, n_wrong: int) -> tuple[Tensor, Tensor]:
    """Return logits that agree with the first labels and contradict the others."""
    torch.manual_seed(0)
    n_windows = n_clean + n_wrong
    target = torch.eye(4)[torch.arange(n_windows) % 4]
    shown = torch.cat([target[:n_clean], target[n_clean:].roll(1, -1)])
    return 4 * shown + 0.3 * torch.randn(n_windows, 4), target


@pytest.mark.parametrize("n_wrong", [5, 20, 35])
def test_windows_of_least_loss_have_clean_labels(n_wrong: int) -> None:
    logits, target = labelled_logits(50, n_wrong)
    clean = clean_probability(logits, target)
    assert (clean[:50] > 0.9).all()
    assert (clean[50:] < 0.1).all()
    losses = -(target * logits.log_softmax(-1)).sum(-1)
    assert (clean[losses.argsort()].diff() <= 1e-6).all()


def test_windows_without_a_label_are_not_clean() -> None:
    logits, target = labelled_logits(20, 10)
    target[[0, 25]] = torch.nan
    clean = clean_probability(logits, target)
    assert clean[[0, 25]].tolist() == [0, 0]
    rest = torch.tensor([n for n in range(30) if n not in (0, 25)])
    assert_close(clean[rest], clean_probability(logits[rest], target[rest]))
    nothing = clean_probability(logits, torch.full_like(target, torch.nan))
    assert (nothing == 0).all()


def test_before_the_end_of_the_warm_up_all_labels_are_used(build: Build, batch: Batch) -> None:
    network = build("divide_mix", warm_up=0.4)
    outputs = network.outputs(batch.inputs, batch.available)  # type: ignore[operator]
    expected = sum(
        summed_loss(output, batch.available, batch.target, batch.affect, 1.0) for output in outputs
    )
    assert_close(network.loss(batch, 0.39)[0], expected)
    assert not torch.allclose(network.loss(batch, 0.41)[0], expected)  # type: ignore[arg-type]


def test_each_network_is_trained_on_labels_its_peer_divided(build: Build, batch: Batch) -> None:
    network = build("divide_mix", warm_up=0.2, unlabelled=3.0, unimodal=0.5)
    progress, ramp = 0.6, 0.5
    outputs = network.outputs(batch.inputs, batch.available)  # type: ignore[operator]
    views = network.outputs(batch.clean, batch.present)  # type: ignore[operator]
    certain = [view.logits.softmax(-1).detach() for view in views]
    guess = sharpened((certain[0] + certain[1]) / 2, 0.5)
    has_input = batch.available.amax(-1)
    expected = torch.zeros(())
    for this, peer in ((0, 1), (1, 0)):
        clean = clean_probability(views[peer].logits.detach(), batch.target)
        target = torch.full_like(batch.target, torch.nan)
        for row in (clean > 0.5).nonzero().flatten():
            mixed = clean[row] * batch.target[row] + (1 - clean[row]) * certain[this][row]
            target[row] = mixed**2 / (mixed**2).sum()
        assert target.isnan().any()
        assert target.isfinite().any()
        expected = expected + summed_loss(outputs[this], batch.available, target, batch.affect, 0.5)
        rest = target.isnan().any(-1).float()
        fused = squared_error(outputs[this].logits, guess, rest * has_input)
        alone = squared_error(outputs[this].unimodal, guess, rest[:, None] * batch.available)
        expected = expected + 3.0 * ramp * (fused + 0.5 * alone)
        expected = expected + imbalance(outputs[this].logits, has_input)
    assert_close(network.loss(batch, progress)[0], expected, rtol=1e-4, atol=1e-5)


def test_sharpening_moves_a_distribution_to_its_mode() -> None:
    probability = torch.tensor([[0.5, 0.3, 0.2]])
    squares = probability.square()
    assert_close(sharpened(probability, 0.5), squares / squares.sum())
    assert_close(sharpened(probability, 1.0), probability)


def test_the_penalty_is_0_for_balanced_predictions() -> None:
    balanced = 5 * torch.eye(4)
    assert_close(imbalance(balanced, torch.ones(4)), torch.zeros(()))
    assert imbalance(balanced, torch.tensor([1.0, 1, 0, 0])) > 0.3
    assert imbalance(balanced, torch.zeros(4)).isfinite()


def test_wrong_labels_are_not_memorised(build: Build, batch: Batch) -> None:
    """Of 120 windows that show their class, a quarter has another label."""
    torch.manual_seed(0)
    number = torch.arange(120)
    truth, wrong = number % 4, number < 30
    label = torch.where(wrong, (truth + number // 4 % 3 + 1) % 4, truth)
    inputs = {
        name: F.pad(2.0 * torch.eye(4)[truth], (0, 1)) + torch.randn(120, 5)
        for name in ("eeg", "audio", "video")
    }
    everyone = torch.ones(120, 3)
    many = batch._replace(
        inputs=inputs,
        clean=inputs,
        available=everyone,
        present=everyone,
        target=torch.eye(4)[label],
        affect=torch.full((120, 2), torch.nan),
    )
    network = build("divide_mix", warm_up=0.1).train()
    optimizer = torch.optim.AdamW(network.parameters(), 0.003)
    for step in range(200):
        loss, _ = network.loss(many, step / 200)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    right = network.eval().predict((inputs, everyone)).logits.argmax(-1) == truth
    assert right[wrong].float().mean() > 0.8
    assert right[~wrong].float().mean() > 0.9

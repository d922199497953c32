"""The ensemble, and what all methods of several networks have in common."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from consilience.methods.base import Method
from consilience.methods.ensemble import redrawn
from consilience.methods.hybrid import summed_loss
from consilience.model.types import Batch

Build = Callable[..., Method]
Windows = Callable[..., dict[str, Tensor]]


@pytest.mark.parametrize("members", [1, 4])
def test_the_members_are_trained_independently(build: Build, batch: Batch, members: int) -> None:
    network = build("ensemble", members=members, unimodal=0.5)
    assert len(network.networks) == members  # type: ignore[arg-type]
    outputs = [branch(batch.inputs, batch.available) for branch in network.networks]  # type: ignore[operator, union-attr]
    alone = [
        summed_loss(output, batch.available, batch.target, batch.affect, 0.5) for output in outputs
    ]
    loss, _ = network.loss(batch, 0.5)
    assert_close(loss, torch.stack(alone).sum())
    for branch, of_member in zip(network.networks, alone, strict=True):  # type: ignore[arg-type]
        weights = list(branch.parameters())
        together = torch.autograd.grad(loss, weights, retain_graph=True)
        separate = torch.autograd.grad(of_member, weights, retain_graph=True)
        assert_close(together, separate)


def test_the_second_network_starts_elsewhere_with_the_same_spread(build: Build) -> None:
    first = build("hybrid").network
    second = redrawn(first)  # type: ignore[arg-type]
    for (name, first_weight), second_weight in zip(
        first.named_parameters(),  # type: ignore[union-attr]
        second.parameters(),
        strict=True,
    ):
        assert not torch.equal(first_weight, second_weight), name
    weights = torch.cat([weight.flatten() for weight in first.parameters()])  # type: ignore[union-attr]
    again = torch.cat([weight.flatten() for weight in second.parameters()])
    assert_close(again.std(), weights.std(), rtol=0.1, atol=0)


@pytest.mark.parametrize("name", ["co_teaching", "ensemble"])
def test_the_networks_probabilities_are_averaged(
    build: Build, windows: Windows, masks: Tensor, name: str
) -> None:
    network = build(name)
    outputs = [branch(windows(), masks).logits.softmax(-1) for branch in network.networks]  # type: ignore[operator, union-attr]
    actual = network.forward((windows(), masks)).logits.softmax(-1)
    assert_close(actual, torch.stack(outputs).mean(0))

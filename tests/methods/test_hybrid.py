"""The hybrid's losses, and reliability and coherence of unimodal predictions."""

from collections.abc import Callable

import torch
from torch.testing import assert_close

from consilience.methods.base import Method, task_loss
from consilience.methods.hybrid import agreement, summed_loss
from consilience.model.losses import cross_entropy, gaussian_nll
from consilience.model.types import Batch

Build = Callable[..., Method]


def test_the_loss_is_fused_plus_weighted_unimodal_losses(build: Build, batch: Batch) -> None:
    network = build("hybrid", unimodal=0.3)
    output = network.network(batch.inputs, batch.available)  # type: ignore[operator]
    prediction = network.forward((batch.inputs, batch.available))
    unimodal = torch.zeros(())
    for m in range(3):
        weight = batch.available[:, m]
        mean, log_variance = (values[:, m] for values in output.unimodal_affect)
        unimodal = unimodal + cross_entropy(output.unimodal[:, m], batch.target, weight)
        unimodal = unimodal + gaussian_nll(mean, log_variance, batch.affect, weight)
    expected = task_loss(prediction, batch) + 0.3 * unimodal
    loss, probability = network.loss(batch, 0.5)
    assert_close(loss, expected)
    assert_close(probability, output.logits.softmax(-1))


def test_the_class_loss_can_be_replaced(build: Build, batch: Batch) -> None:
    output = build("hybrid").network(batch.inputs, batch.available)  # type: ignore[operator]
    arguments = (output, batch.available, batch.target, batch.affect, 1.0)
    doubled = summed_loss(*arguments, lambda *given: 2 * cross_entropy(*given))
    none = summed_loss(*arguments, lambda *given: 0 * cross_entropy(*given))
    assert_close(doubled - none, 2 * (summed_loss(*arguments) - none))


def test_reliability_is_certainty_times_agreement() -> None:
    certain, other, uniform = torch.eye(4)[0], torch.eye(4)[1], torch.full((4,), 0.25)
    everything = torch.ones(1, 3)
    agreeing = agreement(torch.stack([certain] * 3)[None], everything)
    assert_close(agreeing["reliability"], everything)
    assert_close(agreeing["coherence"], torch.ones(1))
    opposed = agreement(torch.stack([certain, other, uniform])[None], everything)
    assert (opposed["reliability"] < 1e-3).all()
    assert opposed["coherence"] < agreeing["coherence"]
    missing = agreement(torch.stack([certain, other, uniform])[None], torch.tensor([[1.0, 0, 0]]))
    assert_close(missing["reliability"], torch.tensor([[1.0, 0, 0]]))
    assert_close(missing["coherence"], torch.ones(1))

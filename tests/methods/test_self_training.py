"""Self-training against its formula."""

from collections.abc import Callable

import torch
from torch.testing import assert_close

from consilience.methods.base import Method
from consilience.methods.self_training import pseudo_label_loss
from consilience.model.types import Batch

Build = Callable[..., Method]


def test_only_certain_predictions_become_labels() -> None:
    clean = torch.tensor([[0.97, 0.01, 0.01, 0.01], [0.9, 0.1, 0, 0], [0.01, 0.96, 0.03, 0]])
    logits = torch.randn(4, 4, generator=torch.Generator().manual_seed(0))
    clean = torch.cat([clean, torch.tensor([[0.99, 0.01, 0, 0]])])
    target = torch.full((4, 4), torch.nan)
    target[3] = torch.tensor([0.0, 0, 1, 0])  # labelled: counts for nothing here
    logs = logits.log_softmax(-1)
    expected = -(logs[0, 0] + logs[2, 1]) / 3
    assert_close(pseudo_label_loss(logits, clean, target, 0.95), expected)
    assert pseudo_label_loss(logits, clean, target, 0.999) == 0


def test_self_training_is_the_hybrid_plus_the_ramped_unlabelled_loss(
    build: Build, batch: Batch
) -> None:
    few = batch._replace(target=torch.where(torch.arange(12)[:, None] < 4, batch.target, torch.nan))
    network, plain = build("self_training", threshold=0.0, ramp=0.5), build("hybrid")
    clean = network.network(few.clean, few.present).logits.softmax(-1)  # type: ignore[operator]
    output = network.network(few.inputs, few.available)  # type: ignore[operator]
    extra = pseudo_label_loss(output.logits, clean, few.target, 0.0)
    assert extra > 0
    supervised = plain.loss(few, 0.25)[0]
    assert_close(network.loss(few, 0.25)[0], supervised + 0.5 * extra)
    assert_close(network.loss(few, 1.0)[0], supervised + extra)
    assert_close(network.loss(few, 1.0)[1], clean)

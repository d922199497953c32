"""Early-learning regularisation against the paper's equation."""

from collections.abc import Callable

import numpy as np
import torch
from scipy.special import softmax
from torch.testing import assert_close

from consilience.methods.base import Method
from consilience.methods.elr import early_learning
from consilience.model.losses import cross_entropy
from consilience.model.types import Batch
from tests.methods.noisy_labels import KEPT, LOGITS, missing_third

Build = Callable[..., Method]
RNG = np.random.default_rng(0)


def test_elr_is_the_papers() -> None:
    average = RNG.dirichlet(np.ones(4), 6)
    p = softmax(LOGITS, -1)
    expected = np.log(1 - (p * average).sum(-1))[KEPT].mean()
    actual = early_learning(torch.from_numpy(LOGITS), torch.from_numpy(average), missing_third())
    np.testing.assert_allclose(actual.item(), expected, rtol=1e-9)


def test_elr_weakens_the_gradient_of_a_label_the_average_contradicts() -> None:
    """At the average's prediction the regulariser opposes the cross-entropy."""
    logits = torch.tensor([[4.0, 0, 0]], requires_grad=True)
    average, target = torch.tensor([[0.96, 0.02, 0.02]]), torch.tensor([[0.0, 1, 0]])
    plain = torch.autograd.grad(cross_entropy(logits, target), logits)[0]
    regular = torch.autograd.grad(early_learning(logits, average, target), logits)[0]
    assert plain[0, 0] > 0
    assert regular[0, 0] < 0


def test_elr_adds_the_regulariser_to_every_cross_entropy(build: Build, batch: Batch) -> None:
    plain, network = build("hybrid"), build("elr", regularisation=3.0)
    output = network.network(batch.inputs, batch.available)  # type: ignore[operator]
    average = early_learning(output.logits, batch.consensus, batch.target)
    for m in range(3):
        logits, weight = output.unimodal[:, m], batch.available[:, m]
        average = average + early_learning(logits, batch.consensus, batch.target, weight)
    assert_close(network.loss(batch, 0.5)[0], plain.loss(batch, 0.5)[0] + 3 * average)

"""ActionMAE against the paper's equations."""

from collections.abc import Callable

import numpy as np
import torch
from scipy.special import softmax
from torch.testing import assert_close

from consilience.methods.action_mae import attend, reconstruction_loss
from consilience.methods.base import Method, task_loss
from consilience.model.types import Batch

Build = Callable[..., Method]
RNG = np.random.default_rng(0)


def test_attention_is_over_the_visible_tokens() -> None:
    q, k, v = RNG.normal(size=(3, 2, 4, 6))
    seen = np.array([[1.0, 1, 0, 1], [1, 0, 0, 0]])
    actual = attend(*map(torch.from_numpy, (q, k, v, seen)))
    for i in range(2):
        chosen = seen[i] > 0
        weights = softmax(q[i] @ k[i][chosen].T / np.sqrt(6), -1)
        np.testing.assert_allclose(actual[i], weights @ v[i][chosen], rtol=1e-9)


def test_reconstruction_counts_hidden_tokens_alone() -> None:
    decoded, target = RNG.normal(size=(2, 3, 2, 5))
    hidden = np.array([[0.0, 1], [1, 0], [0, 0]])
    terms = []
    for i, m in ((0, 1), (1, 0)):
        wanted = (target[i, m] - target[i, m].mean()) / np.sqrt(target[i, m].var() + 1e-5)
        terms.append(((decoded[i, m] - wanted) ** 2).mean())
    actual = reconstruction_loss(*map(torch.from_numpy, (decoded, target, hidden)))
    np.testing.assert_allclose(actual.item(), np.mean(terms), rtol=1e-6)
    nothing_hidden = reconstruction_loss(
        torch.from_numpy(decoded), torch.from_numpy(target), torch.zeros(3, 2)
    )
    assert nothing_hidden == 0


def test_action_mae_learns_to_reconstruct_what_was_hidden(build: Build, batch: Batch) -> None:
    network = build("action_mae", reconstruction=2.0)
    plain = task_loss(network.forward((batch.inputs, batch.available)), batch)
    whole = batch._replace(present=batch.available)
    assert_close(network.loss(whole, 0.5)[0], plain)
    assert network.loss(batch, 0.5)[0] > plain

"""QMF against its formulas."""

from collections.abc import Callable

import numpy as np
import torch
from scipy.special import logsumexp
from torch import Tensor

from consilience.methods.base import Method
from consilience.methods.qmf import ranking_loss

Build = Callable[..., Method]
Windows = Callable[..., dict[str, Tensor]]


def alone(network: Method, windows: Windows, masks: Tensor) -> np.ndarray:
    logits: np.ndarray = network.unimodal_output(windows(), masks).logits.detach().numpy()  # type: ignore[operator]
    return logits


def test_qmf_weights_logits_by_their_negative_energy(
    build: Build, windows: Windows, masks: Tensor
) -> None:
    network = build("qmf")
    logits = alone(network, windows, masks)
    weight = 0.1 * logsumexp(logits, -1, keepdims=True) * masks.numpy()[..., None]
    actual = network.forward((windows(), masks)).logits.detach().numpy()
    np.testing.assert_allclose(actual, (weight * logits).sum(1), rtol=1e-4, atol=1e-6)


def test_qmf_ranks_neighbours_by_the_papers_formula() -> None:
    rng = np.random.default_rng(0)
    weight, missed = rng.normal(size=6), rng.gamma(2.0, size=6)
    available = np.array([1.0, 1, 0, 1, 1, 1])
    scale = missed[available > 0].max() - missed[available > 0].min()
    terms = []
    for i, j in zip(range(6), (1, 2, 3, 4, 5, 0), strict=True):
        if available[i] and available[j]:
            difference = (missed[i] - missed[j]) / scale
            g = np.sign(difference)
            terms.append(max(0.0, g * (weight[i] - weight[j]) + abs(difference)))
    actual = ranking_loss(*(torch.from_numpy(values) for values in (weight, missed, available)))
    np.testing.assert_allclose(actual.item(), np.mean(terms), rtol=1e-6)


def test_qmf_penalises_only_weights_that_do_not_fall_as_losses_rise() -> None:
    missed = torch.tensor([0.0, 1.0, 2.0, 4.0])
    everyone = torch.ones(4)
    assert ranking_loss(-missed, missed, everyone) == 0
    assert ranking_loss(missed, missed, everyone) > 0.5
    assert ranking_loss(missed, missed, torch.zeros(4)) == 0


def test_the_fusion_sends_no_gradient_to_the_weights(build: Build, windows: Windows) -> None:
    network, only = build("qmf"), torch.tensor([1.0, 0, 0]).expand(12, 3)
    network.forward((windows(), only)).logits.sum().backward()
    bias = network.heads[0][-1].bias  # type: ignore[index, union-attr]
    weight = 0.1 * logsumexp(alone(network, windows, only)[:, 0], -1)
    np.testing.assert_allclose(bias.grad[:4].numpy(), np.full(4, weight.sum()), rtol=1e-4)

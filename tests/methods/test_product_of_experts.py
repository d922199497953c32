"""The product of experts against its formula."""

from collections.abc import Callable

import numpy as np
import torch
from scipy.special import log_softmax, softmax
from torch import Tensor
from torch.testing import assert_close

from consilience.methods.base import Method
from consilience.model.types import Batch

Build = Callable[..., Method]
Windows = Callable[..., dict[str, Tensor]]


def alone(network: Method, windows: Windows, masks: Tensor) -> np.ndarray:
    logits: np.ndarray = network.unimodal_output(windows(), masks).logits.detach().numpy()  # type: ignore[operator]
    return logits


def test_the_product_counts_the_prior_once(build: Build, windows: Windows, masks: Tensor) -> None:
    network = build("product_of_experts")
    temperature = network.calibration["log_expert_temperature"].detach().exp().numpy()
    of_sets = network._log_temperature(masks).detach().exp().numpy()  # type: ignore[operator]
    prior = log_softmax(network.log_prior.detach().numpy())  # type: ignore[operator, union-attr]
    logits = alone(network, windows, masks)
    actual = (
        network.calibrated(network.forward((windows(), masks))).logits.softmax(-1).detach().numpy()
    )
    for row, mask, of_set, probability in zip(
        logits, masks.numpy() > 0, of_sets, actual, strict=True
    ):
        if mask.any():
            experts = log_softmax(row / temperature[:, None], -1)[mask]
            product = experts.sum(0) - (mask.sum() - 1) * prior
            np.testing.assert_allclose(probability, softmax(product / of_set), rtol=1e-4)


def test_the_prior_becomes_the_frequency_of_the_classes(build: Build, batch: Batch) -> None:
    network = build("product_of_experts")
    target = torch.eye(4)[torch.tensor([0, 0, 0, 0, 0, 0, 1, 1, 1, 2, 2, 3])]
    optimizer = torch.optim.Adam([network.log_prior], 0.05)  # type: ignore[list-item]
    for _ in range(300):
        loss, _ = network.loss(batch._replace(target=target), 0.5)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert_close(network.log_prior.softmax(-1), target.mean(0), atol=1e-3, rtol=0)  # type: ignore[operator, union-attr]

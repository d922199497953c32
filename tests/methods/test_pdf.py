"""Predictive dynamic fusion against its formulas."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from consilience.methods.base import Method
from consilience.methods.pdf import fusion_weights, relative_calibration
from consilience.model.types import Batch

Build = Callable[..., Method]
Windows = Callable[..., dict[str, Tensor]]


def test_the_weights_are_the_papers_for_two_modalities() -> None:
    confidence = torch.tensor([[0.8, 0.3]])
    probability = torch.tensor([[[0.7, 0.2, 0.1], [0.5, 0.3, 0.2]]])
    losses = -np.log([0.8, 0.3])
    co_confidence = np.array([0.8, 0.3]) + losses[::-1] / losses.sum()
    distance = np.abs(probability[0].numpy() - 1 / 3).mean(-1)
    co_confidence *= np.minimum(distance / distance[::-1], 1)
    expected = np.exp(co_confidence) / np.exp(co_confidence).sum()
    actual = fusion_weights(confidence, probability, torch.ones(1, 2))
    np.testing.assert_allclose(actual[0].numpy(), expected, rtol=1e-5)


@pytest.mark.parametrize("available", [[1.0, 1, 1], [1.0, 0, 1], [0.0, 1, 0], [0.0, 0, 0]])
def test_the_weights_sum_to_1_over_the_available_modalities(available: list[float]) -> None:
    mask = torch.tensor([available]).expand(6, 3)
    weights = fusion_weights(torch.rand(6, 3), torch.randn(6, 3, 4).softmax(-1), mask)
    assert_close(weights.sum(-1), mask.amax(-1))
    assert (weights[mask == 0] == 0).all()


def test_a_modality_of_low_confidence_gets_less_weight() -> None:
    probability = torch.tensor([0.6, 0.3, 0.1]).expand(1, 3, 3)
    everyone = torch.ones(1, 3)
    equal = fusion_weights(torch.tensor([[0.6, 0.6, 0.6]]), probability, everyone)
    assert_close(equal, torch.full((1, 3), 1 / 3))
    lower = fusion_weights(torch.tensor([[0.6, 0.1, 0.6]]), probability, everyone)
    assert lower[0, 1] < 0.25
    assert_close(lower[0, 0], lower[0, 2])


def test_calibration_lowers_uniform_predictions_and_raises_none() -> None:
    probability = torch.tensor([[[0.9, 0.05, 0.05], [0.34, 0.33, 0.33], [0.8, 0.1, 0.1]]])
    factor = relative_calibration(probability, torch.ones(1, 3))
    assert factor[0, 0] == 1
    assert factor[0, 1] < 0.05
    alone = relative_calibration(probability, torch.tensor([[0.0, 1, 0]]))
    assert alone[0, 1] == 1


def test_the_confidence_heads_learn_the_probability_of_the_true_class(
    build: Build, batch: Batch
) -> None:
    network = build("pdf")
    whole = batch._replace(inputs=batch.clean, available=torch.ones(12, 3))
    heads = list(network.confidence.parameters())  # type: ignore[union-attr]
    optimizer = torch.optim.Adam(heads, 0.02)
    for _ in range(400):
        loss, _ = network.loss(whole, 0.5)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    output, confidence = network._outputs(whole.inputs, whole.available)  # type: ignore[operator]
    of_truth = (whole.target[:, None] * output.logits.softmax(-1)).sum(-1)
    labelled = whole.target.isfinite().all(-1)
    assert_close(confidence[labelled], of_truth[labelled], rtol=0, atol=0.1)

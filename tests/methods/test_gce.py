"""The generalised cross-entropy against the paper's equation."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from scipy.special import softmax
from torch.testing import assert_close

from consilience.methods.base import Method
from consilience.methods.gce import generalised_cross_entropy
from consilience.model.losses import cross_entropy
from consilience.model.types import Batch
from tests.methods.noisy_labels import KEPT, LABELS, LOGITS, TARGET, missing_third

Build = Callable[..., Method]


@pytest.mark.parametrize("q", [0.3, 0.7, 1.0])
def test_gce_is_the_papers(q: float) -> None:
    p = softmax(LOGITS, -1)[np.arange(6), LABELS]
    actual = generalised_cross_entropy(q, torch.from_numpy(LOGITS), missing_third())
    np.testing.assert_allclose(actual.item(), ((1 - p**q) / q)[KEPT].mean(), rtol=1e-9)


def test_gce_lies_between_cross_entropy_and_absolute_error() -> None:
    logits, target = torch.from_numpy(LOGITS), torch.from_numpy(TARGET)
    near_zero = generalised_cross_entropy(1e-7, logits, target)
    assert_close(near_zero, cross_entropy(logits, target), rtol=1e-5, atol=1e-6)
    absolute = (logits.softmax(-1) - target).abs().sum(-1).mean() / 2
    assert_close(generalised_cross_entropy(1.0, logits, target), absolute)


def test_gce_replaces_every_cross_entropy(build: Build, batch: Batch) -> None:
    network = build("gce")
    output = network.network(batch.inputs, batch.available)  # type: ignore[operator]
    without_affect = batch._replace(affect=torch.full_like(batch.affect, torch.nan))
    expected = generalised_cross_entropy(0.7, output.logits, batch.target)
    for m in range(3):
        weight = batch.available[:, m]
        of_modality = generalised_cross_entropy(0.7, output.unimodal[:, m], batch.target, weight)
        expected = expected + of_modality
    assert_close(network.loss(without_affect, 0.5)[0], expected)

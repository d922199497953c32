"""ShaSpec against the paper's equations."""

from collections.abc import Callable

import numpy as np
import torch
from scipy.special import log_softmax
from torch import Tensor
from torch.testing import assert_close

from consilience.methods.base import Method, task_loss
from consilience.methods.shaspec import alignment_loss, domain_loss
from consilience.model.types import Batch

Build = Callable[..., Method]
Windows = Callable[..., dict[str, Tensor]]
RNG = np.random.default_rng(0)


def test_a_missing_feature_is_the_mean_of_the_shared_ones(
    build: Build, windows: Windows, masks: Tensor
) -> None:
    network = build("shaspec")
    features = network._features(windows(), masks)  # type: ignore[operator]
    fused = network._fused(features, masks).detach().numpy()  # type: ignore[operator]
    shared, specific = (values.detach().numpy() for values in features)
    weight = network.compose.weight.detach().numpy()  # type: ignore[union-attr]
    bias = network.compose.bias.detach().numpy()  # type: ignore[union-attr]
    for r, s, mask, actual in zip(shared, specific, masks.numpy() > 0, fused, strict=True):
        for m in range(3):
            if mask[m]:
                expected = weight @ np.concatenate([r[m], s[m]]) + bias + r[m]
            else:
                expected = r[mask].mean(0) if mask.any() else np.zeros_like(r[m])
            np.testing.assert_allclose(actual[m], expected, rtol=1e-4, atol=1e-6)


def test_alignment_is_the_distance_of_shared_features() -> None:
    shared = RNG.normal(size=(4, 3, 5))
    available = np.array([[1.0, 1, 1], [1, 1, 0], [0, 1, 1], [1, 0, 0]])
    expected = 0.0
    for m, n in ((0, 1), (0, 2), (1, 2)):
        both = (available[:, m] * available[:, n]) > 0
        expected += np.abs(shared[both, m] - shared[both, n]).mean()
    actual = alignment_loss(torch.from_numpy(shared), torch.from_numpy(available))
    np.testing.assert_allclose(actual.item(), expected, rtol=1e-9)
    same = torch.ones(4, 3, 5)
    assert alignment_loss(same, torch.ones(4, 3)) == 0


def test_the_domain_of_a_specific_feature_is_its_modality() -> None:
    logits = RNG.normal(size=(4, 3, 3))
    available = np.array([[1.0, 1, 1], [1, 1, 0], [0, 1, 1], [1, 0, 0]])
    terms = [
        -log_softmax(logits[i, m])[m] for i in range(4) for m in range(3) if available[i, m] > 0
    ]
    actual = domain_loss(torch.from_numpy(logits), torch.from_numpy(available))
    np.testing.assert_allclose(actual.item(), np.mean(terms), rtol=1e-9)


def test_shaspec_weighs_its_objectives(build: Build, batch: Batch) -> None:
    network = build("shaspec", alignment=0.1, domain=0.02)
    features = network._features(batch.inputs, batch.available)  # type: ignore[operator]
    prediction = network.forward((batch.inputs, batch.available))
    expected = task_loss(prediction, batch)
    expected = expected + 0.1 * alignment_loss(features.shared, batch.available)
    domain = network.domain(features.specific)  # type: ignore[operator]
    expected = expected + 0.02 * domain_loss(domain, batch.available)
    assert_close(network.loss(batch, 0.5)[0], expected)

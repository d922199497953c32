"""Late fusion, and what all independent experts have in common."""

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from scipy.special import softmax
from torch import Tensor
from torch.testing import assert_close

from consilience.methods.base import Method
from consilience.methods.late_fusion import mix_gaussians
from consilience.model.types import Batch

Build = Callable[..., Method]
Windows = Callable[..., dict[str, Tensor]]
FAMILY = ("late_fusion", "unimodal", "product_of_experts", "qmf")


def same_weights(build: Build, *names: str) -> list[Method]:
    methods = [build(name) for name in names]
    for other in methods[1:]:
        wanted = {
            name: v for name, v in methods[0].state_dict().items() if "calibration" not in name
        }
        other.load_state_dict(wanted, strict=False)
    return methods


def alone(network: Method, windows: Windows, masks: Tensor) -> np.ndarray:
    logits: np.ndarray = network.unimodal_output(windows(), masks).logits.detach().numpy()  # type: ignore[operator]
    return logits


@pytest.mark.parametrize("name", FAMILY[:3])
def test_one_modality_trains_its_own_model_alone(build: Build, batch: Batch, name: str) -> None:
    network = build(name)
    only = batch._replace(available=torch.tensor([1.0, 0, 0]).expand(12, 3))
    loss, _ = network.loss(only, 0.5)
    loss.backward()
    for weight_name, weight in network.named_parameters():
        touched = weight.grad is not None and bool((weight.grad != 0).any())
        of_eeg = ".eeg." in weight_name or weight_name.startswith("heads.0.")
        assert touched == (of_eeg or weight_name == "log_prior"), weight_name


def test_with_one_modality_all_experts_predict_the_same(build: Build, windows: Windows) -> None:
    only = torch.tensor([0.0, 1, 0]).expand(12, 3)
    expected = None
    for network in same_weights(build, *FAMILY[:3]):
        with torch.no_grad():
            for weight in network.calibration.values():
                weight.zero_()
        prediction = network.predict((windows(), only))
        actual = prediction.logits.softmax(-1)
        expected = actual if expected is None else expected
        assert_close(actual, expected, rtol=1e-4, atol=1e-6)


def test_late_fusion_averages_probabilities(build: Build, windows: Windows, masks: Tensor) -> None:
    network = build("late_fusion")
    logits = alone(network, windows, masks)
    actual = network.forward((windows(), masks)).logits.softmax(-1).detach().numpy()
    for row, mask, probability in zip(logits, masks.numpy(), actual, strict=True):
        if mask.any():
            expected = softmax(row[mask > 0], -1).mean(0)
            np.testing.assert_allclose(probability, expected, rtol=1e-4)


def test_a_mixture_of_gaussians_has_the_moments_of_its_samples() -> None:
    mean = torch.tensor([[[0.0], [3.0], [100.0]]])
    log_variance = torch.tensor([[[0.0], [math.log(4.0)], [0.0]]])
    mixed, log_spread = mix_gaussians(mean, log_variance, torch.tensor([[1.0, 1, 0]]))
    rng = np.random.default_rng(0)
    samples = np.concatenate([rng.normal(0, 1, 100_000), rng.normal(3, 2, 100_000)])
    np.testing.assert_allclose(mixed.item(), samples.mean(), atol=0.02)
    np.testing.assert_allclose(log_spread.exp().item(), samples.var(), rtol=0.02)
    nothing = mix_gaussians(mean, log_variance, torch.zeros(1, 3))
    assert_close(torch.stack(nothing), torch.zeros(2, 1, 1))

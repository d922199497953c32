"""Late fusion, unimodal, product of experts and QMF against their formulas."""

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from scipy.special import log_softmax, logsumexp, softmax
from torch import Tensor
from torch.testing import assert_close

from consilience.methods.base import Method
from consilience.methods.late_fusion import mix_gaussians
from consilience.methods.qmf import ranking_loss
from consilience.model.types import Batch
from consilience.model.uncertainty import normalised_entropy

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
def test_one_modality_is_a_model_of_its_own(build: Build, batch: Batch, name: str) -> None:
    network = build(name)
    only = batch._replace(available=torch.tensor([1.0, 0, 0]).expand(12, 3))
    loss, _ = network.loss(only, 0.5)
    loss.backward()
    for weight_name, weight in network.named_parameters():
        touched = weight.grad is not None and bool((weight.grad != 0).any())
        own = ".eeg." in weight_name or weight_name.startswith("heads.0.")
        assert touched == (own or weight_name == "log_prior"), weight_name


def test_with_one_modality_all_read_the_same(build: Build, windows: Windows) -> None:
    only = torch.tensor([0.0, 1, 0]).expand(12, 3)
    expected = None
    for network in same_weights(build, *FAMILY[:3]):
        with torch.no_grad():
            for weight in network.calibration.values():
                weight.zero_()
        reading = network.predict((windows(), only))
        found = reading.logits.softmax(-1)
        expected = found if expected is None else expected
        assert_close(found, expected, rtol=1e-4, atol=1e-6)


def test_late_fusion_averages_probabilities(build: Build, windows: Windows, masks: Tensor) -> None:
    network = build("late_fusion")
    logits = alone(network, windows, masks)
    found = network.forward((windows(), masks)).logits.softmax(-1).detach().numpy()
    for row, mask, probability in zip(logits, masks.numpy(), found, strict=True):
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


def test_the_product_counts_the_prior_once(build: Build, windows: Windows, masks: Tensor) -> None:
    network = build("product_of_experts")
    temperature = network.calibration["log_temperature"].detach().exp().numpy()
    prior = log_softmax(network.log_prior.detach().numpy())  # type: ignore[operator, union-attr]
    logits = alone(network, windows, masks)
    found = network.predict((windows(), masks)).logits.softmax(-1).detach().numpy()
    for row, mask, probability in zip(logits, masks.numpy() > 0, found, strict=True):
        if mask.any():
            experts = log_softmax(row / temperature[:, None], -1)[mask]
            product = experts.sum(0) - (mask.sum() - 1) * prior
            np.testing.assert_allclose(probability, softmax(product), rtol=1e-4)


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


def test_the_most_certain_modality_speaks(build: Build, windows: Windows, masks: Tensor) -> None:
    network = build("unimodal")
    cooled = network.calibration["log_temperature"].detach().exp()[:, None]
    logits = torch.from_numpy(alone(network, windows, masks)) / cooled
    found = network.predict((windows(), masks))
    for row, mask, said, doubt in zip(logits, masks, found.logits, found.vacuity, strict=True):
        if mask.any():
            best = min(row[mask > 0], key=lambda own: float(normalised_entropy(own.softmax(-1))))
            assert_close(said, best)
            assert_close(doubt, normalised_entropy(best.softmax(-1)))


def test_qmf_weights_logits_by_their_negative_energy(
    build: Build, windows: Windows, masks: Tensor
) -> None:
    network = build("qmf")
    logits = alone(network, windows, masks)
    weight = 0.1 * logsumexp(logits, -1, keepdims=True) * masks.numpy()[..., None]
    found = network.forward((windows(), masks)).logits.detach().numpy()
    np.testing.assert_allclose(found, (weight * logits).sum(1), rtol=1e-4, atol=1e-6)


def test_qmf_ranks_neighbours_as_printed() -> None:
    rng = np.random.default_rng(0)
    weight, missed = rng.normal(size=6), rng.gamma(2.0, size=6)
    known = np.array([1.0, 1, 0, 1, 1, 1])
    scale = missed[known > 0].max() - missed[known > 0].min()
    terms = []
    for i, j in zip(range(6), (1, 2, 3, 4, 5, 0), strict=True):
        if known[i] and known[j]:
            difference = (missed[i] - missed[j]) / scale
            g = np.sign(difference)
            terms.append(max(0.0, g * (weight[i] - weight[j]) + abs(difference)))
    found = ranking_loss(*(torch.from_numpy(values) for values in (weight, missed, known)))
    np.testing.assert_allclose(found.item(), np.mean(terms), rtol=1e-6)


def test_qmf_is_content_with_weights_that_fall_as_losses_rise() -> None:
    missed = torch.tensor([0.0, 1.0, 2.0, 4.0])
    everyone = torch.ones(4)
    assert ranking_loss(-missed, missed, everyone) == 0
    assert ranking_loss(missed, missed, everyone) > 0.5
    assert ranking_loss(missed, missed, torch.zeros(4)) == 0


def test_qmf_takes_its_weights_as_given_when_it_fuses(build: Build, windows: Windows) -> None:
    network, only = build("qmf"), torch.tensor([1.0, 0, 0]).expand(12, 3)
    network.forward((windows(), only)).logits.sum().backward()
    bias = network.heads[0][-1].bias  # type: ignore[index, union-attr]
    weight = 0.1 * logsumexp(alone(network, windows, only)[:, 0], -1)
    np.testing.assert_allclose(bias.grad[:4].numpy(), np.full(4, weight.sum()), rtol=1e-4)

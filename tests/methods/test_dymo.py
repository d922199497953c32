"""Dynamic modality selection."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from consilience.methods.base import Method
from consilience.methods.dymo import SubsetsOutput
from consilience.model.modality_subsets import modality_subsets
from consilience.model.uncertainty import normalised_entropy

Build = Callable[..., Method]
Windows = Callable[..., dict[str, Tensor]]
MASKS = modality_subsets(3)


def subset_of(*members: int) -> int:
    wanted = [float(m in members) for m in range(3)]
    return MASKS.tolist().index(wanted)


def output_of(logits: Tensor, available: Tensor) -> SubsetsOutput:
    n_windows = len(logits)
    affect = torch.zeros(n_windows, 2)
    usual = torch.zeros_like(available)
    return SubsetsOutput(logits, torch.zeros(n_windows, 3, 4), affect, affect, available, usual)


@pytest.mark.parametrize("members", [(0,), (2,), (0, 1), (0, 1, 2)])
def test_the_subset_with_information_is_chosen(build: Build, members: tuple[int, ...]) -> None:
    network = build("dymo")
    with torch.no_grad():
        network.calibration["log_temperature"].zero_()
    logits = 0.1 * torch.randn(1, len(MASKS), 4)
    logits[0, subset_of(*members)] = torch.tensor([0.0, 5, 0, 0])
    prediction = network.calibrated(output_of(logits, torch.ones(1, 3)))
    assert_close(prediction.logits[0], logits[0, subset_of(*members)])


def test_a_subset_with_a_missing_member_is_not_chosen(build: Build) -> None:
    network, logits = build("dymo"), torch.zeros(1, len(MASKS), 4)
    logits[0, :, 0] = 1.0
    logits[0, subset_of(1, 2), 0] = 9.0
    logits[0, subset_of(0), 0] = 3.0
    prediction = network.calibrated(output_of(logits, torch.tensor([[1.0, 0, 1]])))
    temperature = network.calibration["log_temperature"][subset_of(0)].exp()
    assert_close(prediction.logits[0], logits[0, subset_of(0)] / temperature)


def test_of_equal_subsets_the_largest_is_chosen(build: Build) -> None:
    network = build("dymo")
    logits = torch.zeros(2, len(MASKS), 4, requires_grad=True)
    available = torch.tensor([[1.0, 1, 1], [0, 1, 1]])
    network.calibrated(output_of(logits, available)).logits.sum().backward()
    assert logits.grad is not None
    chosen = [row.abs().sum(-1).nonzero().flatten().tolist() for row in logits.grad]
    assert chosen == [[subset_of(0, 1, 2)], [subset_of(1, 2)]]


def test_every_possible_subset_is_calibrated(build: Build, windows: Windows) -> None:
    network, available = build("dymo"), torch.tensor([1.0, 0, 1]).expand(12, 3)
    with torch.no_grad():
        network.calibration["log_temperature"].zero_()  # no gradient of the penalty
    output = network.forward((windows(), available))
    target = torch.eye(4)[torch.arange(12) % 4]
    network.calibration_loss((output, target, torch.zeros(12, 3))).sum().backward()
    gradient = network.calibration["log_temperature"].grad
    assert gradient is not None
    possible = [(MASKS[s] * torch.tensor([0.0, 1, 0])).sum() == 0 for s in range(7)]
    assert (gradient != 0).tolist() == possible


def test_the_chosen_prediction_is_the_networks_for_that_subset(
    build: Build, windows: Windows
) -> None:
    network, inputs = build("dymo"), windows()
    with torch.no_grad():
        for weight in network.calibration.values():
            weight.zero_()
    actual = network.predict((inputs, torch.ones(12, 3)))
    alone = torch.stack(
        [network.network(inputs, mask.expand(12, 3)).logits for mask in MASKS],
        1,  # type: ignore[operator]
    )
    best = normalised_entropy(alone.softmax(-1)).argmin(-1)
    assert len(best.unique()) > 1
    assert_close(actual.logits, alone[torch.arange(12), best])


@pytest.mark.parametrize("sensor", [0, 2])
def test_a_sensor_of_unusual_energy_is_not_chosen(
    build: Build, windows: Windows, sensor: int
) -> None:
    network, name = build("dymo"), ("eeg", "audio", "video")[sensor]
    with torch.no_grad():
        for weight in network.calibration.values():
            weight.zero_()
        network.calibration["energy_weight"][sensor] = torch.tensor([20.0, 0.0])
    inputs, available = windows(), torch.ones(12, 3)
    louder = {**inputs, name: 5 * inputs[name]}
    others = available.clone()
    others[:, sensor] = 0
    actual = network.predict((louder, available)).logits
    assert_close(actual, network.predict((inputs, others)).logits)

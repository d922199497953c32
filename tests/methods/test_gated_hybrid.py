"""The gate over modality subsets by input energy."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from consilience.methods.base import Method

Build = Callable[..., Method]
Windows = Callable[..., dict[str, Tensor]]
CERTAIN = 40.0  # log odds


def test_with_all_weight_on_the_full_set_it_is_the_hybrid(
    build: Build, windows: Windows, masks: Tensor
) -> None:
    gated, hybrid = build("gated_hybrid"), build("hybrid")
    hybrid.network.load_state_dict(gated.network.state_dict())  # type: ignore[union-attr]
    with torch.no_grad():
        for weight in gated.calibration.values():
            weight.zero_()
        gated.calibration["gate_prior"].fill_(CERTAIN)
    actual = gated.predict((windows(), masks)).logits.softmax(-1)
    expected = hybrid.forward((windows(), masks)).logits.softmax(-1)
    assert_close(actual, expected)


def test_the_gate_sees_the_energy_of_each_sensor_and_nothing_else(
    build: Build, windows: Windows
) -> None:
    network, available = build("gated_hybrid"), torch.ones(12, 3)
    inputs = windows()
    before = network.forward((inputs, available))
    rearranged = {name: -values.flip(-1) for name, values in inputs.items()}
    after = network.forward((rearranged, available))
    assert_close(after.reliability_features, before.reliability_features)
    assert not torch.allclose(after.logits, before.logits)
    louder = {**inputs, "audio": 3 * inputs["audio"]}
    changed = network.forward((louder, available)).reliability_features != (
        before.reliability_features
    )
    assert changed.all(-1).any(0).tolist() == [False, True, False]


@pytest.mark.parametrize("sensor", [0, 2])
def test_calibration_lowers_the_weight_of_a_sensor_of_unusual_energy(
    build: Build, windows: Windows, sensor: int
) -> None:
    network, name = build("gated_hybrid"), ("eeg", "audio", "video")[sensor]
    inputs, available = windows(), torch.ones(12, 3)
    # The intact network's own prediction is the truth: corruption makes it worse.
    target = network.forward((inputs, available)).logits[:, 0].softmax(-1).detach()
    corrupted = {**inputs, name: 20 * inputs[name].roll(1, 0)}
    outputs = [network.forward((x, available)) for x in (inputs, corrupted)]
    faulty = torch.zeros(12, 3)
    faulty[:, sensor] = 1.0
    parameters = list(network.calibration.values())
    optimizer = torch.optim.Adam(parameters, 0.1)
    for _ in range(150):
        loss = sum(
            network.calibration_loss((output, target, faults)).mean()
            for output, faults in zip(outputs, (torch.zeros(12, 3), faulty), strict=True)
        )
        optimizer.zero_grad()
        loss.backward(inputs=parameters, retain_graph=True)  # type: ignore[union-attr]
        optimizer.step()
    odds = [network._log_odds(output).detach() for output in outputs]  # type: ignore[operator]
    assert (odds[1][:, sensor] < odds[0][:, sensor] - 2).all()
    reliability = [network.calibrated(output).reliability for output in outputs]
    assert (reliability[1][:, sensor] < 0.3).all()
    assert (reliability[0] > 0.7).all()

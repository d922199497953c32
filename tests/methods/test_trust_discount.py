"""Trust discounting: what a referral changes, and what it is trained for."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.testing import assert_close

from consilience.methods.base import Method
from consilience.methods.trust_discount import first_class_is_right
from consilience.model.types import Batch

Build = Callable[..., Method]
Windows = Callable[..., dict[str, Tensor]]
EVERYONE = torch.ones(12, 3)


def with_trust(network: Method, log_ratio: dict[int, float]) -> Method:
    """Set the referral of some modalities to much evidence for or against them."""
    with torch.no_grad():
        for index, value in log_ratio.items():
            last = network.referral[index][-1]  # type: ignore[index]
            last.weight.zero_()  # type: ignore[union-attr, operator]
            last.bias.copy_(torch.tensor([value, -value]))  # type: ignore[union-attr, operator]
    return network


def test_with_full_trust_it_is_tmc(build: Build, windows: Windows, masks: Tensor) -> None:
    network = with_trust(build("trust_discount"), dict.fromkeys(range(3), 1e5))
    tmc = build("tmc")
    tmc.load_state_dict(network.state_dict(), strict=False)
    actual, expected = network.predict((windows(), masks)), tmc.predict((windows(), masks))
    assert_close(actual.logits, expected.logits, rtol=1e-3, atol=1e-3)
    assert_close(actual.vacuity, expected.vacuity, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("sensor", [0, 2])
def test_without_trust_a_contradicting_sensor_has_no_weight(
    build: Build, windows: Windows, sensor: int
) -> None:
    network = with_trust(build("trust_discount"), {sensor: -1e5})
    others = EVERYONE.clone()
    others[:, sensor] = 0
    discounted = network.forward((windows(), EVERYONE))
    assert_close(discounted.logits, network.forward((windows(), others)).logits, rtol=0, atol=1e-3)
    assert (discounted.reliability[:, sensor] < 1e-3).all()
    assert (discounted.vacuity < 1).all()


def test_less_trust_means_more_vacuity(build: Build, windows: Windows) -> None:
    vacuity = [
        with_trust(build("trust_discount"), dict.fromkeys(range(3), value))
        .predict((windows(), EVERYONE))
        .vacuity
        for value in (10.0, 0.0, -10.0)
    ]
    assert (vacuity[0] < vacuity[1]).all()
    assert (vacuity[1] < vacuity[2]).all()


def test_the_target_of_the_referral_is_whether_the_view_is_right() -> None:
    evidence = torch.tensor([[4.0, 1, 0], [0, 1, 4], [0, 1, 4]])
    target = torch.tensor([[1.0, 0, 0], [0.25, 0.5, 0.25], [torch.nan] * 3])
    actual = first_class_is_right(evidence, target)
    expected = torch.tensor([[1.0, 0], [0.25, 0.75], [torch.nan] * 2])
    assert_close(actual, expected, equal_nan=True)


def test_the_trust_in_a_sensor_without_information_falls(build: Build, batch: Batch) -> None:
    """Two sensors show the class, the third shows noise that changes at every visit."""
    torch.manual_seed(0)
    network = build("trust_discount").train()
    target = torch.eye(4).repeat(16, 1)
    shown = nn.functional.pad(3 * target, (0, 1))
    many = batch._replace(
        target=target,
        affect=torch.full((64, 2), torch.nan),
        available=torch.ones(64, 3),
    )

    def inputs() -> dict[str, Tensor]:
        noise = {name: torch.randn(64, 5) for name in ("eeg", "audio", "video")}
        return {
            "eeg": shown + 0.3 * noise["eeg"],
            "audio": noise["audio"],
            "video": shown + 0.3 * noise["video"],
        }

    optimizer = torch.optim.Adam(network.parameters(), 0.01)
    for step in range(200):
        loss, _ = network.loss(many._replace(inputs=inputs()), step / 200)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    trust = network.eval().predict((inputs(), many.available)).reliability.mean(0)
    assert trust[1] < 0.5
    assert (trust[[0, 2]] > 0.75).all()

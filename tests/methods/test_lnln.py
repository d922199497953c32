"""Dominant-modality correction."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from consilience.methods.base import Method
from consilience.methods.lnln import true_completeness
from consilience.model.types import Batch

Build = Callable[..., Method]
Windows = Callable[..., dict[str, Tensor]]
SENSORS = ["eeg", "audio", "video"]


def with_completeness(network: Method, log_odds: list[float]) -> Method:
    with torch.no_grad():
        for head, value in zip(network.completeness, log_odds, strict=True):  # type: ignore[arg-type]
            head[-1].weight.zero_()
            head[-1].bias.fill_(value)
    return network


def test_an_incomplete_modality_is_replaced_by_its_proxy(build: Build, windows: Windows) -> None:
    network = with_completeness(build("lnln"), [40.0, -200.0, 40.0])
    inputs, available = windows(), torch.ones(12, 3)
    values = network._corrected(inputs, available)  # type: ignore[operator]
    assert_close(values.corrected[:, 1], values.proxies[:, 1])
    assert_close(values.corrected[:, [0, 2]], values.encodings[:, [0, 2]])
    other = {**inputs, "audio": inputs["audio"] + 5.0}
    # Before calibration, whose temperature depends on the energy of every input.
    before, after = (network.forward((x, available)).logits for x in (inputs, other))
    assert_close(before, after)
    # A missing modality is one of completeness 0: the other inputs decide.
    missing = torch.tensor([1.0, 0, 1]).expand(12, 3)
    assert_close(network.predict((inputs, missing)).reliability[:, 1], torch.zeros(12))
    forward = network.forward((inputs, missing)).logits
    assert_close(forward, network.forward((inputs, available)).logits)


def test_a_single_modality_has_no_proxy(build: Build, windows: Windows) -> None:
    alone = torch.tensor([0.0, 1, 0]).expand(12, 3)
    values = build("lnln")._corrected(windows(), alone)  # type: ignore[operator]
    assert (values.proxies[:, 1] == 0).all()
    assert (values.proxies[:, [0, 2]] != 0).any(-1).all()


def test_the_dominant_modality_is_the_query(build: Build, windows: Windows) -> None:
    network = with_completeness(build("lnln"), [40.0] * 3)
    with torch.no_grad():
        network.dominance.copy_(torch.tensor([0.0, 40.0, 0.0]))  # type: ignore[operator, union-attr]
    available = torch.ones(12, 3)
    values = network._corrected(windows(), available)  # type: ignore[operator]
    query = values.encodings[:, 1:2]
    weight = (values.encodings * query).sum(-1).div(8**0.5).softmax(-1)
    attended = (weight[..., None] * values.encodings).sum(1)
    inputs = torch.cat([values.corrected.flatten(1), attended, values.completeness], -1)
    expected = network.head(inputs)[:, :4]  # type: ignore[operator]
    assert_close(network.forward((windows(), available)).logits, expected)


def test_completeness_is_the_share_of_the_clean_input(batch: Batch) -> None:
    clean = {name: torch.ones(12, 5) for name in SENSORS}
    inputs = {name: values.clone() for name, values in clean.items()}
    inputs["audio"][:, :1] = 0  # a fifth of the features dropped
    inputs["video"] += 1.0
    whole = batch._replace(clean=clean, inputs=inputs, available=torch.ones(12, 3))
    expected = torch.tensor([1.0, 1 / 1.2, 0.5]).expand(12, 3)
    assert_close(true_completeness(whole, SENSORS), expected)
    inputs["eeg"][0] = torch.nan
    hidden = torch.ones(12, 3)
    hidden[0, 0] = 0
    missing = true_completeness(whole._replace(available=hidden), SENSORS)
    assert missing[0, 0] == 0
    assert missing.isfinite().all()


@pytest.mark.parametrize("sensor", [0, 1])
def test_noise_lowers_the_estimated_completeness(build: Build, batch: Batch, sensor: int) -> None:
    torch.manual_seed(0)
    network, name = build("lnln"), SENSORS[sensor]
    clean = {other: torch.randn(256, 5) for other in SENSORS}
    many = batch._replace(
        clean=clean,
        available=torch.ones(256, 3),
        target=torch.full((256, 4), torch.nan),
        affect=torch.full((256, 2), torch.nan),
    )

    def noisy() -> dict[str, Tensor]:
        level = 4.0 * (torch.arange(256)[:, None] < 128)
        return {**clean, name: clean[name] + level * torch.randn(256, 5)}

    optimizer = torch.optim.Adam(network.parameters(), 0.01)
    for _ in range(150):
        loss, _ = network.loss(many._replace(inputs=noisy()), 0.5)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    reliability = network.predict((noisy(), many.available)).reliability
    assert reliability[:128, sensor].mean() < reliability[128:, sensor].mean() - 0.4
    others = [m for m in range(3) if m != sensor]
    assert (reliability[:, others].mean(0) > 0.9).all()

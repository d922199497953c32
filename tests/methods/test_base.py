"""Contract of every registered method."""

import copy
import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.testing import assert_close

from consilience.core import registry
from consilience.methods.base import MAX_LOG_TEMPERATURE, Method
from consilience.model.modality_subsets import modality_subsets
from consilience.model.types import Batch
from consilience.schema.params.plugins import MethodParams
from consilience.testing import METHOD_CHECKS, MethodCase, name_of

NAMES = registry.names("methods")
SYMMETRIC = sorted({"late_fusion", "unimodal", "product_of_experts", "qmf", "tmc", "rcml"})
HYBRIDS = sorted(
    {"hybrid", "hybrid_trust", "kd", "kd_trust", "dkd", "dymo", "gce", "elr", "self_training"}
)
SUPERVISED = sorted(
    {"concat", "hybrid", "hybrid_trust", "gce", "elr", "co_teaching", "ensemble", "gated_hybrid"}
    | {"dymo", "pdf", "trust_discount"}
    | set(SYMMETRIC) - {"rcml"}  # it has a loss of conflict, which needs no label
)
Build = Callable[..., Method]
Check = Callable[[MethodCase], None]
Windows = Callable[..., dict[str, Tensor]]

pytestmark = pytest.mark.filterwarnings("error::UserWarning")


CASES = [*((name, {}) for name in NAMES), ("tmc", {"pseudo_view": True})]


@pytest.mark.parametrize("check", METHOD_CHECKS, ids=name_of)
@pytest.mark.parametrize(("name", "settings"), CASES)
def test_it_keeps_the_contract(check: Check, name: str, settings: dict[str, object]) -> None:
    check(MethodCase(registry.get("methods", name), settings))


@pytest.mark.parametrize("name", SUPERVISED)
def test_a_window_without_a_label_does_not_influence_the_loss(
    build: Build, batch: Batch, name: str
) -> None:
    network = build(name)
    row = batch._replace(affect=batch.affect.clone(), available=batch.available.clone())
    row.affect[3] = torch.nan
    other = {sensor: values.clone() for sensor, values in row.inputs.items()}
    for values in other.values():
        values[3] += 1.0
    loss, _ = network.loss(row, 0.5)
    again, _ = network.loss(row._replace(inputs=other), 0.5)
    assert_close(loss, again)


def test_every_set_of_sensors_has_a_temperature(
    build: Build, windows: Windows, masks: Tensor
) -> None:
    network, several = build("hybrid"), masks[:8]
    inputs = {name: values[:8] for name, values in windows().items()}
    of_sets = {tuple(mask): 0.3 * n for n, mask in enumerate(modality_subsets(3).tolist())}
    with torch.no_grad():
        numbers = torch.tensor(list(of_sets.values()))
        network.calibration["log_temperature"].copy_(numbers)
    logits = network.forward((inputs, several)).logits
    actual = network.calibrated(network.forward((inputs, several))).logits  # at usual energy
    for mask, before, after in zip(several.tolist(), logits, actual, strict=True):
        assert_close(after, before / math.exp(of_sets.get(tuple(mask), 0.0)))


def test_unusual_energy_of_available_inputs_changes_the_temperature(
    build: Build, windows: Windows
) -> None:
    network, inputs = build("hybrid"), windows()
    with torch.no_grad():
        network.calibration["log_temperature"].zero_()
        network.calibration["energy_weight"].zero_()
        network.calibration["energy_weight"][1] = torch.tensor([0.3, 0.05])
    louder = {**inputs, "audio": 4 * inputs["audio"]}
    everyone, others = torch.ones(12, 3), torch.tensor([1.0, 0, 1]).expand(12, 3)
    energy = torch.log(louder["audio"].square().mean(1) + 0.01)
    temperature = torch.exp(0.3 * energy + 0.05 * energy.square())[:, None]
    expected = network.forward((louder, everyone)).logits / temperature
    assert_close(network.predict((louder, everyone)).logits, expected)
    assert_close(network.predict((louder, others)).logits, network.forward((louder, others)).logits)
    limit = math.exp(MAX_LOG_TEMPERATURE)
    loudest = {**inputs, "audio": 1e6 * inputs["audio"]}
    expected = network.forward((loudest, everyone)).logits / limit
    assert_close(network.predict((loudest, everyone)).logits, expected)


def test_a_single_sensor_has_one_temperature() -> None:
    network = Method({"eeg": nn.Identity()}, 4, 8, 0.0, MethodParams())
    assert {name: len(w) for name, w in network.calibration.items()} == {"log_temperature": 1}


@pytest.mark.parametrize("n_modalities", [1, 2, 7, 8])
def test_any_number_of_sensors_is_calibrated(n_modalities: int) -> None:
    """Of many sensors not every set is listed: one that is not has the mean temperature."""
    encoders = {str(n): nn.Identity() for n in range(n_modalities)}
    network = Method(encoders, 4, 8, 0.0, MethodParams())
    temperature = network.calibration["log_temperature"]
    assert len(temperature) == {1: 1, 2: 3}.get(n_modalities, len(modality_subsets(n_modalities)))
    with torch.no_grad():
        temperature.copy_(torch.randn_like(temperature))
    several = (torch.rand(64, n_modalities) > 0.5).float()
    listed = {tuple(mask): n for n, mask in enumerate(modality_subsets(n_modalities).tolist())}
    expected = [
        temperature[listed[tuple(mask)]] if tuple(mask) in listed else temperature.mean()
        for mask in several.tolist()
    ]
    assert_close(network._log_temperature(several), torch.stack(expected))
    with torch.no_grad():
        network.coverage.copy_(torch.randn_like(network.coverage))
    thresholds = [
        network.coverage[listed[tuple(mask)]] if tuple(mask) in listed else network.coverage.amax(0)
        for mask in several.tolist()
    ]
    assert_close(network.thresholds(several), torch.stack(thresholds))


@pytest.mark.parametrize("name", [name for name in NAMES if name != "shuffled_teacher"])
def test_training_fits_what_can_be_learned(build: Build, batch: Batch, name: str) -> None:
    network, whole = build(name).train(), torch.ones(12, 3)
    one = batch._replace(available=whole, inputs=batch.clean)
    optimizer = torch.optim.AdamW(network.parameters(), 1e-2)
    for step in range(150):
        loss, _ = network.loss(one, step / 150)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    labelled = one.target.isfinite().all(1)
    read = network.eval().predict((one.inputs, one.available))
    right = read.logits.argmax(1) == one.target.nan_to_num().argmax(1)
    # Co-teaching leaves a share of the windows to chance.
    learned = 1 - getattr(network.params, "forget", 0.0)
    assert right[labelled].float().mean() > 0.9 * learned
    assert_close(read.affect_mean, one.affect, atol=0.35, rtol=0)


def rearranged(network: Method, order: list[int]) -> Method:
    """Return the same network over the sensors in another order."""
    other = copy.deepcopy(network)
    for module in other.modules():
        encoders, heads = getattr(module, "encoders", None), getattr(module, "heads", None)
        if not isinstance(encoders, nn.ModuleDict):
            continue
        names = list(encoders)
        module.encoders = nn.ModuleDict({names[m]: encoders[names[m]] for m in order})
        if isinstance(heads, nn.ModuleList):
            module.heads = nn.ModuleList([heads[m] for m in order])
        joint = getattr(module, "joint", None)
        if joint is not None:
            _rearrange(joint[1], order)
    masks = modality_subsets(3)
    subset = {tuple(mask): number for number, mask in enumerate(masks[:, order].tolist())}
    orders = {
        "log_temperature": [subset[tuple(mask)] for mask in masks.tolist()],
        "log_expert_temperature": order,
        "energy_weight": order,
    }
    for name, weight in other.calibration.items():
        other.calibration[name] = nn.Parameter(weight.detach()[orders[name]])
    return other


def _rearrange(layer: nn.Linear, order: list[int]) -> None:
    *blocks, flags = layer.weight.detach().tensor_split([8, 16, 24], 1)
    layer.weight = nn.Parameter(torch.cat([*(blocks[m] for m in order), flags[:, order]], 1))


@pytest.mark.parametrize("name", [*SYMMETRIC, *HYBRIDS])
def test_the_order_of_the_sensors_does_not_matter(
    build: Build, windows: Windows, masks: Tensor, name: str
) -> None:
    order = [2, 0, 1]
    network, inputs = build(name), windows()
    prediction = network.predict((inputs, masks))
    again = rearranged(network, order).predict((inputs, masks[:, order]))
    assert_close(again.logits, prediction.logits)
    assert_close(again.vacuity, prediction.vacuity)
    assert_close(again.affect_mean, prediction.affect_mean)
    assert_close(again.coherence, prediction.coherence)
    assert_close(again.reliability, prediction.reliability[:, order])

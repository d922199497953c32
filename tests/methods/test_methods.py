"""What every registered method must keep to, whoever wrote it."""

import copy
from collections.abc import Callable, Iterator

import pytest
import torch
from torch import Tensor, nn
from torch.testing import assert_close

from consilience.core import registry
from consilience.methods.base import Method
from consilience.model.stack import Stack
from consilience.model.types import Batch

NAMES = registry.names("methods")
SYMMETRIC = sorted({"late_fusion", "unimodal", "product_of_experts", "qmf", "tmc", "rcml"})
HYBRIDS = sorted({"hybrid", "hybrid_trust", "kd", "kd_trust", "dkd", "gce", "elr", "self_training"})
SUPERVISED = sorted(
    {"concat", "hybrid", "hybrid_trust", "gce", "elr", "co_teaching"}
    | set(SYMMETRIC) - {"rcml"}  # it has a loss of conflict, which needs no label
)
Build = Callable[..., Method]
Windows = Callable[..., dict[str, Tensor]]

pytestmark = pytest.mark.filterwarnings("error::UserWarning")


@pytest.fixture(params=[*[(name, {}) for name in NAMES], ("tmc", {"pseudo_view": True})], ids=str)
def network(request: pytest.FixtureRequest, build: Build) -> Method:
    name, settings = request.param
    return build(name, **settings)


@pytest.mark.parametrize("content", [torch.nan, torch.inf, 1e30])
def test_a_missing_modality_leaks_nothing(
    network: Method, windows: Windows, masks: Tensor, content: float
) -> None:
    given = windows()
    changed = {
        sensor: torch.where(masks[:, m, None] > 0, values, content)
        for m, (sensor, values) in enumerate(given.items())
    }
    for before, after in zip(
        network.predict((given, masks)), network.predict((changed, masks)), strict=True
    ):
        assert_close(before, after, rtol=0, atol=0, equal_nan=True)


def test_nothing_of_a_missing_modality_enters_the_training(network: Method, batch: Batch) -> None:
    other = {
        sensor: torch.where(batch.available[:, m, None] > 0, values, torch.nan)
        for m, (sensor, values) in enumerate(batch.inputs.items())
    }
    loss, opinion = network.semi_supervised_loss(batch, 0.5)
    again, same = network.semi_supervised_loss(batch._replace(inputs=other), 0.5)
    assert_close(loss, again)
    assert_close(opinion, same)
    assert opinion.isfinite().all()


def test_what_was_never_recorded_enters_no_loss(network: Method, batch: Batch) -> None:
    present = torch.maximum(batch.available, torch.tensor([1.0, 0, 0]))
    clean = {
        sensor: torch.where(present[:, m, None] > 0, values, torch.nan)
        for m, (sensor, values) in enumerate(batch.clean.items())
    }
    loss, opinion = network.semi_supervised_loss(batch._replace(present=present), 0.5)
    again, same = network.semi_supervised_loss(batch._replace(present=present, clean=clean), 0.5)
    assert_close(loss, again)
    assert_close(opinion, same)


def test_windows_are_read_one_by_one(network: Method, windows: Windows, masks: Tensor) -> None:
    given = windows()
    order = torch.arange(len(masks)).flip(0)
    shuffled = {sensor: values[order] for sensor, values in given.items()}
    for before, after in zip(
        network.predict((given, masks)), network.predict((shuffled, masks[order])), strict=True
    ):
        assert_close(before[order], after, equal_nan=True)


def test_readings_stay_in_their_ranges_and_nothing_means_ignorance(
    network: Method, windows: Windows, masks: Tensor
) -> None:
    reading = network.predict((windows(), masks))
    assert reading.logits.shape == (len(masks), 4)
    assert reading.affect_mean.shape == reading.affect_log_variance.shape == (len(masks), 2)
    assert reading.reliability.shape == masks.shape
    for values in (reading.logits, reading.affect_mean, reading.affect_log_variance):
        assert values.isfinite().all()
    for values in (reading.vacuity, reading.reliability, reading.coherence):
        known = values[values.isfinite()]
        assert ((known >= -1e-6) & (known <= 1 + 1e-6)).all()
    nothing = masks.sum(1) == 0
    assert nothing.any()
    assert_close(reading.vacuity[nothing], torch.ones(int(nothing.sum())))
    assert_close(
        reading.logits[nothing].softmax(-1), torch.full_like(reading.logits[nothing], 0.25)
    )
    assert (reading.vacuity[~nothing] < 1).all()


def test_every_weight_learns_and_none_of_the_calibration(network: Method, batch: Batch) -> None:
    loss, opinion = network.semi_supervised_loss(batch, 0.5)
    loss.backward()
    assert loss.isfinite()
    assert not opinion.requires_grad
    assert_close(opinion.sum(-1), torch.ones(len(opinion)))
    for name, weight in network.named_parameters():
        if name.startswith("calibration."):
            assert weight.grad is None, name
            continue
        assert weight.grad is not None, name
        assert weight.grad.isfinite().all(), name
        assert weight.grad.abs().sum() > 0, name


def test_what_is_observed_can_be_gathered_over_conditions(
    network: Method, windows: Windows, masks: Tensor
) -> None:
    """A flat tuple of tensors whose first axis are the windows; each is decided alone."""
    given, half = windows(), slice(6, None)
    parts = [
        network.forward(({name: v[own] for name, v in given.items()}, masks[own]))
        for own in (slice(None, 6), half)
    ]
    whole = type(parts[0])(*(torch.cat(both) for both in zip(*parts, strict=True)))
    assert_close(network.calibrated(whole).logits, network.predict((given, masks)).logits)


def test_every_part_of_the_calibration_moves_the_reading(network: Method, windows: Windows) -> None:
    observed = network.forward((windows(), torch.ones(12, 3)))
    reading = network.calibrated(observed)
    said = reading.logits.logsumexp(-1).sum() + reading.reliability.nan_to_num().sum()
    said.backward()
    for name, weight in network.calibration.items():
        assert weight.grad is not None, name
        assert weight.grad.abs().sum() > 0, name


def test_calibration_of_a_single_modality_keeps_its_choice(
    network: Method, windows: Windows
) -> None:
    alone = torch.tensor([0.0, 1, 0]).expand(12, 3)
    before = network.predict((windows(), alone)).logits.argmax(-1)
    with torch.no_grad():
        for weight in network.calibration.values():
            weight.add_(0.7)
    assert_close(network.predict((windows(), alone)).logits.argmax(-1), before)


@pytest.mark.parametrize("progress", [0.0, 0.1, 1.0])
def test_the_loss_is_finite_with_some_labels_or_none(
    network: Method, batch: Batch, progress: float
) -> None:
    several = batch._replace(affect=torch.where(torch.arange(12)[:, None] % 2 > 0, 0.5, torch.nan))
    loss, _ = network.semi_supervised_loss(several, progress)
    assert loss.isfinite()
    unlabelled = several._replace(
        target=torch.full_like(batch.target, torch.nan),
        affect=torch.full_like(batch.affect, torch.nan),
    )
    loss, _ = network.semi_supervised_loss(unlabelled, progress)
    loss.backward()
    assert loss.isfinite()
    for name, weight in network.named_parameters():
        assert weight.grad is None or weight.grad.isfinite().all(), name


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
    loss, _ = network.semi_supervised_loss(row, 0.5)
    again, _ = network.semi_supervised_loss(row._replace(inputs=other), 0.5)
    assert_close(loss, again)


def test_runs_are_stacked(build: Build, batch: Batch) -> None:
    for name in NAMES:
        runs = [build(name, seed) for seed in range(2)]
        given = tuple_map(lambda value: torch.stack([value, value]), batch)
        stack = Stack(copy.deepcopy(runs)).train()
        loss, opinion = stack("semi_supervised_loss", given, 0.5)
        loss.sum().backward()
        reading = stack.eval()("predict", (given.inputs, given.available))
        for run, network in enumerate(runs):
            own_loss, own_opinion = network.train().semi_supervised_loss(batch, 0.5)
            assert_close(loss[run], own_loss, msg=lambda text, n=name: f"{n}: {text}")
            assert_close(opinion[run], own_opinion)
            alone = network.eval().predict((batch.inputs, batch.available))
            for together, single in zip(reading, alone, strict=True):
                assert_close(together[run], single, equal_nan=True)


def test_dropout_is_drawn_for_each_run(build: Build, batch: Batch) -> None:
    for name in NAMES:
        stack = Stack([build(name, dropout=0.4) for _ in range(2)]).train()
        given = tuple_map(lambda value: torch.stack([value, value]), batch)
        loss, _ = stack("semi_supervised_loss", given, 0.5)
        assert loss[0] != loss[1], name


@pytest.mark.parametrize("name", [name for name in NAMES if name != "shuffled_teacher"])
def test_training_fits_what_can_be_learned(build: Build, batch: Batch, name: str) -> None:
    network, whole = build(name).train(), torch.ones(12, 3)
    one = batch._replace(available=whole, inputs=batch.clean)
    optimizer = torch.optim.AdamW(network.parameters(), 1e-2)
    for step in range(150):
        loss, _ = network.semi_supervised_loss(one, step / 150)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    known = one.target.isfinite().all(1)
    read = network.eval().predict((one.inputs, one.available))
    right = read.logits.argmax(1) == one.target.nan_to_num().argmax(1)
    assert right[known].float().mean() > 0.9
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
    temperature = other.calibration["log_temperature"]
    if temperature.ndim:
        other.calibration["log_temperature"] = nn.Parameter(temperature.detach()[order])
    return other


def _rearrange(layer: nn.Linear, order: list[int]) -> None:
    *blocks, flags = layer.weight.detach().tensor_split([8, 16, 24], 1)
    layer.weight = nn.Parameter(torch.cat([*(blocks[m] for m in order), flags[:, order]], 1))


@pytest.mark.parametrize("name", [*SYMMETRIC, *HYBRIDS])
def test_the_order_of_the_sensors_does_not_matter(
    build: Build, windows: Windows, masks: Tensor, name: str
) -> None:
    order = [2, 0, 1]
    network, given = build(name), windows()
    reading = network.predict((given, masks))
    again = rearranged(network, order).predict((given, masks[:, order]))
    assert_close(again.logits, reading.logits)
    assert_close(again.vacuity, reading.vacuity)
    assert_close(again.affect_mean, reading.affect_mean)
    assert_close(again.coherence, reading.coherence)
    assert_close(again.reliability, reading.reliability[:, order])


def tuple_map(function: Callable[[Tensor], Tensor], batch: Batch) -> Batch:
    def leaves() -> Iterator[object]:
        for value in batch:
            if isinstance(value, dict):
                yield {name: function(item) for name, item in value.items()}
            else:
                yield function(value)

    return Batch(*leaves())  # type: ignore[arg-type]

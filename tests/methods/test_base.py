"""Contract of every registered method."""

import copy
import math
from collections.abc import Callable, Iterator

import pytest
import torch
from torch import Tensor, nn
from torch.testing import assert_close

from consilience.core import registry
from consilience.encoders.functionals import FunctionalsEncoder
from consilience.methods.base import MAX_LOG_TEMPERATURE, Method
from consilience.model.modality_subsets import modality_subsets
from consilience.model.stack import Stack
from consilience.model.types import Batch
from consilience.schema.params.plugins import MethodParams

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
Windows = Callable[..., dict[str, Tensor]]

pytestmark = pytest.mark.filterwarnings("error::UserWarning")


@pytest.fixture(params=[*[(name, {}) for name in NAMES], ("tmc", {"pseudo_view": True})], ids=str)
def network(request: pytest.FixtureRequest, build: Build) -> Method:
    name, settings = request.param
    return build(name, **settings)


@pytest.mark.parametrize("content", [torch.nan, torch.inf, 1e30])
def test_the_input_of_a_missing_modality_is_ignored(
    network: Method, windows: Windows, masks: Tensor, content: float
) -> None:
    inputs = windows()
    changed = {
        sensor: torch.where(masks[:, m, None] > 0, values, content)
        for m, (sensor, values) in enumerate(inputs.items())
    }
    for before, after in zip(
        network.predict((inputs, masks)), network.predict((changed, masks)), strict=True
    ):
        assert_close(before, after, rtol=0, atol=0, equal_nan=True)


def test_the_input_of_a_missing_modality_is_ignored_in_training(
    network: Method, batch: Batch
) -> None:
    other = {
        sensor: torch.where(batch.available[:, m, None] > 0, values, torch.nan)
        for m, (sensor, values) in enumerate(batch.inputs.items())
    }
    loss, probability = network.loss(batch, 0.5)
    again, same = network.loss(batch._replace(inputs=other), 0.5)
    assert_close(loss, again)
    assert_close(probability, same)
    assert probability.isfinite().all()


def test_modalities_that_were_not_recorded_enter_no_loss(network: Method, batch: Batch) -> None:
    present = torch.maximum(batch.available, torch.tensor([1.0, 0, 0]))
    clean = {
        sensor: torch.where(present[:, m, None] > 0, values, torch.nan)
        for m, (sensor, values) in enumerate(batch.clean.items())
    }
    loss, probability = network.loss(batch._replace(present=present), 0.5)
    again, same = network.loss(batch._replace(present=present, clean=clean), 0.5)
    assert_close(loss, again)
    assert_close(probability, same)


def test_a_prediction_does_not_depend_on_the_other_windows(
    network: Method, windows: Windows, masks: Tensor
) -> None:
    inputs = windows()
    order = torch.arange(len(masks)).flip(0)
    shuffled = {sensor: values[order] for sensor, values in inputs.items()}
    for before, after in zip(
        network.predict((inputs, masks)), network.predict((shuffled, masks[order])), strict=True
    ):
        assert_close(before[order], after, equal_nan=True)


def test_predictions_stay_in_their_ranges_and_are_uniform_without_input(
    network: Method, windows: Windows, masks: Tensor
) -> None:
    prediction = network.predict((windows(), masks))
    assert prediction.logits.shape == (len(masks), 4)
    assert prediction.affect_mean.shape == prediction.affect_log_variance.shape == (len(masks), 2)
    assert prediction.reliability.shape == masks.shape
    for values in (prediction.logits, prediction.affect_mean, prediction.affect_log_variance):
        assert values.isfinite().all()
    for values in (prediction.vacuity, prediction.reliability, prediction.coherence):
        finite = values[values.isfinite()]
        assert ((finite >= -1e-6) & (finite <= 1 + 1e-6)).all()
    nothing = masks.sum(1) == 0
    assert nothing.any()
    assert_close(prediction.vacuity[nothing], torch.ones(int(nothing.sum())))
    assert_close(
        prediction.logits[nothing].softmax(-1), torch.full_like(prediction.logits[nothing], 0.25)
    )
    assert (prediction.vacuity[~nothing] < 1).all()


def test_every_weight_gets_a_gradient_except_the_calibration(network: Method, batch: Batch) -> None:
    loss, probability = network.loss(batch, 0.5)
    loss.backward()
    assert loss.isfinite()
    assert not probability.requires_grad
    assert_close(probability.sum(-1), torch.ones(len(probability)))
    for name, weight in network.named_parameters():
        if name.startswith(("calibration.", "coverage")):
            assert weight.grad is None, name
            continue
        assert weight.grad is not None, name
        assert weight.grad.isfinite().all(), name
        assert weight.grad.abs().sum() > 0, name


def test_outputs_of_several_conditions_can_be_concatenated(
    network: Method, windows: Windows, masks: Tensor
) -> None:
    """The output is a flat tuple of tensors whose first axis is the windows."""
    inputs, half = windows(), slice(6, None)
    parts = [
        network.uncalibrated(({name: v[rows] for name, v in inputs.items()}, masks[rows]))
        for rows in (slice(None, 6), half)
    ]
    whole = type(parts[0])(*(torch.cat(both) for both in zip(*parts, strict=True)))
    assert_close(network.calibrated(whole).logits, network.predict((inputs, masks)).logits)


def test_every_calibration_parameter_changes_the_prediction(
    network: Method, windows: Windows
) -> None:
    output = network.uncalibrated((windows(), torch.ones(12, 3)))
    prediction = network.calibrated(output)
    total = prediction.logits.logsumexp(-1).sum() + prediction.reliability.nan_to_num().sum()
    total.backward()
    for name, weight in network.calibration.items():
        assert weight.grad is not None, name
        assert weight.grad.abs().sum() > 0, name


def test_calibration_of_a_single_modality_keeps_the_predicted_class(
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
    loss, _ = network.loss(several, progress)
    assert loss.isfinite()
    unlabelled = several._replace(
        target=torch.full_like(batch.target, torch.nan),
        affect=torch.full_like(batch.affect, torch.nan),
    )
    loss, _ = network.loss(unlabelled, progress)
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


@pytest.mark.parametrize("n_modalities", [1, 8])
@pytest.mark.parametrize("name", NAMES)
def test_one_sensor_and_many_are_trained_and_predicted(
    batch: Batch, name: str, n_modalities: int
) -> None:
    torch.manual_seed(0)
    names = [f"sensor_{n}" for n in range(n_modalities)]
    encoders = {sensor: FunctionalsEncoder(5, 8, 0.0) for sensor in names}
    inputs = {sensor: torch.randn(12, 5) for sensor in names}
    for sensor, encoder in encoders.items():
        encoder(inputs[sensor][:1])
    kind = registry.get("methods", name)
    network = kind(encoders, 4, 8, 0.0, kind.Params())
    available = (torch.rand(12, n_modalities) > 0.4).float()
    several = batch._replace(
        inputs=inputs,
        clean=inputs,
        available=available,
        present=torch.ones_like(available),
        sensor_weight=torch.ones_like(available),
    )
    loss, _ = network.loss(several, 0.7)
    loss.backward()
    gradients = [w.grad for w in network.parameters() if w.grad is not None]
    assert all(gradient.isfinite().all() for gradient in gradients)
    prediction = network.eval().predict((inputs, available))
    assert prediction.logits.shape == (12, 4)
    assert prediction.logits.isfinite().all()
    assert prediction.reliability.shape == (12, n_modalities)


def test_runs_are_stacked(build: Build, batch: Batch) -> None:
    for name in NAMES:
        runs = [build(name, seed) for seed in range(2)]
        inputs = tuple_map(lambda value: torch.stack([value, value]), batch)
        stack = Stack(copy.deepcopy(runs)).train()
        loss, probability = stack("loss", inputs, 0.5)
        loss.sum().backward()
        prediction = stack.eval()("predict", (inputs.inputs, inputs.available))
        for run, network in enumerate(runs):
            alone_loss, alone_probability = network.train().loss(batch, 0.5)
            assert_close(loss[run], alone_loss, msg=lambda text, n=name: f"{n}: {text}")
            assert_close(probability[run], alone_probability)
            alone = network.eval().predict((batch.inputs, batch.available))
            for together, single in zip(prediction, alone, strict=True):
                assert_close(together[run], single, equal_nan=True)


def test_dropout_is_drawn_for_each_run(build: Build, batch: Batch) -> None:
    for name in NAMES:
        stack = Stack([build(name, dropout=0.4) for _ in range(2)]).train()
        inputs = tuple_map(lambda value: torch.stack([value, value]), batch)
        loss, _ = stack("loss", inputs, 0.5)
        assert loss[0] != loss[1], name


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


def tuple_map(function: Callable[[Tensor], Tensor], batch: Batch) -> Batch:
    def leaves() -> Iterator[object]:
        for value in batch:
            if isinstance(value, dict):
                yield {name: function(item) for name, item in value.items()}
            else:
                yield function(value)

    return Batch(*leaves())  # type: ignore[arg-type]

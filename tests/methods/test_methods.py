import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from pipeline import registry
from pipeline.methods.base import Batch, Method
from pipeline.methods.coherence_transfer import CoherenceTransferParams
from pipeline.model.encoders import FunctionalsEncoder

NAMES = ("concat", "late_fusion", "hybrid", "coherence_transfer")
SENSORS = ("eeg", "audio", "video")
CLASSES, WIDTH, FEATURES, WINDOWS = 4, 8, 5, 12


def build(name: str, **settings: object) -> Method:
    torch.manual_seed(0)
    kind = registry.find("methods", name)
    encoders = {sensor: FunctionalsEncoder(FEATURES, WIDTH, 0.0) for sensor in SENSORS}
    for encoder in encoders.values():
        encoder(torch.zeros(1, FEATURES))
    network: Method = kind(encoders, CLASSES, WIDTH, 0.0, kind.Params(**settings))
    with torch.no_grad():
        for weight in network.parameters():
            weight.add_(0.1 * torch.randn_like(weight))
    return network.eval()


def windows(seed: int = 1) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return {name: torch.randn(WINDOWS, FEATURES, generator=generator) for name in SENSORS}


def masks() -> Tensor:
    rows = [[bool(n & 1), bool(n & 2), bool(n & 4)] for n in range(8)]
    return torch.tensor((rows * 2)[:WINDOWS]).float()


def batch(seed: int = 1, consensus: Tensor | None = None) -> Batch:
    target = torch.eye(CLASSES)[torch.arange(WINDOWS) % CLASSES]
    target[3] = torch.nan
    return Batch(
        inputs=windows(seed),
        available=masks(),
        clean=windows(seed),
        present=torch.ones(WINDOWS, 3),
        target=target,
        affect=torch.full((WINDOWS, 2), 0.5),
        consensus=torch.full((WINDOWS, CLASSES), 0.25) if consensus is None else consensus,
        swapped=torch.zeros(WINDOWS, 3),
        disagreement=torch.tensor(0.0),
    )


@pytest.mark.parametrize("name", NAMES)
def test_a_missing_modality_leaks_nothing(name: str) -> None:
    network, available = build(name), masks()
    given, other = windows(1), windows(2)
    changed = {
        sensor: torch.where(available[:, m, None] > 0, given[sensor], 1e6 * other[sensor])
        for m, sensor in enumerate(SENSORS)
    }
    for before, after in zip(
        network.read((given, available)), network.read((changed, available)), strict=True
    ):
        assert_close(before, after, rtol=0, atol=0, equal_nan=True)


@pytest.mark.parametrize("name", NAMES)
def test_nothing_of_a_missing_modality_enters_the_training(name: str) -> None:
    network, one = build(name), batch()
    other = {
        sensor: torch.where(one.available[:, m, None] > 0, values, torch.nan)
        for m, (sensor, values) in enumerate(one.inputs.items())
    }
    loss, opinion = network.loss(one, 0.5)
    again, same = network.loss(one._replace(inputs=other), 0.5)
    assert_close(loss, again)
    assert_close(opinion, same)
    assert opinion.isfinite().all()


@pytest.mark.parametrize("name", NAMES)
def test_windows_are_read_one_by_one(name: str) -> None:
    network, given, available = build(name), windows(), masks()
    order = torch.arange(WINDOWS).flip(0)
    shuffled = {sensor: values[order] for sensor, values in given.items()}
    for before, after in zip(
        network.read((given, available)), network.read((shuffled, available[order])), strict=True
    ):
        assert_close(before[order], after, equal_nan=True)


@pytest.mark.parametrize("name", NAMES)
def test_readings_stay_in_their_ranges_and_nothing_means_ignorance(name: str) -> None:
    available = masks()
    reading = build(name).read((windows(), available))
    assert reading.logits.isfinite().all()
    assert reading.affect_mean.isfinite().all()
    assert reading.affect_log_variance.isfinite().all()
    for values in (reading.vacuity, reading.reliability, reading.coherence):
        known = values[values.isfinite()]
        assert ((known >= -1e-6) & (known <= 1 + 1e-6)).all()
    nothing = available.sum(1) == 0
    assert nothing.any()
    assert (reading.vacuity[nothing] == 1).all()
    assert (reading.vacuity[~nothing] < 1).all()


@pytest.mark.parametrize("name", NAMES)
def test_every_weight_learns(name: str) -> None:
    network = build(name)
    loss, _ = network.loss(batch(), 0.5)
    loss.backward()
    for weight_name, weight in network.named_parameters():
        if weight_name.startswith("calibration."):
            assert weight.grad is None, weight_name
            continue
        assert weight.grad is not None, weight_name
        assert weight.grad.isfinite().all(), weight_name
        assert weight.grad.abs().sum() > 0, weight_name


@pytest.mark.parametrize("name", NAMES)
def test_training_fits_what_can_be_learned(name: str) -> None:
    network, one = build(name).train(), batch()
    one = one._replace(available=torch.ones(WINDOWS, 3))
    optimizer = torch.optim.AdamW(network.parameters(), 1e-2)
    for step in range(150):
        loss, _ = network.loss(one, step / 150)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    known = one.target.isfinite().all(1)
    read = network.eval().read((one.inputs, one.available))
    assert (read.logits.argmax(1) == one.target.nan_to_num().argmax(1))[known].all()
    assert_close(read.affect_mean, one.affect, atol=0.3, rtol=0)


def test_one_modality_of_late_fusion_is_a_model_of_its_own() -> None:
    network, one = build("late_fusion"), batch()
    only = one._replace(available=torch.tensor([1.0, 0, 0]).expand(WINDOWS, 3))
    loss, _ = network.loss(only, 0.5)
    loss.backward()
    for name, weight in network.named_parameters():
        touched = weight.grad is not None and bool((weight.grad != 0).any())
        assert touched == (".eeg." in name or name.startswith("heads.0.")), name


def test_the_teacher_learns_nothing_from_the_student() -> None:
    network, one = build("coherence_transfer"), batch()
    untaught = one._replace(target=torch.full_like(one.target, torch.nan))
    untaught = untaught._replace(affect=torch.full_like(one.affect, torch.nan))
    loss, _ = network.loss(untaught, 0.5)
    loss.backward()
    gradients = {
        name: 0.0 if weight.grad is None else float(weight.grad.abs().sum())
        for name, weight in network.named_parameters()
    }
    assert all(value == 0 for name, value in gradients.items() if name.startswith("teacher."))
    assert any(value > 0 for name, value in gradients.items() if name.startswith("network."))


@pytest.mark.parametrize(
    "switch",
    [
        {"transfer": 0.0},
        {"evidence": 0.0},
        {"guidance": "off"},
        {"label_trust": "on"},
        {"unimodal": 0.0},
        {"ramp": 0.0},
    ],
    ids=lambda switch: next(iter(switch)),
)
def test_every_switch_changes_the_loss(switch: dict[str, object]) -> None:
    plain, switched = build("coherence_transfer"), build("coherence_transfer", **switch)
    switched.load_state_dict(plain.state_dict(), strict=False)
    one = batch(consensus=torch.rand(WINDOWS, CLASSES) + 0.01)
    progress = 0.25
    assert not torch.isclose(plain.loss(one, progress)[0], switched.loss(one, progress)[0])


def test_trust_turns_a_contradicted_label_towards_the_consensus() -> None:
    consensus = torch.tensor([[0.02, 0.94, 0.02, 0.02], [0.94, 0.02, 0.02, 0.02]])
    target = torch.eye(CLASSES)[:1].expand(2, -1)
    one = batch()._replace(target=target, consensus=consensus)
    network = build("coherence_transfer", label_trust="on")
    contradicted, confirmed = network._trusted(one, 0.5)  # type: ignore[operator]
    assert contradicted.argmax() == 1
    assert_close(confirmed, target[1])
    early = network._trusted(one, 0.1)  # type: ignore[operator]
    assert_close(early, target)


def test_automatic_trust_waits_for_disagreement() -> None:
    one = batch(consensus=torch.rand(WINDOWS, CLASSES) + 0.01)
    network = build("coherence_transfer")
    threshold = CoherenceTransferParams().trust_from
    calm = network._trusted(one, 0.5)  # type: ignore[operator]
    torn = network._trusted(  # type: ignore[operator]
        one._replace(disagreement=torch.tensor(threshold)), 0.5
    )
    known = one.target.isfinite().all(1)
    assert_close(calm[known], one.target[known])
    assert not torch.allclose(torn[known], one.target[known])

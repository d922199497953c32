"""Every switch of coherence transfer, its formulas and the path of its gradients."""

from collections.abc import Callable, Iterable
from functools import partial

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.special import softmax
from torch import Tensor
from torch.testing import assert_close

from consilience.methods.base import Method
from consilience.methods.coherence_transfer import CoherenceTransfer, ExpertOutput
from consilience.methods.gce import generalised_cross_entropy
from consilience.methods.hybrid import summed_loss
from consilience.model.modality_subsets import modality_subsets
from consilience.model.types import Batch

Build = Callable[..., Method]
Make = Callable[..., CoherenceTransfer]
Windows = Callable[..., dict[str, Tensor]]
Array = NDArray[np.float64]

SENSORS, CLASSES = 3, 4
CERTAIN = 40.0
BARE = {"transfer": 0.0, "evidence": 0.0, "agreement_head": 0.0}
SWITCHES = [
    {"transfer": 0.0},
    {"evidence": 0.0},
    {"agreement_head": 0.0},
    {"modality_subsets": False},
    {"label_correction": "off"},
    {"label_correction": "on"},
    {"label_correction": "on", "gce_q": 0.0},
    {"unimodal": 0.0},
    {**BARE, "modality_subsets": False, "label_correction": "off", "gce_q": 0.0, "unimodal": 0.0},
]


@pytest.fixture
def make(build: Build) -> Make:
    def made(seed: int = 0, **settings: object) -> CoherenceTransfer:
        network = build("coherence_transfer", seed, **settings)
        assert isinstance(network, CoherenceTransfer)
        return network

    return made


@pytest.fixture
def labelled(batch: Batch) -> Batch:
    """Give windows that all have a label."""
    return batch._replace(target=torch.eye(CLASSES)[torch.arange(12) % CLASSES])


def unreliable(batch: Batch, reliability: float = 0.5) -> Batch:
    """Return windows whose labels contradict the label estimate."""
    generator = torch.Generator().manual_seed(9)
    estimate = (2 * torch.randn(12, CLASSES, generator=generator)).softmax(-1)
    return batch._replace(label_estimate=estimate, label_reliability=torch.tensor(reliability))


def loss_of(network: CoherenceTransfer, batch: Batch, progress: float = 0.5) -> float:
    return network.loss(batch, progress)[0].item()


def gradients(network: CoherenceTransfer, batch: Batch, part: str) -> dict[str, Tensor]:
    """Return the gradients of the weights of a part; 0 where there is none."""
    network.zero_grad()
    network.loss(batch, 0.5)[0].backward()
    return {
        name: torch.zeros_like(weight) if weight.grad is None else weight.grad.clone()
        for name, weight in network.named_parameters()
        if name.startswith(part)
    }


def largest(values: Iterable[Tensor]) -> float:
    return max(float(value.abs().max()) for value in values)


def make_certain(network: CoherenceTransfer, classes: list[int | None]) -> None:
    """Make each unimodal head certain of a class for every input; None: of no class."""
    with torch.no_grad():
        for layers, chosen in zip(network.network.heads, classes, strict=True):
            last = layers[-1]  # type: ignore[index]
            last.weight.zero_()
            last.bias.zero_()
            if chosen is not None:
                last.bias[chosen] = CERTAIN


def probabilities_of(numbers: Tensor) -> Array:
    return softmax(numbers.detach().double().numpy(), -1)


@pytest.mark.parametrize("switch", SWITCHES, ids=str)
def test_every_switch_trains_and_predicts(
    make: Make, batch: Batch, masks: Tensor, switch: dict[str, object]
) -> None:
    network = make(**switch)
    for one in (batch, unreliable(batch)):
        for progress in (0.0, 0.5, 0.99):
            loss, probability = network.loss(one, progress)
            assert loss.isfinite()
            assert probability.isfinite().all()
    loss.backward()
    prediction = network.predict((batch.inputs, masks))
    assert all(values.isfinite().all() for values in prediction)


# The transfer


def estimated(batch: Batch) -> Batch:
    """Return windows of which every third is unlabelled, with distinct estimates and weights."""
    target = torch.eye(CLASSES)[torch.arange(12) % CLASSES]
    target[::3] = torch.nan
    weight = torch.linspace(0.4, 1, 36).reshape(12, SENSORS)
    weight[torch.arange(12) % 3 > 0] = 1.0
    return unreliable(batch, 1.0)._replace(target=target, sensor_weight=weight)


def cross_entropies(logits: Tensor, target: Tensor) -> Array:
    return -(target.numpy() * np.log(probabilities_of(logits))).sum(-1)


@pytest.mark.parametrize("transfer", [0.5, 2.0])
def test_unlabelled_windows_are_trained_on_their_estimates_as_far_as_sensors_are_coherent(
    make: Make, batch: Batch, transfer: float
) -> None:
    one = estimated(batch)
    network = make(**{**BARE, "transfer": transfer})
    unlabelled = one.target.isnan().any(1, keepdim=True)
    target = torch.where(unlabelled, one.label_estimate, one.target)
    output = network.network(one.inputs, one.available)
    of_window = torch.where(unlabelled, transfer, 1.0).double().numpy()
    available, sound = one.available.double().numpy(), one.sensor_weight.double().numpy()
    pool = of_window[:, 0] * np.maximum(1 - (available * (1 - sound)).sum(1), 0)
    expected = np.average(cross_entropies(output.logits, target), weights=pool)
    for m in range(SENSORS):
        weight = available[:, m] * sound[:, m] * of_window[:, 0]
        expected += np.average(cross_entropies(output.unimodal[:, m], target), weights=weight)
    expected += cross_entropies(network.network.log_prior.expand(12, -1), target).mean()
    unrated = one._replace(affect=torch.full_like(one.affect, torch.nan))
    assert loss_of(network, unrated) == pytest.approx(expected, rel=1e-4)


def test_without_transfer_unlabelled_windows_enter_no_loss(make: Make, batch: Batch) -> None:
    network, one = make(**BARE), estimated(batch)
    other = one._replace(label_estimate=one.label_estimate.roll(1, 1))
    assert loss_of(network, one) == loss_of(network, other)
    transferring = make(**{**BARE, "transfer": 1.0})
    assert loss_of(transferring, one) != loss_of(transferring, other)


def test_with_labels_for_all_windows_nothing_is_transferred(make: Make, labelled: Batch) -> None:
    assert loss_of(make(transfer=3), labelled) == loss_of(make(transfer=0), labelled)


def test_windows_without_an_estimate_stay_unlabelled(make: Make, batch: Batch) -> None:
    one = estimated(batch)
    without = one._replace(label_estimate=torch.full_like(one.label_estimate, torch.nan))
    expected = loss_of(make(transfer=0), without._replace(sensor_weight=torch.ones(12, SENSORS)))
    sound = without._replace(sensor_weight=torch.ones(12, SENSORS))
    assert loss_of(make(transfer=1), sound) == pytest.approx(expected, rel=1e-5)


def test_affect_is_trained_whatever_the_coherence(make: Make, batch: Batch) -> None:
    """The ratings of a window without a class are its own."""
    one = estimated(batch)._replace(sensor_weight=torch.zeros(12, SENSORS))
    worse = one._replace(affect=one.affect + 3.0 * one.target.isnan().any(1, keepdim=True))
    for transfer in (0.0, 1.0):
        network = make(**{**BARE, "transfer": transfer})
        assert loss_of(network, worse) > loss_of(network, one)


def test_mismatched_sensors_do_not_train_the_agreement_head(make: Make, batch: Batch) -> None:
    network = make(transfer=0, evidence=0, agreement_head=1)
    one = batch._replace(sensor_weight=torch.zeros(12, SENSORS))
    assert largest(gradients(network, batch, "agreement_head").values()) > 0
    assert largest(gradients(network, one, "agreement_head").values()) == 0


# Labels


def posterior(batch: Batch, progress: float) -> Tensor:
    """Return Bayes' posterior of the true classes, window by window."""
    reliability = float(batch.label_reliability)
    right = min(0.999, 1 / CLASSES + reliability * (1 - 1 / CLASSES))
    actual = np.full(batch.target.shape, np.nan)
    labels = batch.target.double().numpy()
    for window, label in enumerate(labels):
        if np.isnan(label).any():
            continue
        estimate = batch.label_estimate[window].double().numpy()
        consensus = batch.consensus[window].double().numpy()
        prior = estimate ** (1 - progress) * consensus**progress
        for k in range(CLASSES):
            likelihood = right if label[k] == 1 else (1 - right) / (CLASSES - 1)
            actual[window, k] = prior[k] * likelihood
        actual[window] /= actual[window].sum()
    return torch.from_numpy(actual).float()


@pytest.mark.parametrize("progress", [0.0, 0.3, 0.9])
@pytest.mark.parametrize("reliability", [0.0, 0.4, 0.8])
@pytest.mark.parametrize("mode", ["auto", "on"])
def test_unreliable_labels_are_replaced_by_bayes_posterior(
    make: Make, batch: Batch, progress: float, reliability: float, mode: str
) -> None:
    one = unreliable(batch, reliability)
    corrected = one._replace(target=posterior(one, progress))
    correcting, uncorrected = make(label_correction=mode, gce_q=0), make(label_correction="off")
    assert loss_of(correcting, one, progress) == pytest.approx(
        loss_of(uncorrected, corrected, progress), rel=1e-5
    )
    assert loss_of(correcting, one, progress) != pytest.approx(
        loss_of(uncorrected, one, progress), rel=1e-4
    )


def test_random_labels_are_ignored_and_reliable_ones_kept(make: Make, batch: Batch) -> None:
    network = make(label_correction="on", gce_q=0)
    lot, other = (
        unreliable(batch, 0.0)._replace(target=t) for t in (batch.target, batch.target.roll(1, 1))
    )
    assert loss_of(network, lot) == pytest.approx(loss_of(network, other), rel=1e-5)
    sure = unreliable(batch, 1.0)
    assert (posterior(sure, 0.5) - sure.target).abs().nan_to_num().max() < 0.05
    assert loss_of(network, sure) != pytest.approx(
        loss_of(network, sure._replace(target=other.target)), rel=1e-2
    )


def test_automatic_correction_starts_below_the_reliability_threshold(
    make: Make, batch: Batch
) -> None:
    auto, always, never = (
        make(label_correction=mode, min_label_reliability=0.6) for mode in ("auto", "on", "off")
    )
    low, high = unreliable(batch, 0.59), unreliable(batch, 0.61)
    assert loss_of(auto, low) == loss_of(always, low) != loss_of(never, low)
    assert loss_of(auto, high) == loss_of(never, high) != loss_of(always, high)


@pytest.mark.parametrize("reliability", [0.5, 1.0])
def test_unreliable_labels_use_the_generalised_cross_entropy(
    make: Make, batch: Batch, reliability: float
) -> None:
    one = unreliable(batch, reliability)
    network = make(gce_q=0.4, **BARE)
    student_out = network.network(one.inputs, one.available)
    if reliability < 1:
        expected = summed_loss(
            student_out,
            one.available,
            posterior(one, 0.5),
            one.affect,
            1.0,
            partial(generalised_cross_entropy, 0.4),
        )
    else:
        expected = summed_loss(student_out, one.available, one.target, one.affect, 1.0)
    target = posterior(one, 0.5) if reliability < 1 else one.target
    expected = expected + network.network.prior_loss(target)
    assert loss_of(network, one) == pytest.approx(expected.item(), rel=1e-5)


def test_a_window_without_a_label_gets_none_from_the_consensus(make: Make, batch: Batch) -> None:
    """Window 3 is unlabelled: its input enters no supervised loss."""
    network = make(label_correction="on", **BARE)
    one = unreliable(batch._replace(affect=batch.affect.clone()))
    one.affect[3] = torch.nan
    other = {name: values.clone() for name, values in one.inputs.items()}
    for values in other.values():
        values[3] += 1.0
    assert loss_of(network, one) == loss_of(network, one._replace(inputs=other))


# The shared space and the agreement head


def test_space_and_agreement_head_send_no_gradient_to_the_encoders(
    make: Make, labelled: Batch
) -> None:
    for part in ("encoders", "network"):
        with_both = gradients(make(), labelled, part)
        alone = gradients(make(evidence=0, agreement_head=0), labelled, part)
        for name, value in with_both.items():
            assert_close(value, alone[name], msg=name)


def test_without_evidence_the_prototypes_learn_nothing(make: Make, labelled: Batch) -> None:
    names = ("space.prototypes", "space.scale", "space.bias")
    for name in names:
        assert largest(gradients(make(), labelled, name).values()) > 0
        assert largest(gradients(make(evidence=0), labelled, name).values()) == 0
    assert largest(gradients(make(evidence=0), labelled, "space.projections").values()) > 0
    neither = make(evidence=0, agreement_head=0)
    assert largest(gradients(neither, labelled, "space").values()) == 0


def test_without_its_loss_the_agreement_head_is_not_trained(make: Make, labelled: Batch) -> None:
    assert largest(gradients(make(), labelled, "agreement_head").values()) > 0
    assert largest(gradients(make(agreement_head=0), labelled, "agreement_head").values()) == 0
    assert loss_of(make(agreement_head=1), labelled) > loss_of(make(agreement_head=0), labelled)


def test_without_evidence_the_vacuity_is_the_entropy(make: Make, windows: Windows) -> None:
    prediction = make(evidence=0).predict((windows(), torch.ones(12, SENSORS)))
    p = probabilities_of(prediction.logits)
    entropy = -(p * np.log(p)).sum(-1) / np.log(CLASSES)
    assert_close(prediction.vacuity.double(), torch.from_numpy(entropy), atol=1e-4, rtol=0)


def test_without_its_loss_the_agreement_head_is_not_used(make: Make, windows: Windows) -> None:
    output = make(agreement_head=0).forward((windows(), torch.ones(12, SENSORS)))
    assert (output.reliability_features[..., 0] == 0).all()


def test_the_agreement_head_learns_to_detect_swapped_sensors(make: Make, batch: Batch) -> None:
    network = make(transfer=0, evidence=0, agreement_head=1)
    network.train()
    everything = torch.ones(12, SENSORS)
    target = torch.eye(CLASSES)[torch.arange(12) % CLASSES]
    inputs = {name: target @ torch.randn(CLASSES, 5) for name in batch.inputs}
    one = batch._replace(available=everything, inputs=inputs, clean=inputs, target=target)
    optimizer = torch.optim.AdamW(network.parameters(), 1e-2)
    for step in range(100):
        optimizer.zero_grad()
        network.loss(one, step / 100)[0].backward()
        optimizer.step()
    network.eval()
    own = network.forward((inputs, everything)).reliability_features[..., 0]
    for m, name in enumerate(inputs):
        swapped = {**inputs, name: inputs[name].roll(1, 0)}
        with_swap = network.forward((swapped, everything)).reliability_features[..., 0]
        assert (with_swap[:, m] < own[:, m]).all()
        assert with_swap[:, m].mean() < 0 < own[:, m].mean()


# Reliability features


def test_full_agreement_contributes_nothing(make: Make, windows: Windows) -> None:
    network, everything = make(), torch.ones(12, SENSORS)
    for chosen in (None, 2):
        make_certain(network, [chosen] * SENSORS)
        agreement = network.forward((windows(), everything)).reliability_features[..., 4:6]
        assert_close(agreement, torch.zeros_like(agreement), atol=1e-6, rtol=0)


def with_prior(network: CoherenceTransfer) -> CoherenceTransfer:
    """Return the network with uneven class frequencies."""
    with torch.no_grad():
        network.network.log_prior.copy_(torch.tensor([0.5, 0.0, -1.0, 0.2]))
    return network


def test_the_likelihood_is_under_the_joint_prediction_of_the_others(
    make: Make, windows: Windows
) -> None:
    network = with_prior(make())
    frequency = probabilities_of(network.network.log_prior)
    student_out = network.network(windows(), torch.ones(12, SENSORS))
    likelihood = network.forward((windows(), torch.ones(12, SENSORS))).reliability_features[..., 6]
    for m in range(SENSORS):
        others = torch.ones(12, SENSORS)
        others[:, m] = 0
        q = probabilities_of(network.network(windows(), others).logits)
        p = probabilities_of(student_out.unimodal[:, m])
        expected = np.log((p * q / frequency).sum(-1) + 0.01)
        np.testing.assert_allclose(likelihood[:, m].detach(), expected, rtol=1e-4, atol=1e-4)
    alone = torch.tensor([1.0, 0, 0]).expand(12, 3)
    assert (network.forward((windows(), alone)).reliability_features[..., 6] == 0).all()


def test_the_sensor_that_contradicts_the_others_has_distinct_features(
    make: Make, windows: Windows
) -> None:
    network = make()
    make_certain(network, [0, 1, 1])
    own, rest = (
        network.forward((windows(), torch.ones(12, SENSORS))).reliability_features[0, :, 4:6].T
    )
    assert_close(own, torch.tensor([-1.0, -0.5, -0.5]))
    assert_close(rest, torch.tensor([0.0, -1, -1]), atol=1e-6, rtol=0)
    # With two contradicting sensors the features are symmetric.
    own, rest = (
        network.forward((windows(), torch.tensor([1.0, 1, 0]).expand(12, 3)))
        .reliability_features[0, :, 4:6]
        .T
    )
    assert_close(own, torch.tensor([-1.0, -1, 0]))
    assert_close(rest, torch.zeros(3), atol=1e-6, rtol=0)


def test_a_single_sensor_has_no_comparing_features(make: Make, windows: Windows) -> None:
    alone = torch.tensor([0.0, 1, 0]).expand(12, SENSORS)
    features = make().forward((windows(), alone)).reliability_features
    assert (features[:, [0, 2]] == 0).all()
    assert (features[:, 1][:, [0, 4, 5]] == 0).all()
    assert (features[:, 1][:, [1, 2, 3]] != 0).all()


def test_the_input_energy_grows_with_the_input(make: Make, windows: Windows) -> None:
    given, everything = windows(), torch.ones(12, SENSORS)
    loud = {**given, "audio": 4 * given["audio"]}
    before, after = (
        make().forward((one, everything)).reliability_features[..., 1] for one in (given, loud)
    )
    assert (after[:, 1] > before[:, 1] + 1).all()
    assert torch.equal(after[:, [0, 2]], before[:, [0, 2]])
    expected = np.log(given["audio"].double().square().mean(1).numpy() + 0.01)
    np.testing.assert_allclose(before[:, 1].detach(), expected, rtol=1e-4, atol=1e-4)


# The prediction


def with_gate(network: CoherenceTransfer, prior: list[float]) -> CoherenceTransfer:
    """Return the network with a gate that depends on the prior alone."""
    with torch.no_grad():
        network.calibration["gate"].zero_()
        network.calibration["gate_prior"].copy_(torch.tensor(prior))
    return network


def test_without_modality_subsets_the_calibrated_experts_are_multiplied(
    make: Make, windows: Windows, masks: Tensor
) -> None:
    network, has_input = with_prior(make(modality_subsets=False)), masks.any(1)
    prediction = network.predict((windows(), masks))
    unimodal = network.network(windows(), masks).unimodal
    calibration = network.calibration
    experts = (unimodal / calibration["log_expert_temperature"].exp()[:, None]).log_softmax(-1)
    pooled = torch.zeros(len(masks), CLASSES)
    for window, has in enumerate(masks > 0):
        pooled[window] = experts[window][has].sum(0)
        pooled[window] -= (int(has.sum()) - 1) * network.network.log_prior.log_softmax(-1)
    full_set = (masks[:, None] == modality_subsets(SENSORS)).all(-1).float()
    temperature = (full_set @ calibration["log_temperature"]).exp()
    expected = (pooled / temperature[:, None]).log_softmax(-1)
    always, undecided = calibration["sharpness"]
    entropy = torch.special.entr(expected.exp()).sum(-1) / np.log(CLASSES)
    power = (always + undecided * entropy).clamp(-2, 2).exp()[:, None]
    assert_close(prediction.logits[has_input], (power * expected)[has_input], atol=1e-4, rtol=1e-4)
    again = with_gate(with_prior(make(modality_subsets=False)), [-5.0, 0, 5])
    assert_close(again.predict((windows(), masks)).logits, prediction.logits)
    free = with_gate(with_prior(make()), [-5.0, 0, 5]).predict((windows(), masks))
    assert not torch.allclose(free.logits, prediction.logits, atol=0.01)


def test_with_large_odds_the_full_set_is_used(make: Make, windows: Windows, masks: Tensor) -> None:
    correcting = with_gate(make(), [CERTAIN] * SENSORS).predict((windows(), masks))
    assert_close(correcting.logits, make(modality_subsets=False).predict((windows(), masks)).logits)


def test_a_sensor_of_small_odds_is_treated_as_missing(
    make: Make, windows: Windows, masks: Tensor
) -> None:
    network = with_gate(make(), [2.0, -CERTAIN, 0.5])
    without = masks * torch.tensor([1.0, 0, 1])
    others = without.any(1)
    assert_close(
        network.predict((windows(), masks)).logits[others],
        network.predict((windows(), without)).logits[others],
        atol=1e-4,
        rtol=1e-4,
    )


def test_missing_sensors_have_reliability_0_and_the_least_sets_the_coherence(
    make: Make, windows: Windows, masks: Tensor
) -> None:
    prediction = make().predict((windows(), masks))
    assert (prediction.reliability[masks == 0] == 0).all()
    assert (prediction.reliability[masks == 1] > 0).all()
    for window, has in enumerate(masks > 0):
        least = prediction.reliability[window][has].amin() if has.any() else torch.tensor(1.0)
        assert prediction.coherence[window] == least


def test_the_gate_is_the_reliability(make: Make, windows: Windows, masks: Tensor) -> None:
    prediction = with_gate(make(), [1.0, 2, 3]).predict((windows(), masks))
    assert_close(prediction.reliability, masks * torch.tensor([1.0, 2, 3]).sigmoid())


def test_vacuity_is_1_without_evidence_and_weights_it_by_the_gate(
    make: Make, windows: Windows
) -> None:
    network = with_gate(make(), [3.0, 3, 3])
    output: ExpertOutput = network.forward((windows(), torch.ones(12, SENSORS)))
    nothing = network.calibrated(output._replace(evidence=torch.zeros_like(output.evidence)))
    assert_close(nothing.vacuity, torch.ones(12))
    vacuity = network.calibrated(output).vacuity
    evidence = output.evidence.sum((1, 2)) / (1 + np.exp(-3.0))
    assert_close(vacuity, CLASSES / (CLASSES + evidence))
    assert_close(
        with_gate(network, [-CERTAIN] * SENSORS).calibrated(output).vacuity, torch.ones(12)
    )


# What is fitted after the training


def calibrated(network: CoherenceTransfer, windows: Windows, faulty: Tensor, has: Tensor) -> Tensor:
    """Return the mean loss of the calibration, its gradients left behind."""
    network.zero_grad()
    output = network.forward((windows(), has.expand(12, -1)))
    target = torch.eye(CLASSES)[torch.arange(12) % CLASSES]
    loss = network.calibration_loss((output, target, faulty.expand(12, -1)))
    assert loss.shape == (12,)
    loss.mean().backward()
    return loss.mean().detach()


def gradient(network: CoherenceTransfer, name: str) -> Tensor:
    actual = network.calibration[name].grad
    assert actual is not None
    return actual.clone()


def test_the_gate_is_fitted_on_sensors_of_known_state(make: Make, windows: Windows) -> None:
    actual = []
    for faulty in ([0.0, 1, torch.nan], [torch.nan] * 3):
        network = with_gate(make(), [0.0] * SENSORS)
        calibrated(network, windows, torch.tensor(faulty), torch.ones(SENSORS))
        actual.append(gradient(network, "gate_prior"))
    of_faults = actual[0] - actual[1]
    assert of_faults[0] < 0 < of_faults[1]  # a step against it raises the first, lowers the second
    assert of_faults[2] == pytest.approx(0, abs=1e-6)
    network = with_gate(make(), [0.0] * SENSORS)
    calibrated(network, windows, torch.tensor([0.0, 1, 0]), torch.tensor([1.0, 0, 1]))
    assert gradient(network, "gate_prior")[1] == 0


def test_the_gate_is_fitted_on_the_prediction_too(make: Make, windows: Windows) -> None:
    network = make()
    calibrated(network, windows, torch.full((SENSORS,), torch.nan), torch.ones(SENSORS))
    penalty = 2e-3 * network.calibration["gate"].detach()
    assert largest([gradient(network, "gate") - penalty]) > 1e-5
    assert largest([gradient(network, "gate_prior")]) > 1e-5

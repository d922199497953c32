"""Checks of a method; what each demands is in its name and its messages."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.testing import assert_close

from consilience.encoders.functionals import FunctionalsEncoder
from consilience.methods.base import Method
from consilience.model.stack import Stack
from consilience.model.types import Batch
from consilience.testing.rules import require

SENSORS = ("eeg", "audio", "video")
CLASSES, WIDTH, FEATURES, WINDOWS = 4, 8, 5, 12
UNLABELLED = 3  # number of the window without a label
HIDDEN = (torch.nan, torch.inf, 1e30)  # contents of a missing modality
MASK_REMEDY = "multiply by, or select with, the availability"


@dataclass(frozen=True)
class MethodCase:
    """A method with random windows of three sensors to try it on.

    Attributes
    ----------
    method : type of Method
    settings : mapping of str to Any
        Parameters that differ from their defaults.
    """

    method: type[Method]
    settings: Mapping[str, Any] = field(default_factory=dict)

    def network(
        self, seed: int = 0, dropout: float = 0.0, sensors: Sequence[str] = SENSORS
    ) -> Method:
        """Return a network in evaluation mode, with weights off their starting points."""
        torch.manual_seed(seed)
        encoders = {sensor: FunctionalsEncoder(FEATURES, WIDTH, dropout) for sensor in sensors}
        for encoder in encoders.values():
            encoder(torch.zeros(1, FEATURES))
        params = self.method.Params(**self.settings)
        network = self.method(encoders, CLASSES, WIDTH, dropout, params)
        with torch.no_grad():
            for weight in network.parameters():
                weight.add_(0.1 * torch.randn_like(weight))
        return network.eval()


def windows(seed: int = 1, sensors: Sequence[str] = SENSORS) -> dict[str, Tensor]:
    """Return random inputs of every sensor, shape (WINDOWS, FEATURES) each."""
    generator = torch.Generator().manual_seed(seed)
    return {name: torch.randn(WINDOWS, FEATURES, generator=generator) for name in sensors}


def masks() -> Tensor:
    """Return every combination of the sensors, none included, and some of them again."""
    rows = [[bool(n & 1), bool(n & 2), bool(n & 4)] for n in range(8)]
    return torch.tensor((rows * 2)[:WINDOWS]).float()


def batch(seed: int = 1) -> Batch:
    """Return windows with every combination of sensors, of which one has no label."""
    generator = torch.Generator().manual_seed(seed)
    target = torch.eye(CLASSES)[torch.arange(WINDOWS) % CLASSES]
    target[UNLABELLED] = torch.nan
    available = masks()
    clean, noise = windows(seed), windows(seed + 100)
    inputs = {
        name: torch.where(available[:, m, None] > 0, clean[name] + 0.3 * noise[name], 0.0)
        for m, name in enumerate(SENSORS)
    }
    return Batch(
        inputs=inputs,
        available=available,
        clean=clean,
        present=torch.ones(WINDOWS, len(SENSORS)),
        target=target,
        affect=torch.full((WINDOWS, 2), 0.5),
        consensus=torch.rand(WINDOWS, CLASSES, generator=generator).softmax(-1),
        label_estimate=torch.full((WINDOWS, CLASSES), 1 / CLASSES),
        sensor_weight=torch.ones(WINDOWS, len(SENSORS)),
        label_reliability=torch.tensor(1.0),
        disagreement=torch.tensor(0.0),
    )


def check_input_of_a_missing_modality_is_ignored(case: MethodCase) -> None:
    """Check that predictions do not depend on values of a missing modality, NaN included."""
    network, inputs, available = case.network(), windows(), masks()
    before = network.predict((inputs, available))
    for content in HIDDEN:
        after = network.predict((_hidden(inputs, available, content), available))
        what = f"{content} of a missing modality changes the prediction"
        _same(before, after, what, MASK_REMEDY, exactly=True)


def check_input_of_a_missing_modality_is_ignored_in_training(case: MethodCase) -> None:
    """Check that the loss does not depend on values of a missing modality."""
    network, examples = case.network(), batch()
    other = examples._replace(inputs=_hidden(examples.inputs, examples.available, torch.nan))
    (loss, probability), again = network.loss(examples, 0.5), network.loss(other, 0.5)
    _same((loss, probability), again, "NaN of a missing modality changes the loss", MASK_REMEDY)
    require(probability.isfinite().all(), "the loss's probabilities are not finite", MASK_REMEDY)


def check_modalities_that_were_not_recorded_enter_no_loss(case: MethodCase) -> None:
    """Check that the loss uses clean windows only where a modality was recorded."""
    network, examples = case.network(), batch()
    present = torch.maximum(examples.available, torch.tensor([1.0, 0, 0]))
    partly = examples._replace(present=present)
    other = partly._replace(clean=_hidden(examples.clean, present, torch.nan))
    what = "NaN of a modality that was not recorded changes the loss"
    remedy = "use Batch.clean only where Batch.present is 1"
    _same(network.loss(partly, 0.5), network.loss(other, 0.5), what, remedy)


def check_a_prediction_does_not_depend_on_other_windows(case: MethodCase) -> None:
    """Check that windows in another order have the same predictions."""
    network, inputs, available = case.network(), windows(), masks()
    order = torch.arange(WINDOWS).flip(0)
    before = network.predict((inputs, available))
    shuffled = {sensor: values[order] for sensor, values in inputs.items()}
    after = network.predict((shuffled, available[order]))
    what = "the prediction of a window depends on the others"
    _same([values[order] for values in before], after, what, "do not mix along the first axis")


def check_predictions_stay_in_their_ranges_and_are_uniform_without_input(case: MethodCase) -> None:
    """Check shapes, finite values and fractions, and a vacuity of 1 without any sensor."""
    available = masks()
    prediction = case.network().predict((windows(), available))
    shapes = {
        "logits": (WINDOWS, CLASSES),
        "affect_mean": (WINDOWS, 2),
        "affect_log_variance": (WINDOWS, 2),
        "reliability": tuple(available.shape),
    }
    for name, shape in shapes.items():
        actual = tuple(getattr(prediction, name).shape)
        require(actual == shape, f"{name} has shape {actual}", f"return {shape}")
    for name in ("logits", "affect_mean", "affect_log_variance"):
        require(getattr(prediction, name).isfinite().all(), f"{name} is not finite", MASK_REMEDY)
    for name in ("vacuity", "reliability", "coherence"):
        values = getattr(prediction, name)
        values = values[values.isfinite()]
        inside = ((values >= -1e-6) & (values <= 1 + 1e-6)).all()
        require(inside, f"{name} leaves 0 to 1", "return a fraction; NaN where undefined")
    nothing = available.sum(1) == 0
    remedy = "return plain_prediction, which does this"
    ones = torch.ones(int(nothing.sum()))
    _same([prediction.vacuity[nothing]], [ones], "vacuity without any sensor is not 1", remedy)
    uniform = torch.full_like(prediction.logits[nothing], 1 / CLASSES)
    probability = prediction.logits[nothing].softmax(-1)
    _same([probability], [uniform], "without any sensor the classes are not uniform", remedy)
    require((prediction.vacuity[~nothing] < 1).all(), "vacuity with a sensor is 1", remedy)


def check_every_weight_gets_a_gradient_except_the_calibration(case: MethodCase) -> None:
    """Check that the loss is finite, its probabilities add up to 1, and every weight learns."""
    network = case.network()
    loss, probability = network.loss(batch(), 0.5)
    loss.backward()
    require(loss.isfinite(), "the loss is not finite", MASK_REMEDY)
    require(not probability.requires_grad, "the probabilities have a gradient", "detach them")
    ones = torch.ones(len(probability))
    _same([probability.sum(-1)], [ones], "the probabilities do not add up to 1", "use softmax")
    for name, weight in network.named_parameters():
        if name.startswith(("calibration.", "coverage")):
            require(weight.grad is None, f"{name} has a gradient", "calibrate in calibrated alone")
            continue
        learns = weight.grad is not None and weight.grad.isfinite().all() and weight.grad.any()
        require(learns, f"{name} gets no finite gradient", "use it in the loss, or remove it")


def check_outputs_of_several_conditions_can_be_concatenated(case: MethodCase) -> None:
    """Check that the uncalibrated output consists of tensors whose first axis is the windows."""
    network, inputs, available = case.network(), windows(), masks()
    parts = [
        network.uncalibrated(({name: v[rows] for name, v in inputs.items()}, available[rows]))
        for rows in (slice(None, 6), slice(6, None))
    ]
    whole = type(parts[0])(*(torch.cat(both) for both in zip(*parts, strict=True)))
    logits = [network.calibrated(whole).logits]
    expected = [network.predict((inputs, available)).logits]
    what = "outputs of parts differ from that of the whole"
    _same(expected, logits, what, "return tensors whose first axis is the windows")


def check_every_calibration_parameter_changes_the_prediction(case: MethodCase) -> None:
    """Check that each parameter of the calibration has a gradient."""
    network = case.network()
    output = network.uncalibrated((windows(), torch.ones(WINDOWS, len(SENSORS))))
    prediction = network.calibrated(output)
    total = prediction.logits.logsumexp(-1).sum() + prediction.reliability.nan_to_num().sum()
    total.backward()
    for name, weight in network.calibration.items():
        changes = weight.grad is not None and weight.grad.any()
        require(changes, f"calibration.{name} changes nothing", "use it in calibrated")


def check_calibration_of_a_single_modality_keeps_the_predicted_class(case: MethodCase) -> None:
    """Check that calibration changes the confidence of a single sensor, not its class."""
    network = case.network()
    examples = windows(), torch.tensor([0.0, 1, 0]).expand(WINDOWS, len(SENSORS))
    before = network.predict(examples).logits.argmax(-1)
    with torch.no_grad():
        for weight in network.calibration.values():
            weight.add_(0.7)
    after = network.predict(examples).logits.argmax(-1)
    what = "calibration changes the class that a single sensor predicts"
    _same([before], [after], what, "calibrate by a positive factor of the logits")


def check_the_loss_is_finite_with_some_labels_or_none(case: MethodCase) -> None:
    """Check batches without some or all labels, at several points of the training."""
    for progress in (0.0, 0.1, 1.0):
        network, examples = case.network(), batch()
        odd = torch.arange(WINDOWS)[:, None] % 2 > 0
        several = examples._replace(affect=torch.where(odd, 0.5, torch.nan))
        remedy = "leave out windows whose target is NaN"
        loss, _ = network.loss(several, progress)
        require(loss.isfinite(), "the loss with some labels is not finite", remedy)
        unlabelled = several._replace(
            target=torch.full_like(examples.target, torch.nan),
            affect=torch.full_like(examples.affect, torch.nan),
        )
        loss, _ = network.loss(unlabelled, progress)
        loss.backward()
        require(loss.isfinite(), "the loss without labels is not finite", remedy)
        require(_finite_gradients(network), "a gradient without labels is not finite", remedy)


def check_one_sensor_and_many_are_trained_and_predicted(case: MethodCase) -> None:
    """Check one sensor and eight."""
    for n in (1, 8):
        sensors = [f"sensor_{number}" for number in range(n)]
        network, inputs = case.network(sensors=sensors), windows(sensors=sensors)
        generator = torch.Generator().manual_seed(n)
        available = (torch.rand(WINDOWS, n, generator=generator) > 0.4).float()
        whole = torch.ones_like(available)
        examples = batch()._replace(
            inputs=inputs, clean=inputs, available=available, present=whole, sensor_weight=whole
        )
        loss, _ = network.loss(examples, 0.7)
        loss.backward()
        remedy = "derive sizes from the encoders"
        require(_finite_gradients(network), f"{n} sensors: a gradient is not finite", remedy)
        prediction = network.predict((inputs, available))
        logits, shape = prediction.logits, (WINDOWS, n)
        require(logits.isfinite().all(), f"{n} sensors: logits are not finite", remedy)
        actual = tuple(prediction.reliability.shape)
        require(actual == shape, f"reliability has shape {actual}", f"return {shape}")


def check_stacked_runs_equal_single_ones(case: MethodCase) -> None:
    """Check that runs trained together have the losses and predictions of each alone."""
    runs, examples = [case.network(seed) for seed in range(2)], batch()
    inputs = _twice(examples)
    stack = Stack(copy.deepcopy(runs)).train()
    loss, probability = stack("loss", inputs, 0.5)
    loss.sum().backward()
    prediction = stack.eval()("predict", (inputs.inputs, inputs.available))
    remedy = "write tensor operations without branches on their values"
    for run, network in enumerate(runs):
        alone = network.train().loss(examples, 0.5)
        what = "the loss of stacked runs differs from that of one"
        _same(alone, [loss[run], probability[run]], what, remedy)
        single = network.eval().predict((examples.inputs, examples.available))
        what = "the prediction of stacked runs differs from that of one"
        _same(single, [values[run] for values in prediction], what, remedy)


def check_dropout_is_drawn_for_each_run(case: MethodCase) -> None:
    """Check that stacked runs of equal weights have different losses in training."""
    stack = Stack([case.network(dropout=0.4) for _ in range(2)]).train()
    loss, _ = stack("loss", _twice(batch()), 0.5)
    require(
        loss[0] != loss[1],
        "runs share their dropout",
        "use new_head and the encoders",
    )


def check_method(case: MethodCase) -> None:
    """Run all checks of a method; the first violation raises `ContractError`."""
    for check in METHOD_CHECKS:
        check(case)


METHOD_CHECKS: tuple[Callable[[MethodCase], None], ...] = (
    check_input_of_a_missing_modality_is_ignored,
    check_input_of_a_missing_modality_is_ignored_in_training,
    check_modalities_that_were_not_recorded_enter_no_loss,
    check_a_prediction_does_not_depend_on_other_windows,
    check_predictions_stay_in_their_ranges_and_are_uniform_without_input,
    check_every_weight_gets_a_gradient_except_the_calibration,
    check_outputs_of_several_conditions_can_be_concatenated,
    check_every_calibration_parameter_changes_the_prediction,
    check_calibration_of_a_single_modality_keeps_the_predicted_class,
    check_the_loss_is_finite_with_some_labels_or_none,
    check_one_sensor_and_many_are_trained_and_predicted,
    check_stacked_runs_equal_single_ones,
    check_dropout_is_drawn_for_each_run,
)


def _hidden(inputs: dict[str, Tensor], available: Tensor, content: float) -> dict[str, Tensor]:
    """Return inputs with some content where a modality is missing."""
    return {
        sensor: torch.where(available[:, m, None] > 0, values, content)
        for m, (sensor, values) in enumerate(inputs.items())
    }


def _same(
    before: Iterable[Tensor], after: Iterable[Tensor], what: str, remedy: str, exactly: bool = False
) -> None:
    """Fail unless two sequences of tensors are equal, NaN included."""
    tolerance = 0.0 if exactly else None
    try:
        for first, second in zip(before, after, strict=True):
            assert_close(first, second, rtol=tolerance, atol=tolerance, equal_nan=True)
    except AssertionError as error:
        details = " ".join(str(error).split())[:120]
        require(False, f"{what} ({details})", remedy)


def _finite_gradients(network: Method) -> bool:
    gradients = (weight.grad for weight in network.parameters() if weight.grad is not None)
    return all(bool(gradient.isfinite().all()) for gradient in gradients)


def _twice(examples: Batch) -> Batch:
    """Return a batch for two stacked runs."""

    def leaves() -> Iterator[Any]:
        for value in examples:
            if isinstance(value, dict):
                yield {name: torch.stack([item, item]) for name, item in value.items()}
            else:
                yield torch.stack([value, value])

    return Batch(*leaves())

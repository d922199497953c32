"""Every fault of a method is caught by its check, and the message names the remedy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

from consilience.core import registry
from consilience.testing import METHOD_CHECKS, ContractError, MethodCase, check_method, name_of

Concat = registry.get("methods", "concat")
CHECKS = {name_of(check): check for check in METHOD_CHECKS}


def forward_with(change: Callable[[Any, Any, Any], Any]) -> type:
    """Return a method whose prediction is changed: a function of it, inputs and availability."""

    class Faulty(Concat):
        def forward(self, windows: Any) -> Any:
            return change(super().forward(windows), *windows)

    return Faulty


def loss_with(change: Callable[[Any], Any]) -> type:
    """Return a method whose loss is computed from a changed batch."""

    class Faulty(Concat):
        def loss(self, batch: Any, progress: float) -> Any:
            return super().loss(change(batch), progress)

    return Faulty


def peeking(prediction: Any, inputs: Any, available: Any) -> Any:
    return prediction._replace(logits=prediction.logits + inputs["eeg"][:, :4])


def mixing(prediction: Any, inputs: Any, available: Any) -> Any:
    return prediction._replace(logits=prediction.logits.cumsum(0))


def certain(prediction: Any, inputs: Any, available: Any) -> Any:
    return prediction._replace(vacuity=torch.full_like(prediction.vacuity, 0.5))


def percent(prediction: Any, inputs: Any, available: Any) -> Any:
    return prediction._replace(reliability=100 * available)


class Unused(Concat):
    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.spare = nn.Linear(3, 3)


class ClassShift(Concat):
    def calibrated(self, output: Any) -> Any:
        prediction = super().calibrated(output)
        shift = -9 * self.calibration["log_temperature"].mean() * torch.eye(4)[0]
        return prediction._replace(logits=prediction.logits + shift)


class Idle(Concat):
    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.calibration["spare"] = nn.Parameter(torch.zeros(2))


class ThreeSensors(Concat):
    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.head = self.new_head((self.width + 1) * 3, self.n_classes + 4)


class OneDropout(Concat):
    def loss(self, batch: Any, progress: float) -> Any:
        self.eval()
        return super().loss(batch, progress)


class Detached(Concat):
    def loss(self, batch: Any, progress: float) -> Any:
        loss, probability = super().loss(batch, progress)
        return loss, 2 * probability


FAULTS = {
    "input_of_a_missing_modality_is_ignored": forward_with(peeking),
    "input_of_a_missing_modality_is_ignored_in_training": forward_with(peeking),
    "modalities_that_were_not_recorded_enter_no_loss": loss_with(
        lambda batch: batch._replace(inputs=batch.clean, available=torch.ones_like(batch.present))
    ),
    "a_prediction_does_not_depend_on_other_windows": forward_with(mixing),
    "predictions_stay_in_their_ranges_and_are_uniform_without_input": forward_with(percent),
    "every_weight_gets_a_gradient_except_the_calibration": Unused,
    "every_calibration_parameter_changes_the_prediction": Idle,
    "calibration_of_a_single_modality_keeps_the_predicted_class": ClassShift,
    "the_loss_is_finite_with_some_labels_or_none": loss_with(
        lambda batch: batch._replace(inputs={n: v / 0 for n, v in batch.inputs.items()})
    ),
    "dropout_is_drawn_for_each_run": OneDropout,
}


@pytest.mark.parametrize("check", FAULTS)
def test_a_fault_is_caught_and_its_remedy_named(check: str) -> None:
    with pytest.raises(ContractError, match="; "):
        CHECKS[check](MethodCase(FAULTS[check]))


@pytest.mark.parametrize("fault", [forward_with(certain), Detached])
def test_other_faults_are_caught_by_some_check(fault: type) -> None:
    with pytest.raises(ContractError):
        check_method(MethodCase(fault))


def test_a_fixed_number_of_sensors_fails() -> None:
    with pytest.raises((ContractError, RuntimeError)):
        CHECKS["one_sensor_and_many_are_trained_and_predicted"](MethodCase(ThreeSensors))


def test_a_good_method_passes() -> None:
    check_method(MethodCase(Concat))

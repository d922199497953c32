"""Calibration recovers known temperatures on validation subjects and changes no weight."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
from torch import Tensor, nn
from torch.testing import assert_close

from consilience.core import registry
from consilience.core.errors import ConsilienceError
from consilience.methods.base import Method, plain_prediction
from consilience.model.stack import Stack
from consilience.model.types import Prediction
from consilience.schema.params.plugins import MethodParams
from consilience.training import calibration, conditioned
from consilience.training.augmentation import Run
from consilience.training.calibration import PREFIX, calibrate
from consilience.training.data import Scaler
from consilience.windows import conditions
from consilience.windows.conditions import Condition
from consilience.windows.store import Corpus, load_corpus

Windows = dict[str, dict[str, Tensor]]
RUNS = [Run(fold, seed) for fold in range(3) for seed in (0, 1)]
ROLES = ["test", "test", "validation", "validation", "train", "train"]


@pytest.fixture
def corpus(windows_folder: Path) -> Corpus:
    """Give the small corpus with two validation subjects a fold, for the mismatch."""
    splits = pl.DataFrame(
        [
            {"fold": fold, "subject": f"p{(s + 2 * fold) % 6}", "role": role}
            for fold in range(3)
            for s, role in enumerate(ROLES)
        ]
    )
    return replace(load_corpus(windows_folder), splits=splits)


def variants_of(corpus: Corpus, content: Callable[[str, str], Tensor]) -> Windows:
    return {
        name: {variant: content(name, variant) for variant in ("clean", *corpus.variants[name])}
        for name in corpus.modalities
    }


def plain_scaler(prepared: Windows) -> Scaler:
    zero = {name: torch.zeros(len(RUNS), 1, v["clean"].shape[1]) for name, v in prepared.items()}
    one = {name: torch.ones_like(values) for name, values in zero.items()}
    return Scaler(zero, one, torch.zeros(len(RUNS), 1, 2), torch.ones(len(RUNS), 1, 2))


def labels_of(corpus: Corpus) -> Tensor:
    return torch.from_numpy(corpus.target).expand(len(RUNS), -1, -1).clone()


class Overconfident(Method):
    """Predict the mean of the inputs, times `confidence`; with temperatures of sets alone."""

    by_energy = False

    def __init__(self, confidence: float, n_modalities: int, n_classes: int) -> None:
        encoders = {name: nn.Identity() for name in ("audio", "face_au")[:n_modalities]}
        super().__init__(encoders, n_classes, 1, 0.0, MethodParams())
        self.confidence = nn.Parameter(torch.tensor(confidence))
        if not self.by_energy:
            del self.calibration["energy_weight"]

    def forward(self, windows: tuple[dict[str, Tensor], Tensor]) -> Prediction:
        inputs, available = windows
        several = available.sum(-1, keepdim=True).clamp(min=1)
        logits = self.confidence * torch.stack(list(inputs.values())).sum(0) / several
        nothing = torch.zeros(len(available), 2)
        return plain_prediction(logits, (nothing, nothing), available)


@pytest.mark.parametrize("only", [None, "subset", "noise"])
def test_the_temperature_of_each_run_is_found(corpus: Corpus, only: str | None) -> None:
    logits = torch.from_numpy(np.random.default_rng(0).normal(size=corpus.target.shape)).float()
    confidence = [0.4, 1.0, 2.5, 4.0, 1.5, 0.7]
    stack = Stack([Overconfident(factor, 2, 3) for factor in confidence])
    prepared = variants_of(corpus, lambda *_: logits)
    asked = [c for c in conditions.conditions(corpus) if c.kind == (only or c.kind)]
    matched = [c for c in asked if c.kind != "mismatch"]
    target = logits.softmax(-1).expand(len(RUNS), -1, -1)
    calibrate(stack, plain_scaler(prepared), RUNS, corpus, prepared, {}, matched, target)
    temperature = stack.weights[PREFIX + "log_temperature"].detach()
    # A set of sensors without a window gets the temperature of the others.
    expected = torch.tensor(confidence)[:, None].expand(-1, 3)
    assert_close(temperature.exp(), expected, rtol=0.06, atol=0)


def test_every_set_of_sensors_gets_its_temperature(corpus: Corpus) -> None:
    logits = torch.from_numpy(np.random.default_rng(0).normal(size=corpus.target.shape)).float()
    stack = Stack([Overconfident(1.0, 2, 3) for _ in RUNS])
    first, _ = corpus.modalities
    prepared = variants_of(corpus, lambda name, _: logits * (3.0 if name == first else 1.0))
    asked = [c for c in conditions.conditions(corpus) if c.kind == "subset"]
    target = logits.softmax(-1).expand(len(RUNS), -1, -1)
    calibrate(stack, plain_scaler(prepared), RUNS, corpus, prepared, {}, asked, target)
    result = stack.weights[PREFIX + "log_temperature"].detach().exp()
    assert_close(result, torch.tensor([2.0, 3.0, 1.0]).expand(len(RUNS), -1), rtol=0.06, atol=0)


def test_corrupted_inputs_lower_the_confidence(corpus: Corpus) -> None:
    """A corrupted sensor lowers the confidence of every window."""
    rng = np.random.default_rng(0)
    logits = torch.from_numpy(rng.normal(size=corpus.target.shape)).float()
    target = logits.softmax(-1).expand(len(RUNS), -1, -1)
    asked = [c for c in conditions.conditions(corpus) if c.kind in ("subset", "noise")]
    corrupted = variants_of(
        corpus, lambda _, variant: logits if variant == "clean" else -2 * logits
    )
    stack = Stack([Overconfident(1.0, 2, 3) for _ in RUNS])
    calibrate(stack, plain_scaler(corrupted), RUNS, corpus, corrupted, {}, asked, target)
    assert (stack.weights[PREFIX + "log_temperature"][:, 0] > 0.05).all()


class OverconfidentByEnergy(Overconfident):
    by_energy = True


def test_the_temperature_rises_where_corruption_changes_the_energy(corpus: Corpus) -> None:
    rng = np.random.default_rng(0)
    logits = torch.from_numpy(rng.normal(size=corpus.target.shape)).float()
    target = logits.softmax(-1).expand(len(RUNS), -1, -1)
    asked = [c for c in conditions.conditions(corpus) if c.kind in ("subset", "noise")]
    corrupted = variants_of(
        corpus, lambda _, variant: logits if variant == "clean" else -20 * logits
    )
    stack = Stack([OverconfidentByEnergy(1.0, 2, 3) for _ in RUNS])
    calibrate(stack, plain_scaler(corrupted), RUNS, corpus, corrupted, {}, asked, target)
    usual, loud = torch.zeros(len(RUNS), 1, 2), torch.zeros(len(RUNS), 1, 2)
    loud[..., 0] = math.log(400)
    with torch.no_grad():
        difference = stack("_energy_log_temperature", loud) - stack(
            "_energy_log_temperature", usual
        )
    assert (difference > 1).all()
    of_all = stack.weights[PREFIX + "log_temperature"][:, 0]
    assert (of_all.abs() < 0.5).all()


def test_without_a_condition_nothing_is_fitted(corpus: Corpus) -> None:
    stack = Stack([Overconfident(3.0, 2, 3) for _ in RUNS])
    prepared = variants_of(corpus, lambda *_: torch.ones(corpus.target.shape))
    asked = [
        Condition("missing", corpus.modalities, 1),
        Condition("everything", corpus.modalities, 5),
    ]
    calibrate(stack, plain_scaler(prepared), RUNS, corpus, prepared, {}, asked, labels_of(corpus))
    assert (stack.weights[PREFIX + "log_temperature"] == 0).all()


def test_weights_that_are_not_finite_are_refused(corpus: Corpus) -> None:
    stack = Stack([Overconfident(math.nan if run == RUNS[3] else 1.0, 2, 3) for run in RUNS])
    prepared = variants_of(corpus, lambda *_: torch.ones(corpus.target.shape))
    asked = [c for c in conditions.conditions(corpus) if c.kind == "subset"]
    with pytest.raises(ConsilienceError, match="fold 1, seed 1: non-finite"):
        calibrate(
            stack, plain_scaler(prepared), RUNS, corpus, prepared, {}, asked, labels_of(corpus)
        )


# Coherence transfer, untrained: the fit does not depend on its accuracy.


def content(corpus: Corpus, corrupted: str = "") -> Windows:
    """Return windows that show the class, except the corrupted variants of one sensor."""
    rng = np.random.default_rng(1)
    truth = torch.from_numpy(corpus.target.argmax(1))
    axes = 2 * torch.nn.functional.one_hot(truth, 3).float()

    def of(name: str, variant: str) -> Tensor:
        noise = torch.from_numpy(rng.normal(size=axes.shape)).float()
        if variant == "clean":
            return axes + 0.5 * noise
        return 4 * noise if name == corrupted else axes + 0.5 * noise

    return variants_of(corpus, of)


class Plain(nn.Module):
    """Return the windows unchanged."""

    def forward(self, windows: Tensor) -> Tensor:
        return windows


def coherence_transfer(seed: int = 0) -> Stack:
    """Return untrained networks whose heads predict the class that the sensors show."""
    kind = registry.get("methods", "coherence_transfer")
    networks = []
    for run in range(len(RUNS)):
        torch.manual_seed(seed + run)
        encoders = {name: Plain() for name in ("audio", "face_au")}
        network = kind(encoders, 3, 3, 0.0, kind.Params())
        with torch.no_grad():
            for layers in network.network.heads:
                for layer in (layers[1], layers[3]):
                    layer.weight.zero_()
                    layer.bias.zero_()
                    layer.weight[:3, :3].copy_(2 * torch.eye(3))
        networks.append(network)
    return Stack(networks)


@pytest.fixture
def briefly(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take a few steps: enough to see whether an input influences them."""
    monkeypatch.setattr(calibration, "STEPS", 20)


def calibrated(
    corpus: Corpus,
    prepared: Windows,
    target: Tensor | None = None,
    asked: list[Condition] | None = None,
) -> dict[str, Tensor]:
    stack = coherence_transfer()
    under = asked or conditions.conditions(corpus)
    labels = labels_of(corpus) if target is None else target
    calibrate(stack, plain_scaler(prepared), RUNS, corpus, prepared, {}, under, labels)
    return {name: value.detach() for name, value in stack.weights.items()}


def fitted(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: value for name, value in weights.items() if name.startswith(PREFIX)}


@pytest.mark.usefixtures("briefly")
def test_calibration_changes_its_parameters_and_no_weight(corpus: Corpus) -> None:
    before = {name: value.detach() for name, value in coherence_transfer().weights.items()}
    after = calibrated(corpus, content(corpus, "audio"))
    assert set(fitted(before)) == {
        PREFIX + name
        for name in (
            "log_temperature",
            "sharpness",
            "log_expert_temperature",
            "gate",
            "gate_prior",
        )
    }
    for name, value in after.items():
        if name.startswith(PREFIX):
            assert (value != before[name]).flatten(1).any(1).all(), name
        else:
            assert torch.equal(value, before[name]), name


@pytest.mark.usefixtures("briefly")
def test_a_rerun_is_identical(corpus: Corpus) -> None:
    prepared = content(corpus, "audio")
    first, second = calibrated(corpus, prepared), calibrated(corpus, prepared)
    for name, value in first.items():
        assert torch.equal(value, second[name]), name


def changed(prepared: Windows, rows: np.ndarray) -> Windows:
    other = {
        name: {variant: values.clone() for variant, values in variants.items()}
        for name, variants in prepared.items()
    }
    for variants in other.values():
        for values in variants.values():
            values[rows] = values[rows].flip(0) + 1
    return other


@pytest.mark.parametrize("role", ["train", "test", "validation"])
@pytest.mark.usefixtures("briefly")
def test_only_windows_and_labels_of_validation_subjects_are_used(corpus: Corpus, role: str) -> None:
    prepared, target = content(corpus, "audio"), labels_of(corpus)
    assert any(c.kind == "mismatch" for c in conditions.conditions(corpus))
    rows = corpus.members(0, role)
    otherwise = target.clone()
    otherwise[:, rows] = otherwise[:, rows].roll(1, -1)
    before = fitted(calibrated(corpus, prepared, target))
    of_windows = fitted(calibrated(corpus, changed(prepared, rows), target))
    of_labels = fitted(calibrated(corpus, prepared, otherwise))
    of_fold = [number for number, run in enumerate(RUNS) if run.fold == 0]
    for after in (of_windows, of_labels):
        same = all(torch.equal(after[name][of_fold], before[name][of_fold]) for name in before)
        assert same == (role != "validation")


@pytest.mark.usefixtures("briefly")
def test_windows_without_a_label_do_not_count(corpus: Corpus) -> None:
    prepared, target = content(corpus), labels_of(corpus)
    rows = corpus.members(0, "validation")[::3]
    target[:2, rows] = torch.nan
    matched = [c for c in conditions.conditions(corpus) if c.kind != "mismatch"]
    before = fitted(calibrated(corpus, prepared, target, matched))
    assert all(value.isfinite().all() for value in before.values())
    after = fitted(calibrated(corpus, changed(prepared, rows), target, matched))
    complete = fitted(calibrated(corpus, prepared, asked=matched))
    for name, value in before.items():
        assert torch.equal(value[:2], after[name][:2]), name
        assert not torch.equal(value[:2], complete[name][:2]), name
        # A run is fitted alone: those with all labels do not change.
        assert_close(value[2:], complete[name][2:])


@pytest.mark.parametrize("sensor", ["audio", "face_au"])
def test_a_corrupted_sensor_gets_less_weight(corpus: Corpus, sensor: str) -> None:
    prepared = content(corpus, sensor)
    stack, scaler = coherence_transfer(), plain_scaler(prepared)
    calibrate(
        stack, scaler, RUNS, corpus, prepared, {}, conditions.conditions(corpus), labels_of(corpus)
    )
    place = corpus.modalities.index(sensor)

    def mean(kind: str, severity: int) -> tuple[Tensor, Tensor]:
        """Return each run's mean log odds and reliability (R, M)."""
        names = corpus.modalities if kind == "subset" else (sensor,)
        condition = Condition(kind, names, severity)
        (batch,) = conditioned.conditioned_batches(
            scaler, RUNS, corpus, prepared, {}, condition, ("validation",)
        )
        both = (batch.available.sum(-1) > 1).float()[..., None]
        with torch.no_grad():
            output = stack("forward", (batch.inputs, batch.available))
            odds = stack("_log_odds", output)
            ok = stack("calibrated", output).reliability
        return (odds * both).sum(1) / both.sum(1), (ok * both).sum(1) / both.sum(1)

    (weight, ok), (corrupted_weight, corrupted_ok) = mean("subset", 0), mean("noise", 5)
    assert (corrupted_weight[:, place] < weight[:, place] - 1).all()
    assert (corrupted_weight[:, place] < corrupted_weight[:, 1 - place] - 1).all()
    assert (ok[:, place] > 0.7).all()
    assert (corrupted_ok[:, place] < 0.4).all()

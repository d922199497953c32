"""Calibration after training, on corrupted windows of validation subjects, run by run.

The parameters in a method's `calibration` are fitted, at least a temperature (Guo et al. 2017). The
weights of the network stay as trained.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from consilience.core.errors import ConsilienceError
from consilience.model.stack import Stack
from consilience.training.augmentation import Run
from consilience.training.baseline import References
from consilience.training.conditioned import Prepared, conditioned_batches
from consilience.training.data import Scaler
from consilience.windows.conditions import DESYNC, EVERYTHING, MISMATCH, MISSING, SUBSET, Condition
from consilience.windows.store import Corpus

PREFIX = "network/calibration/"
COVERAGE = "network/coverage"  # thresholds of `training.coverage`, which a refit keeps too
FAULTY_FROM = 4  # severity from which a corrupted sensor counts as faulty
STEPS, RATE = 60, 0.15  # of Adam; a run has few parameters
BETAS = (0.8, 0.9)  # short averages: few steps, and gradients without sampling noise


def calibrate(
    stack: Stack,
    scaler: Scaler,
    runs: Sequence[Run],
    corpus: Corpus,
    prepared: Prepared,
    baselines: Mapping[str, References],
    conditions: Sequence[Condition],
    target: Tensor,
) -> None:
    """Fit the calibration of every run in place, by `Method.calibration_loss` under all conditions.

    Parameters
    ----------
    stack : Stack
        Trained networks.
    scaler : Scaler
    runs : sequence of Run
    corpus : Corpus
    prepared : mapping of str to (mapping of str to Tensor)
        Windows by modality and variant.
    baselines : mapping of str to References
        What `baseline.references` returned.
    conditions : sequence of Condition
        Random misses and the out-of-distribution test are not used.
    target : Tensor, shape (R, N, K)
        Labels of each run; windows with NaN are not used.

    Raises
    ------
    ConsilienceError
        If a weight of a run is not finite.
    """
    used = [condition for condition in conditions if condition.kind not in (MISSING, EVERYTHING)]
    turns = _turns(used)
    outputs, targets, weights, faults = [], [], [], []
    stack.eval()
    for condition in used:
        first, step = turns[condition]
        for batch in conditioned_batches(
            scaler, runs, corpus, prepared, baselines, condition, ("validation",)
        ):
            inputs = {name: values[:, first::step] for name, values in batch.inputs.items()}
            rows, available = batch.rows[:, first::step], batch.available[:, first::step]
            # The network is fixed: its outputs are computed once, for all steps of the fit.
            with torch.no_grad():
                outputs.append(stack("uncalibrated", (inputs, available)))
            labels = target.gather(1, rows[..., None].expand(-1, -1, target.shape[-1]))
            counted = batch.counted[:, first::step] & labels.isfinite().all(-1)
            targets.append(torch.nan_to_num(labels))
            weights.append(counted.float())
            faults.append(_faulty(condition, corpus).expand_as(available))
    if not outputs:
        return
    output = type(outputs[0])(*(torch.cat(fields, 1) for fields in zip(*outputs, strict=True)))
    _fit(stack, output, torch.cat(targets, 1), torch.cat(weights, 1), torch.cat(faults, 1))
    check_finite("calibration", runs, stack.state_dict())


@torch.no_grad()
def with_calibration(stack: Stack, calibrated: Stack) -> Stack:
    """Return a stack with the calibration of another one of the same method.

    The runs of the other stack are the same, or several that a single one stands for: it then gets
    the mean of their calibrations, each fitted on people that its run had not been trained on.
    """
    for name, value in stack.weights.items():
        if name.startswith((PREFIX, COVERAGE)):
            others = calibrated.weights[name]
            value.copy_(others if len(others) == len(value) else others.mean(0, keepdim=True))
    return stack


def check_finite(what: str, runs: Sequence[Run], tensors: Mapping[str, Tensor]) -> None:
    """Raise a `ConsilienceError` if a value of a run is not finite.

    Parameters
    ----------
    what : str
        The step of the training, for the message.
    runs : sequence of Run
    tensors : mapping of str to Tensor, shape (R, ...)
    """
    for name, values in tensors.items():
        invalid = ~values.reshape(len(runs), -1).isfinite().all(1)
        if invalid.any():
            run = runs[int(invalid.nonzero()[0])]
            raise ConsilienceError(
                f"non-finite {name}",
                f"{what}, fold {run.fold}, seed {run.seed}",
                "lower training.learning_rate, and check the features for extreme values",
            )


def _faulty(condition: Condition, corpus: Corpus) -> Tensor:
    """Return which sensors are faulty (M,): 1 or 0; NaN for mild corruption, which is neither."""
    if condition.kind == SUBSET:
        return torch.zeros(len(corpus.modalities))
    fault = condition.kind == MISMATCH or (
        condition.kind != DESYNC and condition.severity >= FAULTY_FROM
    )
    worst = 1.0 if fault else torch.nan
    return torch.tensor([worst if m in condition.modalities else 0.0 for m in corpus.modalities])


def _turns(conditions: Sequence[Condition]) -> Mapping[Condition, tuple[int, int]]:
    """Assign to each condition a start and a step: it uses every step-th window from the start.

    The severities of one corruption share the windows between them, so that the corruption counts
    as much as a subset of the sensors, or as one mismatch.
    """
    blocks: dict[tuple[str, tuple[str, ...]], list[Condition]] = {}
    for condition in conditions:
        blocks.setdefault((condition.kind, condition.modalities), []).append(condition)
    return {
        condition: (turn, len(block))
        for block in blocks.values()
        for turn, condition in enumerate(block)
    }


def _fit(stack: Stack, output: Any, target: Tensor, weight: Tensor, faulty: Tensor) -> None:
    """Minimise the weighted mean of the calibration loss; all runs at once, each on its own."""
    parameters = [value for name, value in stack.weights.items() if name.startswith(PREFIX)]
    optimizer = torch.optim.Adam(parameters, RATE, betas=BETAS)
    total = weight.sum(1).clamp(min=1e-8)
    for step in range(STEPS):
        # Cosine annealing: large steps first, and an end without oscillation.
        optimizer.param_groups[0]["lr"] = RATE * 0.5 * (1 + np.cos(np.pi * step / STEPS))
        loss = stack("calibration_loss", (output, target, faulty))
        optimizer.zero_grad()
        ((loss * weight).sum(1) / total).sum().backward()
        optimizer.step()
    stack.zero_grad()

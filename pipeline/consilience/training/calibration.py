"""Calibration after training, on corrupted windows of validation subjects, run by run.

What is fitted is what a method declares in its `calibration`: a temperature at least. The network
itself stays as it was trained.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from consilience.model.stack import Stack
from consilience.training.augmentation import Run
from consilience.training.conditioned import Prepared, conditioned_batches
from consilience.training.data import Scaler
from consilience.windows.conditions import DESYNC, EVERYTHING, MISMATCH, MISSING, SUBSET, Condition
from consilience.windows.store import Corpus

PREFIX = "network/calibration/"
BAD_FROM = 4  # severity from which a corrupted sensor counts as faulty
STEPS, RATE = 60, 0.15  # of Adam, for a handful of numbers
BETAS = (0.8, 0.9)  # short memories: few steps, no noise


def calibrate(
    stack: Stack,
    scaler: Scaler,
    runs: Sequence[Run],
    corpus: Corpus,
    prepared: Prepared,
    asked: Sequence[Condition],
    target: Tensor,
) -> None:
    """Fit the calibration of every run in place, by the cross-entropy under all conditions.

    Of a corruption of one sensor, each window is seen at one severity, the windows being dealt to
    the severities in turn; so it counts as much as a subset of the sensors, or as one mismatch.

    Parameters
    ----------
    prepared : mapping of str to (mapping of str to Tensor)
        Windows by modality and variant.
    asked : sequence of Condition
        Random misses and the out-of-distribution test are left out.
    target : Tensor, shape (R, N, K)
        The labels as each run is told; windows with NaN are not used.
    """
    used = [condition for condition in asked if condition.kind not in (MISSING, EVERYTHING)]
    turns = _turns(used)
    seen, targets, weights, faults = [], [], [], []
    stack.eval()
    for condition in used:
        first, step = turns[condition]
        for batch in conditioned_batches(
            scaler, runs, corpus, prepared, condition, ("validation",)
        ):
            inputs = {name: values[:, first::step] for name, values in batch.inputs.items()}
            rows, available = batch.rows[:, first::step], batch.available[:, first::step]
            with torch.no_grad():
                seen.append(stack("forward", (inputs, available)))
            own = target.gather(1, rows[..., None].expand(-1, -1, target.shape[-1]))
            known = batch.counted[:, first::step] & own.isfinite().all(-1)
            targets.append(torch.nan_to_num(own))
            weights.append(known.float())
            faults.append(_faulty(condition, corpus).expand_as(available))
    if not seen:
        return
    observed = type(seen[0])(*(torch.cat(parts, 1) for parts in zip(*seen, strict=True)))
    _fit(stack, observed, torch.cat(targets, 1), torch.cat(weights, 1), torch.cat(faults, 1))


def _faulty(condition: Condition, corpus: Corpus) -> Tensor:
    """Return which sensors are at fault (M,): 1, 0, or NaN where that is a matter of degree."""
    if condition.kind == SUBSET:
        return torch.zeros(len(corpus.modalities))
    fault = condition.kind == MISMATCH or (
        condition.kind != DESYNC and condition.severity >= BAD_FROM
    )
    worst = 1.0 if fault else torch.nan
    return torch.tensor([worst if m in condition.modalities else 0.0 for m in corpus.modalities])


def _turns(asked: Sequence[Condition]) -> Mapping[Condition, tuple[int, int]]:
    """Return which windows each condition shows: from the first of its turn on, every n-th."""
    blocks: dict[tuple[str, tuple[str, ...]], list[Condition]] = {}
    for condition in asked:
        blocks.setdefault((condition.kind, condition.modalities), []).append(condition)
    return {
        condition: (turn, len(block))
        for block in blocks.values()
        for turn, condition in enumerate(block)
    }


def _fit(stack: Stack, observed: Any, target: Tensor, weight: Tensor, faulty: Tensor) -> None:
    knobs = [value for name, value in stack.weights.items() if name.startswith(PREFIX)]
    optimizer = torch.optim.Adam(knobs, RATE, betas=BETAS)
    total = weight.sum(1).clamp(min=1e-8)
    for step in range(STEPS):
        optimizer.param_groups[0]["lr"] = RATE * 0.5 * (1 + np.cos(np.pi * step / STEPS))
        loss = stack("calibration_loss", (observed, target, faulty))
        optimizer.zero_grad()
        ((loss * weight).sum(1) / total).sum().backward()
        optimizer.step()
    stack.zero_grad()

"""Calibration after training, on corrupted windows of validation subjects, run by run.

What is fitted is what a method declares in its `calibration`: a temperature at least. The network
itself stays as it was trained.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pipeline.model.stack import Stack
from pipeline.robustness.protocol import (
    EVERYTHING,
    MISSING,
    Condition,
    Prepared,
    portions,
)
from pipeline.training.augmentation import Run
from pipeline.training.data import Corpus, Scaler

PREFIX = "network/calibration/"
STEPS, RATE = 150, 0.1  # of Adam; far beyond convergence for a handful of numbers


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

    Every subset of the sensors counts as much as all severities of one corruption of one sensor,
    or as one conflict.

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
    shares = _shares(used)
    seen, targets, weights = [], [], []
    stack.eval()
    for condition in used:
        for portion in portions(scaler, runs, corpus, prepared, condition, ("validation",)):
            with torch.no_grad():
                seen.append(stack("observe", (portion.inputs, portion.available)))
            own = target.gather(1, portion.rows[..., None].expand(-1, -1, target.shape[-1]))
            known = portion.counted & own.isfinite().all(-1)
            targets.append(torch.nan_to_num(own))
            weights.append(known * shares[condition])
    if not seen:
        return
    observed = type(seen[0])(*(torch.cat(parts, 1) for parts in zip(*seen, strict=True)))
    _fit(stack, observed, torch.cat(targets, 1), torch.cat(weights, 1))


def _shares(asked: Sequence[Condition]) -> Mapping[Condition, float]:
    """Return each condition's weight: 1 over the number of severities of its kind and sensor."""
    blocks = Counter(_block(condition) for condition in asked)
    return {condition: 1 / blocks[_block(condition)] for condition in asked}


def _block(condition: Condition) -> tuple[str, tuple[str, ...]]:
    return condition.kind, condition.modalities


def _fit(stack: Stack, observed: Any, target: Tensor, weight: Tensor) -> None:
    knobs = [value for name, value in stack.weights.items() if name.startswith(PREFIX)]
    optimizer = torch.optim.Adam(knobs, RATE)
    total = weight.sum(1).clamp(min=1e-8)
    for step in range(STEPS):
        optimizer.param_groups[0]["lr"] = RATE * 0.5 * (1 + np.cos(np.pi * step / STEPS))
        logits = stack("decide", observed).logits
        loss = -(target * logits.log_softmax(-1)).sum(-1)
        optimizer.zero_grad()
        ((loss * weight).sum(1) / total).sum().backward()
        optimizer.step()
    stack.zero_grad()

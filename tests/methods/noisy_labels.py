"""Predictions and labels of six windows, of which one may have no label."""

import numpy as np
import torch
from torch import Tensor

_RNG = np.random.default_rng(0)
LOGITS, LABELS = 2 * _RNG.normal(size=(6, 4)), _RNG.integers(0, 4, 6)
TARGET = np.eye(4)[LABELS]
KEPT = [0, 1, 3, 4, 5]  # the labelled windows of `missing_third`


def missing_third() -> Tensor:
    """Return the targets (6, 4) without the third window's."""
    target = torch.from_numpy(TARGET.copy())
    target[2] = torch.nan
    return target

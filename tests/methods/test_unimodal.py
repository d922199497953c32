"""Dedicated models."""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor
from torch.testing import assert_close

from consilience.methods.base import Method
from consilience.model.uncertainty import normalised_entropy

Build = Callable[..., Method]
Windows = Callable[..., dict[str, Tensor]]


def alone(network: Method, windows: Windows, masks: Tensor) -> np.ndarray:
    logits: np.ndarray = network.unimodal_output(windows(), masks).logits.detach().numpy()  # type: ignore[operator]
    return logits


def test_the_most_certain_modality_is_used(build: Build, windows: Windows, masks: Tensor) -> None:
    network = build("unimodal")
    cooled = network.calibration["log_temperature"].detach().exp()[:, None]
    logits = torch.from_numpy(alone(network, windows, masks)) / cooled
    actual = network.predict((windows(), masks))
    for row, mask, output, doubt in zip(logits, masks, actual.logits, actual.vacuity, strict=True):
        if mask.any():
            best = min(
                row[mask > 0], key=lambda logits: float(normalised_entropy(logits.softmax(-1)))
            )
            assert_close(output, best)
            assert_close(doubt, normalised_entropy(best.softmax(-1)))

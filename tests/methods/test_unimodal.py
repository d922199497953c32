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
    cooled = network.calibration["log_expert_temperature"].detach().exp()[:, None]
    of_sets = network._log_temperature(masks).exp()  # type: ignore[operator]
    logits = torch.from_numpy(alone(network, windows, masks)) / cooled
    actual = network.calibrated(network.forward((windows(), masks)))
    for row, mask, of_set, output, doubt in zip(
        logits, masks, of_sets, actual.logits, actual.vacuity, strict=True
    ):
        if mask.any():
            best = min(
                row[mask > 0], key=lambda logits: float(normalised_entropy(logits.softmax(-1)))
            )
            assert_close(output, best / of_set)
            assert_close(doubt, normalised_entropy((best / of_set).softmax(-1)))

"""Checks that the evidential methods share: losses written out with scipy, and vacuity."""

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import digamma, gammaln
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from consilience.methods.base import Method
from consilience.model.types import Batch

Array = NDArray[np.float64]


def adjusted_loss(evidence: Array, y: Array, annealed: float) -> float:
    """Expected cross-entropy plus lambda_t KL[Dir(alpha~) || Dir(1)], for one window."""
    alpha = evidence + 1
    fit = (y * (digamma(alpha.sum()) - digamma(alpha))).sum()
    rest = y + (1 - y) * alpha
    strength, classes = rest.sum(), len(rest)
    divergence = gammaln(strength) - gammaln(classes) - gammaln(rest).sum()
    divergence += ((rest - 1) * (digamma(rest) - digamma(strength))).sum()
    return float(fit + annealed * divergence)


def mean_loss(evidence: Tensor, batch: Batch, weight: Tensor, annealed: float) -> float:
    counted = [
        adjusted_loss(e, y, annealed)
        for e, y, w in zip(
            evidence.detach().double().numpy(), batch.target.numpy(), weight, strict=True
        )
        if w > 0 and np.isfinite(y).all()
    ]
    return float(np.mean(counted))


def check_vacuity(
    network: Method, inputs: dict[str, Tensor], masks: Tensor, fuse: Callable[[Tensor], Tensor]
) -> None:
    """Check that vacuity is K / S of the fused evidence, before and after calibration."""
    output = network.unimodal_output(inputs, masks)  # type: ignore[operator]
    fused = fuse(F.softplus(output.logits) * masks[..., None])
    expected = 4 / (4 + fused.sum(-1))
    for temperature in (0.0, 1.0):
        with torch.no_grad():
            network.calibration["log_temperature"].fill_(temperature)
        prediction = network.predict((inputs, masks))
        torch.testing.assert_close(prediction.vacuity, expected)
    probability = network.forward((inputs, masks)).logits.softmax(-1)
    torch.testing.assert_close(probability, (fused + 1) / (fused + 1).sum(-1, keepdim=True))

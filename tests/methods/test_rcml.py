"""RCML against the paper's losses, written out with scipy."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.special import digamma, gammaln
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from consilience.methods.base import Method
from consilience.methods.rcml import conflict_loss
from consilience.methods.tmc import affect_loss
from consilience.model.evidence import average, conflict, dempster
from consilience.model.types import Batch

Build = Callable[..., Method]
Windows = Callable[..., dict[str, Tensor]]
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


def test_rcml_averages_the_losses_and_adds_the_conflict(build: Build, batch: Batch) -> None:
    network = build("rcml", annealing=0.25, gamma=0.7)
    output = network.unimodal_output(batch.inputs, batch.available)  # type: ignore[operator]
    views = F.softplus(output.logits) * batch.available[..., None]
    fused = average(views, batch.available)
    terms = [mean_loss(fused, batch, batch.available.amax(-1), 0.4)]
    terms += [mean_loss(views[:, m], batch, batch.available[:, m], 0.4) for m in range(3)]
    degree, several = conflict(views).detach().numpy(), batch.available.sum(-1).numpy()
    conflicts = [
        d.sum() / (count - 1) for d, count in zip(degree, several, strict=True) if count > 1
    ]
    expected = np.mean(terms) + 0.7 * np.mean(conflicts)
    prediction = network.forward((batch.inputs, batch.available))
    expected += affect_loss(output, prediction, batch).item()
    loss, _ = network.loss(batch, 0.1)
    np.testing.assert_allclose(loss.item(), expected, rtol=1e-5)


@pytest.mark.parametrize("name", ["rcml"])
def test_vacuity_is_k_over_s_and_stays_so_under_calibration(
    build: Build, windows: Windows, masks: Tensor, name: str
) -> None:
    network = build(name)
    output = network.unimodal_output(windows(), masks)  # type: ignore[operator]
    views = F.softplus(output.logits) * masks[..., None]
    fused = dempster(views) if name == "tmc" else average(views, masks)
    expected = 4 / (4 + fused.sum(-1))
    for temperature in (0.0, 1.0):
        with torch.no_grad():
            network.calibration["log_temperature"].fill_(temperature)
        prediction = network.predict((windows(), masks))
        torch.testing.assert_close(prediction.vacuity, expected)
    probability = network.forward((windows(), masks)).logits.softmax(-1)
    torch.testing.assert_close(probability, (fused + 1) / (fused + 1).sum(-1, keepdim=True))


def test_agreeing_views_and_single_views_have_no_conflict() -> None:
    views = torch.tensor([[[5.0, 0, 0]] * 3, [[5.0, 0, 0]] * 3])
    assert conflict_loss(views, torch.ones(2, 3)) == 0
    opposed = torch.tensor([[[50.0, 0, 0], [0, 50.0, 0]]])
    assert conflict_loss(opposed, torch.ones(1, 2)) > 1.5
    one_view = opposed * torch.tensor([1.0, 0])[:, None]
    assert conflict_loss(one_view, torch.tensor([[1.0, 0]])) == 0

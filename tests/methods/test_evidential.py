"""TMC and RCML against their papers' losses, written out with scipy."""

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
from consilience.model.losses import evidential_loss
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


def test_the_evidential_loss_is_the_papers() -> None:
    generator = torch.Generator().manual_seed(0)
    evidence = 5 * torch.rand(1, 4, generator=generator, dtype=torch.float64)
    target = torch.eye(4, dtype=torch.float64)[1:2]
    found = evidential_loss(evidence, target, torch.ones(1), 0.4)
    expected = adjusted_loss(evidence[0].numpy(), target[0].numpy(), 0.4)
    np.testing.assert_allclose(found.item(), expected, rtol=1e-6)


@pytest.mark.parametrize("progress", [0.05, 0.7])
def test_tmc_adds_the_losses_of_the_combination_and_of_every_view(
    build: Build, batch: Batch, progress: float
) -> None:
    network = build("tmc", annealing=0.1)
    said = network.unimodal_output(batch.inputs, batch.available)  # type: ignore[operator]
    views = F.softplus(said.logits) * batch.available[..., None]
    annealed = min(1.0, progress / 0.1)
    expected = mean_loss(dempster(views), batch, batch.available.amax(-1), annealed)
    for m in range(3):
        expected += mean_loss(views[:, m], batch, batch.available[:, m], annealed)
    reading = network.forward((batch.inputs, batch.available))
    expected += affect_loss(said, reading, batch).item()
    loss, _ = network.loss(batch, progress)
    np.testing.assert_allclose(loss.item(), expected, rtol=1e-5)


def test_rcml_averages_the_losses_and_adds_the_conflict(build: Build, batch: Batch) -> None:
    network = build("rcml", annealing=0.25, gamma=0.7)
    said = network.unimodal_output(batch.inputs, batch.available)  # type: ignore[operator]
    views = F.softplus(said.logits) * batch.available[..., None]
    fused = average(views, batch.available)
    terms = [mean_loss(fused, batch, batch.available.amax(-1), 0.4)]
    terms += [mean_loss(views[:, m], batch, batch.available[:, m], 0.4) for m in range(3)]
    degree, several = conflict(views).detach().numpy(), batch.available.sum(-1).numpy()
    conflicts = [
        d.sum() / (count - 1) for d, count in zip(degree, several, strict=True) if count > 1
    ]
    expected = np.mean(terms) + 0.7 * np.mean(conflicts)
    reading = network.forward((batch.inputs, batch.available))
    expected += affect_loss(said, reading, batch).item()
    loss, _ = network.loss(batch, 0.1)
    np.testing.assert_allclose(loss.item(), expected, rtol=1e-5)


@pytest.mark.parametrize("name", ["tmc", "rcml"])
def test_vacuity_is_k_over_s_and_stays_so_under_calibration(
    build: Build, windows: Windows, masks: Tensor, name: str
) -> None:
    network = build(name)
    said = network.unimodal_output(windows(), masks)  # type: ignore[operator]
    views = F.softplus(said.logits) * masks[..., None]
    fused = dempster(views) if name == "tmc" else average(views, masks)
    expected = 4 / (4 + fused.sum(-1))
    for temperature in (0.0, 1.0):
        with torch.no_grad():
            network.calibration["log_temperature"].fill_(temperature)
        reading = network.predict((windows(), masks))
        torch.testing.assert_close(reading.vacuity, expected)
    probability = network.forward((windows(), masks)).logits.softmax(-1)
    torch.testing.assert_close(probability, (fused + 1) / (fused + 1).sum(-1, keepdim=True))


def test_the_pseudo_view_joins_where_there_are_several(
    build: Build, windows: Windows, masks: Tensor
) -> None:
    plain, joined = build("tmc"), build("tmc", pseudo_view=True)
    joined.load_state_dict(plain.state_dict(), strict=False)
    one, other = (network.forward((windows(), masks)) for network in (plain, joined))
    several = masks.sum(-1) > 1
    torch.testing.assert_close(one.logits[~several], other.logits[~several])
    assert (other.vacuity[several] < one.vacuity[several]).all()


def test_agreement_and_solitude_are_no_conflict() -> None:
    views = torch.tensor([[[5.0, 0, 0]] * 3, [[5.0, 0, 0]] * 3])
    assert conflict_loss(views, torch.ones(2, 3)) == 0
    opposed = torch.tensor([[[50.0, 0, 0], [0, 50.0, 0]]])
    assert conflict_loss(opposed, torch.ones(1, 2)) > 1.5
    silent = opposed * torch.tensor([1.0, 0])[:, None]
    assert conflict_loss(silent, torch.tensor([[1.0, 0]])) == 0

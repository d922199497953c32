"""RCML against the paper's losses, written out with scipy."""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from consilience.methods.base import Method
from consilience.methods.rcml import conflict_loss
from consilience.methods.tmc import affect_loss
from consilience.model.evidence import average, conflict
from consilience.model.types import Batch
from tests.methods.evidential import check_vacuity, mean_loss

Build = Callable[..., Method]
Windows = Callable[..., dict[str, Tensor]]


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


def test_vacuity_is_k_over_s_and_stays_so_under_calibration(
    build: Build, windows: Windows, masks: Tensor
) -> None:
    check_vacuity(build("rcml"), windows(), masks, lambda views: average(views, masks))


def test_agreeing_views_and_single_views_have_no_conflict() -> None:
    views = torch.tensor([[[5.0, 0, 0]] * 3, [[5.0, 0, 0]] * 3])
    assert conflict_loss(views, torch.ones(2, 3)) == 0
    opposed = torch.tensor([[[50.0, 0, 0], [0, 50.0, 0]]])
    assert conflict_loss(opposed, torch.ones(1, 2)) > 1.5
    one_view = opposed * torch.tensor([1.0, 0])[:, None]
    assert conflict_loss(one_view, torch.tensor([[1.0, 0]])) == 0

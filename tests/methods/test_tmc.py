"""TMC against the paper's losses, written out with scipy."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from consilience.methods.base import Method
from consilience.methods.tmc import affect_loss
from consilience.model.evidence import dempster
from consilience.model.losses import evidential_loss
from consilience.model.types import Batch
from tests.methods.evidential import adjusted_loss, check_vacuity, mean_loss

Build = Callable[..., Method]
Windows = Callable[..., dict[str, Tensor]]


def test_the_evidential_loss_is_the_papers() -> None:
    generator = torch.Generator().manual_seed(0)
    evidence = 5 * torch.rand(1, 4, generator=generator, dtype=torch.float64)
    target = torch.eye(4, dtype=torch.float64)[1:2]
    actual = evidential_loss(evidence, target, torch.ones(1), 0.4)
    expected = adjusted_loss(evidence[0].numpy(), target[0].numpy(), 0.4)
    np.testing.assert_allclose(actual.item(), expected, rtol=1e-6)


@pytest.mark.parametrize("progress", [0.05, 0.7])
def test_tmc_adds_the_losses_of_the_combination_and_of_every_view(
    build: Build, batch: Batch, progress: float
) -> None:
    network = build("tmc", annealing=0.1)
    output = network.unimodal_output(batch.inputs, batch.available)  # type: ignore[operator]
    views = F.softplus(output.logits) * batch.available[..., None]
    annealed = min(1.0, progress / 0.1)
    expected = mean_loss(dempster(views), batch, batch.available.amax(-1), annealed)
    for m in range(3):
        expected += mean_loss(views[:, m], batch, batch.available[:, m], annealed)
    prediction = network.forward((batch.inputs, batch.available))
    expected += affect_loss(output, prediction, batch).item()
    loss, _ = network.loss(batch, progress)
    np.testing.assert_allclose(loss.item(), expected, rtol=1e-5)


def test_vacuity_is_k_over_s_and_stays_so_under_calibration(
    build: Build, windows: Windows, masks: Tensor
) -> None:
    check_vacuity(build("tmc"), windows(), masks, dempster)


def test_the_pseudo_view_joins_where_there_are_several(
    build: Build, windows: Windows, masks: Tensor
) -> None:
    plain, joined = build("tmc"), build("tmc", pseudo_view=True)
    joined.load_state_dict(plain.state_dict(), strict=False)
    without, with_pseudo = (network.forward((windows(), masks)) for network in (plain, joined))
    several = masks.sum(-1) > 1
    torch.testing.assert_close(without.logits[~several], with_pseudo.logits[~several])
    assert (with_pseudo.vacuity[several] < without.vacuity[several]).all()

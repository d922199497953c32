"""Co-teaching against the paper's algorithm."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from consilience.methods.base import Method
from consilience.methods.co_teaching import easiest, window_losses
from consilience.methods.hybrid import summed_loss
from consilience.model.types import Batch
from tests.methods.noisy_labels import missing_third

Build = Callable[..., Method]


def test_the_easiest_share_is_of_the_labelled_windows() -> None:
    loss = torch.tensor([3.0, 1.0, torch.nan, 2.0, 5.0, 4.0])
    chosen = easiest(loss, missing_third(), 0.6)
    assert chosen.tolist() == [True, True, False, True, False, False]
    everyone = easiest(loss, missing_third(), 1.0)
    assert everyone.tolist() == [True, True, False, True, True, True]
    assert not easiest(loss, torch.full((6, 4), torch.nan), 0.6).any()


@pytest.mark.parametrize(("progress", "kept"), [(0.0, 1.0), (0.025, 0.8), (0.05, 0.6), (1.0, 0.6)])
def test_each_network_is_trained_on_its_peers_selection(
    build: Build, batch: Batch, progress: float, kept: float
) -> None:
    network = build("co_teaching", forget=0.4, ramp=0.05)
    outputs = [branch(batch.inputs, batch.available) for branch in network.networks]  # type: ignore[operator, union-attr]
    loss = torch.zeros(())
    for output, peer in (outputs, reversed(outputs)):
        hard = window_losses(peer, batch, 1.0).detach().numpy()
        labelled = np.flatnonzero(np.isfinite(hard))
        best = labelled[np.argsort(hard[labelled])][: int(np.ceil(kept * len(labelled) - 1e-9))]
        target = torch.full_like(batch.target, torch.nan)
        target[best] = batch.target[best]
        loss = loss + summed_loss(output, batch.available, target, batch.affect, 1.0)
    assert_close(network.loss(batch, progress)[0], loss)


def test_window_losses_average_to_the_task_loss(build: Build, batch: Batch) -> None:
    whole = batch._replace(
        available=torch.ones(12, 3), affect=torch.full_like(batch.affect, torch.nan)
    )
    outputs = build("hybrid").network(whole.inputs, whole.available)  # type: ignore[operator]
    each = window_losses(outputs, whole, 1.0)
    expected = summed_loss(outputs, whole.available, whole.target, whole.affect, 1.0)
    assert_close(each.nanmean(), expected)
    assert each.isnan().tolist() == [i == 3 for i in range(12)]

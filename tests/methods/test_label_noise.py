"""GCE, ELR, co-teaching and self-training against their papers' equations."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from scipy.special import softmax
from torch import Tensor
from torch.testing import assert_close

from consilience.methods.base import Method
from consilience.methods.co_teaching import easiest, redrawn, window_losses
from consilience.methods.elr import early_learning
from consilience.methods.gce import generalised_cross_entropy
from consilience.methods.hybrid import summed_loss
from consilience.methods.self_training import pseudo_label_loss
from consilience.model.losses import cross_entropy
from consilience.model.types import Batch

Build = Callable[..., Method]
Windows = Callable[..., dict[str, Tensor]]
RNG = np.random.default_rng(0)
LOGITS, LABELS = 2 * RNG.normal(size=(6, 4)), RNG.integers(0, 4, 6)
TARGET = np.eye(4)[LABELS]


def missing_third() -> Tensor:
    target = torch.from_numpy(TARGET.copy())
    target[2] = torch.nan
    return target


KEPT = [0, 1, 3, 4, 5]


@pytest.mark.parametrize("q", [0.3, 0.7, 1.0])
def test_gce_is_the_papers(q: float) -> None:
    p = softmax(LOGITS, -1)[np.arange(6), LABELS]
    found = generalised_cross_entropy(q, torch.from_numpy(LOGITS), missing_third())
    np.testing.assert_allclose(found.item(), ((1 - p**q) / q)[KEPT].mean(), rtol=1e-9)


def test_gce_lies_between_cross_entropy_and_absolute_error() -> None:
    logits, target = torch.from_numpy(LOGITS), torch.from_numpy(TARGET)
    near_zero = generalised_cross_entropy(1e-7, logits, target)
    assert_close(near_zero, cross_entropy(logits, target), rtol=1e-5, atol=1e-6)
    absolute = (logits.softmax(-1) - target).abs().sum(-1).mean() / 2
    assert_close(generalised_cross_entropy(1.0, logits, target), absolute)


def test_gce_replaces_every_cross_entropy(build: Build, batch: Batch) -> None:
    network = build("gce")
    said = network.network(batch.inputs, batch.available)  # type: ignore[operator]
    silent = batch._replace(affect=torch.full_like(batch.affect, torch.nan))
    expected = generalised_cross_entropy(0.7, said.logits, batch.target)
    for m in range(3):
        weight = batch.available[:, m]
        own = generalised_cross_entropy(0.7, said.unimodal[:, m], batch.target, weight)
        expected = expected + own
    assert_close(network.loss(silent, 0.5)[0], expected)


def test_elr_is_the_papers() -> None:
    memory = RNG.dirichlet(np.ones(4), 6)
    p = softmax(LOGITS, -1)
    expected = np.log(1 - (p * memory).sum(-1))[KEPT].mean()
    found = early_learning(torch.from_numpy(LOGITS), torch.from_numpy(memory), missing_third())
    np.testing.assert_allclose(found.item(), expected, rtol=1e-9)


def test_elr_weakens_the_gradient_of_a_label_the_memory_contradicts() -> None:
    """At the memory's own prediction the regulariser opposes the cross-entropy."""
    logits = torch.tensor([[4.0, 0, 0]], requires_grad=True)
    memory, target = torch.tensor([[0.96, 0.02, 0.02]]), torch.tensor([[0.0, 1, 0]])
    plain = torch.autograd.grad(cross_entropy(logits, target), logits)[0]
    regular = torch.autograd.grad(early_learning(logits, memory, target), logits)[0]
    assert plain[0, 0] > 0
    assert regular[0, 0] < 0


def test_elr_adds_the_regulariser_to_every_cross_entropy(build: Build, batch: Batch) -> None:
    plain, network = build("hybrid"), build("elr", regularisation=3.0)
    said = network.network(batch.inputs, batch.available)  # type: ignore[operator]
    memory = early_learning(said.logits, batch.consensus, batch.target)
    for m in range(3):
        own, weight = said.unimodal[:, m], batch.available[:, m]
        memory = memory + early_learning(own, batch.consensus, batch.target, weight)
    assert_close(network.loss(batch, 0.5)[0], plain.loss(batch, 0.5)[0] + 3 * memory)


def test_the_easiest_share_is_of_the_labelled_windows() -> None:
    loss = torch.tensor([3.0, 1.0, torch.nan, 2.0, 5.0, 4.0])
    chosen = easiest(loss, missing_third(), 0.6)
    assert chosen.tolist() == [True, True, False, True, False, False]
    everyone = easiest(loss, missing_third(), 1.0)
    assert everyone.tolist() == [True, True, False, True, True, True]
    assert not easiest(loss, torch.full((6, 4), torch.nan), 0.6).any()


@pytest.mark.parametrize(("progress", "kept"), [(0.0, 1.0), (0.025, 0.8), (0.05, 0.6), (1.0, 0.6)])
def test_each_network_learns_from_its_peers_choice(
    build: Build, batch: Batch, progress: float, kept: float
) -> None:
    network = build("co_teaching", forget=0.4, ramp=0.05)
    said = [own(batch.inputs, batch.available) for own in network.networks]  # type: ignore[operator, union-attr]
    loss = torch.zeros(())
    for own, peer in (said, reversed(said)):
        hard = window_losses(peer, batch, 1.0).detach().numpy()
        labelled = np.flatnonzero(np.isfinite(hard))
        best = labelled[np.argsort(hard[labelled])][: int(np.ceil(kept * len(labelled) - 1e-9))]
        target = torch.full_like(batch.target, torch.nan)
        target[best] = batch.target[best]
        loss = loss + summed_loss(own, batch.available, target, batch.affect, 1.0)
    assert_close(network.loss(batch, progress)[0], loss)


def test_window_losses_average_to_the_task_loss(build: Build, batch: Batch) -> None:
    whole = batch._replace(
        available=torch.ones(12, 3), affect=torch.full_like(batch.affect, torch.nan)
    )
    said = build("hybrid").network(whole.inputs, whole.available)  # type: ignore[operator]
    each = window_losses(said, whole, 1.0)
    expected = summed_loss(said, whole.available, whole.target, whole.affect, 1.0)
    assert_close(each.nanmean(), expected)
    assert each.isnan().tolist() == [i == 3 for i in range(12)]


def test_the_second_network_starts_elsewhere_with_the_same_spread(build: Build) -> None:
    first = build("hybrid").network
    second = redrawn(first)  # type: ignore[arg-type]
    for (name, one), other in zip(
        first.named_parameters(),  # type: ignore[union-attr]
        second.parameters(),
        strict=True,
    ):
        assert not torch.equal(one, other), name
    weights = torch.cat([weight.flatten() for weight in first.parameters()])  # type: ignore[union-attr]
    again = torch.cat([weight.flatten() for weight in second.parameters()])
    assert_close(again.std(), weights.std(), rtol=0.1, atol=0)


def test_both_networks_are_read_together(build: Build, windows: Windows, masks: Tensor) -> None:
    network = build("co_teaching")
    said = [own(windows(), masks).logits.softmax(-1) for own in network.networks]  # type: ignore[operator, union-attr]
    found = network.forward((windows(), masks)).logits.softmax(-1)
    assert_close(found, (said[0] + said[1]) / 2)


def test_only_sure_readings_become_labels() -> None:
    own = torch.tensor([[0.97, 0.01, 0.01, 0.01], [0.9, 0.1, 0, 0], [0.01, 0.96, 0.03, 0]])
    logits = torch.randn(4, 4, generator=torch.Generator().manual_seed(0))
    own = torch.cat([own, torch.tensor([[0.99, 0.01, 0, 0]])])
    target = torch.full((4, 4), torch.nan)
    target[3] = torch.tensor([0.0, 0, 1, 0])  # labelled: counts for nothing here
    logs = logits.log_softmax(-1)
    expected = -(logs[0, 0] + logs[2, 1]) / 3
    assert_close(pseudo_label_loss(logits, own, target, 0.95), expected)
    assert pseudo_label_loss(logits, own, target, 0.999) == 0


def test_self_training_is_the_hybrid_plus_the_ramped_unlabelled_loss(
    build: Build, batch: Batch
) -> None:
    few = batch._replace(target=torch.where(torch.arange(12)[:, None] < 4, batch.target, torch.nan))
    network, plain = build("self_training", threshold=0.0, ramp=0.5), build("hybrid")
    clean = network.network(few.clean, few.present).logits.softmax(-1)  # type: ignore[operator]
    said = network.network(few.inputs, few.available)  # type: ignore[operator]
    extra = pseudo_label_loss(said.logits, clean, few.target, 0.0)
    assert extra > 0
    supervised = plain.loss(few, 0.25)[0]
    assert_close(network.loss(few, 0.25)[0], supervised + 0.5 * extra)
    assert_close(network.loss(few, 1.0)[0], supervised + extra)
    assert_close(network.loss(few, 1.0)[1], clean)

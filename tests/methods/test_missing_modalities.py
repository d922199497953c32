"""ShaSpec, MMANet and ActionMAE against their papers' equations."""

from collections.abc import Callable

import numpy as np
import torch
from scipy.special import entr, log_softmax, softmax
from torch import Tensor
from torch.testing import assert_close

from consilience.methods.action_mae import attend, reconstruction_loss
from consilience.methods.base import Method, task_loss
from consilience.methods.mmanet import in_weak_combination, margin_distance
from consilience.methods.shaspec import alignment_loss, domain_loss
from consilience.model.types import Batch

Build = Callable[..., Method]
Windows = Callable[..., dict[str, Tensor]]
RNG = np.random.default_rng(0)


def test_a_missing_feature_is_the_mean_of_the_shared_ones(
    build: Build, windows: Windows, masks: Tensor
) -> None:
    network = build("shaspec")
    features = network._features(windows(), masks)  # type: ignore[operator]
    fused = network._fused(features, masks).detach().numpy()  # type: ignore[operator]
    shared, specific = (values.detach().numpy() for values in features)
    weight = network.compose.weight.detach().numpy()  # type: ignore[union-attr]
    bias = network.compose.bias.detach().numpy()  # type: ignore[union-attr]
    for r, s, mask, found in zip(shared, specific, masks.numpy() > 0, fused, strict=True):
        for m in range(3):
            if mask[m]:
                expected = weight @ np.concatenate([r[m], s[m]]) + bias + r[m]
            else:
                expected = r[mask].mean(0) if mask.any() else np.zeros_like(r[m])
            np.testing.assert_allclose(found[m], expected, rtol=1e-4, atol=1e-6)


def test_alignment_is_the_distance_of_shared_features() -> None:
    shared = RNG.normal(size=(4, 3, 5))
    available = np.array([[1.0, 1, 1], [1, 1, 0], [0, 1, 1], [1, 0, 0]])
    expected = 0.0
    for m, n in ((0, 1), (0, 2), (1, 2)):
        both = (available[:, m] * available[:, n]) > 0
        expected += np.abs(shared[both, m] - shared[both, n]).mean()
    found = alignment_loss(torch.from_numpy(shared), torch.from_numpy(available))
    np.testing.assert_allclose(found.item(), expected, rtol=1e-9)
    same = torch.ones(4, 3, 5)
    assert alignment_loss(same, torch.ones(4, 3)) == 0


def test_the_domain_of_a_specific_feature_is_its_modality() -> None:
    logits = RNG.normal(size=(4, 3, 3))
    available = np.array([[1.0, 1, 1], [1, 1, 0], [0, 1, 1], [1, 0, 0]])
    terms = [
        -log_softmax(logits[i, m])[m] for i in range(4) for m in range(3) if available[i, m] > 0
    ]
    found = domain_loss(torch.from_numpy(logits), torch.from_numpy(available))
    np.testing.assert_allclose(found.item(), np.mean(terms), rtol=1e-9)


def test_shaspec_weighs_its_objectives(build: Build, batch: Batch) -> None:
    network = build("shaspec", alignment=0.1, domain=0.02)
    features = network._features(batch.inputs, batch.available)  # type: ignore[operator]
    reading = network.forward((batch.inputs, batch.available))
    expected = task_loss(reading, batch)
    expected = expected + 0.1 * alignment_loss(features.shared, batch.available)
    domain = network.domain(features.specific)  # type: ignore[operator]
    expected = expected + 0.02 * domain_loss(domain, batch.available)
    assert_close(network.loss(batch, 0.5)[0], expected)


def test_margin_distance_weighs_rows_by_the_teachers_entropy() -> None:
    student, teacher, logits = (RNG.normal(size=(5, n)) for n in (8, 8, 4))
    gram = [f @ f.T for f in (student, teacher)]
    rows = [g / np.linalg.norm(g, axis=1, keepdims=True) for g in gram]
    entropy = entr(softmax(logits, -1)).sum(-1)
    expected = (entropy / entropy.sum() * ((rows[0] - rows[1]) ** 2).sum(1)).sum()
    found = margin_distance(*map(torch.from_numpy, (student, teacher, logits)))
    np.testing.assert_allclose(found.item(), expected, rtol=1e-9)
    itself = torch.from_numpy(teacher)
    assert_close(margin_distance(3 * itself, itself, torch.from_numpy(logits)).item(), 0.0)


def test_the_weak_combination_predicts_least_like_everything() -> None:
    even, skewed = [0.25] * 4, [0.97, 0.01, 0.01, 0.01]
    predicted = torch.tensor([even, even, skewed, even])  # without the second one is lost
    available = torch.tensor([[1.0, 0, 1], [1, 0, 0], [0, 0, 1], [0, 1, 0], [1, 1, 1], [1, 1, 0]])
    assert in_weak_combination(predicted, available).tolist() == [1, 1, 1, 0, 0, 0]


def test_with_two_modalities_the_weak_combination_is_one_of_them() -> None:
    predicted = torch.tensor([[0.5, 0.5], [0.9, 0.1], [0.5, 0.5]])
    available = torch.tensor([[1.0, 1], [1, 0], [0, 1]])
    assert in_weak_combination(predicted, available).tolist() == [0, 0, 1]


def test_mmanet_adds_its_objectives_once_it_has_begun(build: Build, batch: Batch) -> None:
    network = build("mmanet", begin=0.1, margin=30.0, regularisation=0.5)
    deployed, teacher = network.network, network.teacher
    said = deployed(deployed.encodings(batch.inputs, batch.available), batch.available)  # type: ignore[operator, union-attr]
    taught = teacher(teacher.encodings(batch.clean, batch.present), batch.present)  # type: ignore[operator, union-attr]
    plain = task_loss(said.prediction, batch) + task_loss(taught.prediction, batch)
    assert_close(network.loss(batch, 0.05)[0], plain)
    distance = margin_distance(said.feature, taught.feature, taught.prediction.logits)
    weak = in_weak_combination(network._class_shares(batch), batch.available)  # type: ignore[operator]
    logs = network.regulariser(said.feature).log_softmax(-1)  # type: ignore[operator]
    guarded = (
        -(weak[:, None] * batch.target.nan_to_num() * logs).sum()
        / weak[batch.target.isfinite().all(-1)].sum()
    )
    expected = plain + 30 * distance + 0.5 * weak.mean() * guarded
    assert_close(network.loss(batch, 0.5)[0], expected)


def test_predictions_without_a_modality_are_counted_by_class(build: Build, batch: Batch) -> None:
    network = build("mmanet")
    shares = network._class_shares(batch)  # type: ignore[operator]
    for row, hidden in zip(shares, (None, 0, 1, 2), strict=True):
        left = batch.present.clone()
        if hidden is not None:
            left[:, hidden] = 0
        classes = network.forward((batch.clean, left)).logits.argmax(-1)
        assert_close(row, torch.bincount(classes, minlength=4) / 12)


def test_attention_is_over_what_is_seen() -> None:
    q, k, v = RNG.normal(size=(3, 2, 4, 6))
    seen = np.array([[1.0, 1, 0, 1], [1, 0, 0, 0]])
    found = attend(*map(torch.from_numpy, (q, k, v, seen)))
    for i in range(2):
        chosen = seen[i] > 0
        weights = softmax(q[i] @ k[i][chosen].T / np.sqrt(6), -1)
        np.testing.assert_allclose(found[i], weights @ v[i][chosen], rtol=1e-9)


def test_reconstruction_counts_hidden_tokens_alone() -> None:
    decoded, target = RNG.normal(size=(2, 3, 2, 5))
    hidden = np.array([[0.0, 1], [1, 0], [0, 0]])
    terms = []
    for i, m in ((0, 1), (1, 0)):
        wanted = (target[i, m] - target[i, m].mean()) / np.sqrt(target[i, m].var() + 1e-5)
        terms.append(((decoded[i, m] - wanted) ** 2).mean())
    found = reconstruction_loss(*map(torch.from_numpy, (decoded, target, hidden)))
    np.testing.assert_allclose(found.item(), np.mean(terms), rtol=1e-6)
    nothing_hidden = reconstruction_loss(
        torch.from_numpy(decoded), torch.from_numpy(target), torch.zeros(3, 2)
    )
    assert nothing_hidden == 0


def test_action_mae_learns_to_reconstruct_what_was_hidden(build: Build, batch: Batch) -> None:
    network = build("action_mae", reconstruction=2.0)
    plain = task_loss(network.forward((batch.inputs, batch.available)), batch)
    whole = batch._replace(present=batch.available)
    assert_close(network.loss(whole, 0.5)[0], plain)
    assert network.loss(batch, 0.5)[0] > plain

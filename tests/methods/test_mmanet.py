"""MMANet against the paper's equations."""

from collections.abc import Callable

import numpy as np
import torch
from scipy.special import entr, softmax
from torch.testing import assert_close

from consilience.methods.base import Method, task_loss
from consilience.methods.mmanet import in_weak_combination, margin_distance
from consilience.model.types import Batch

Build = Callable[..., Method]
RNG = np.random.default_rng(0)


def test_margin_distance_weighs_rows_by_the_teachers_entropy() -> None:
    student, teacher, logits = (RNG.normal(size=(5, n)) for n in (8, 8, 4))
    gram = [f @ f.T for f in (student, teacher)]
    rows = [g / np.linalg.norm(g, axis=1, keepdims=True) for g in gram]
    entropy = entr(softmax(logits, -1)).sum(-1)
    expected = (entropy / entropy.sum() * ((rows[0] - rows[1]) ** 2).sum(1)).sum()
    actual = margin_distance(*map(torch.from_numpy, (student, teacher, logits)))
    np.testing.assert_allclose(actual.item(), expected, rtol=1e-9)
    itself = torch.from_numpy(teacher)
    assert_close(margin_distance(3 * itself, itself, torch.from_numpy(logits)).item(), 0.0)


def test_the_weak_combination_predicts_least_like_the_complete_windows() -> None:
    even, skewed = [0.25] * 4, [0.97, 0.01, 0.01, 0.01]
    predicted = torch.tensor(
        [even, even, skewed, even]
    )  # without the second modality one class is predicted
    available = torch.tensor([[1.0, 0, 1], [1, 0, 0], [0, 0, 1], [0, 1, 0], [1, 1, 1], [1, 1, 0]])
    assert in_weak_combination(predicted, available).tolist() == [1, 1, 1, 0, 0, 0]


def test_with_two_modalities_the_weak_combination_is_one_of_them() -> None:
    predicted = torch.tensor([[0.5, 0.5], [0.9, 0.1], [0.5, 0.5]])
    available = torch.tensor([[1.0, 1], [1, 0], [0, 1]])
    assert in_weak_combination(predicted, available).tolist() == [0, 0, 1]


def test_mmanet_adds_its_objectives_once_it_has_begun(build: Build, batch: Batch) -> None:
    network = build("mmanet", begin=0.1, margin=30.0, regularisation=0.5)
    deployed, teacher = network.network, network.teacher
    student_out = deployed(deployed.encodings(batch.inputs, batch.available), batch.available)  # type: ignore[operator, union-attr]
    teacher_out = teacher(teacher.encodings(batch.clean, batch.present), batch.present)  # type: ignore[operator, union-attr]
    plain = task_loss(student_out.prediction, batch) + task_loss(teacher_out.prediction, batch)
    assert_close(network.loss(batch, 0.05)[0], plain)
    distance = margin_distance(
        student_out.feature, teacher_out.feature, teacher_out.prediction.logits
    )
    weak = in_weak_combination(network._class_shares(batch), batch.available)  # type: ignore[operator]
    logs = network.regulariser(student_out.feature).log_softmax(-1)  # type: ignore[operator]
    regularised = (
        -(weak[:, None] * batch.target.nan_to_num() * logs).sum()
        / weak[batch.target.isfinite().all(-1)].sum()
    )
    expected = plain + 30 * distance + 0.5 * weak.mean() * regularised
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

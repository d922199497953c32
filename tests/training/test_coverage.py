"""Prediction sets and intervals cover the share of windows that was asked for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from consilience.methods.base import Method, plain_prediction
from consilience.model.stack import Stack
from consilience.model.types import Prediction
from consilience.schema.params.plugins import MethodParams
from consilience.schema.params.training import TrainingParams
from consilience.training.augmentation import Run
from consilience.training.calibration import COVERAGE
from consilience.training.coverage import class_scores, conformal_threshold, fit_coverage
from consilience.training.data import Scaler
from consilience.training.fit import Fitted
from consilience.windows.store import Corpus, load_corpus

RUNS = [Run(fold, seed) for fold in range(3) for seed in (0, 1)]


def test_a_class_scores_the_probability_of_those_above_it() -> None:
    scores = class_scores(np.array([[0.5, 0.3, 0.2], [0.2, 0.7, 0.1]]))
    np.testing.assert_allclose(scores, [[0, 0.5, 0.8], [0.7, 0, 0.9]])


def test_classes_of_equal_probability_share_their_score() -> None:
    scores = class_scores(np.array([[0.4, 0.4, 0.2], [1 / 3, 1 / 3, 1 / 3]]))
    np.testing.assert_allclose(scores, [[0, 0, 0.8], [0, 0, 0]])


def test_a_less_probable_class_never_scores_lower() -> None:
    probability = np.random.default_rng(0).dirichlet(np.full(8, 0.3), size=500)
    order = probability.argsort(-1)[:, ::-1]
    ordered = np.take_along_axis(class_scores(probability), order, -1)
    assert (np.diff(ordered, axis=-1) >= 0).all()


@pytest.mark.parametrize("n_windows", [13, 19, 24, 200])
def test_the_quantile_of_independent_scores_covers_exactly(n_windows: int) -> None:
    """The mean coverage is .9 for n subjects with a window each, also between multiples of ten."""
    rng = np.random.default_rng(1)
    thresholds = [
        conformal_threshold(rng.random(n_windows), np.arange(n_windows), 0.9) for _ in range(2000)
    ]
    assert np.mean(thresholds) == pytest.approx(0.9, abs=0.012)


def test_few_different_subjects_give_a_higher_threshold() -> None:
    """Of subjects who differ, the quantile at .9 alone would cover less than .9 of another's."""
    rng = np.random.default_rng(2)
    subjects = np.repeat(np.arange(4), 50)
    cautious, plain = [], []
    for _ in range(1000):
        level = rng.normal(size=5)
        scores = level[:4].repeat(50) + rng.normal(size=200)
        other = level[4] + rng.normal(size=200)
        cautious.append((other <= conformal_threshold(scores, subjects, 0.9)).mean())
        plain.append((other <= np.quantile(scores, 0.9)).mean())
    assert np.mean(plain) < 0.875
    assert 0.88 < np.mean(cautious) < 0.93


def test_equal_subjects_count_as_their_windows() -> None:
    scores = np.tile(np.arange(100.0), 3)
    subjects = np.repeat(np.arange(3), 100)
    # Level .9 (1 + 1/300) of 300 values is at place 270.9: the 270th is 89, the 271st 90.
    assert conformal_threshold(scores, subjects, 0.9) == pytest.approx(89.9)


def test_without_scores_there_is_no_threshold() -> None:
    assert np.isnan(conformal_threshold(np.zeros(0), np.zeros(0, int), 0.9))


def test_too_few_windows_for_the_level_give_their_largest_score() -> None:
    assert conformal_threshold(np.array([1.0, 3.0, 2.0]), np.arange(3), 0.9) == 3.0


class Given(Method):
    """Predict the log probabilities that the first sensor shows, and a normal distribution."""

    def __init__(self, n_modalities: int, std: float) -> None:
        encoders = {name: nn.Identity() for name in ("audio", "face_au")[:n_modalities]}
        super().__init__(encoders, 3, 1, 0.0, MethodParams())
        self.log_variance = nn.Parameter(torch.tensor(2 * float(np.log(std))))
        del self.calibration["energy_weight"]

    def forward(self, windows: tuple[dict[str, Tensor], Tensor]) -> Prediction:
        inputs, available = windows
        mean = torch.zeros(len(available), 2)
        affect = (mean, mean + self.log_variance)
        return plain_prediction(torch.stack(list(inputs.values())).sum(0), affect, available)


@pytest.fixture
def corpus(windows_folder: Path) -> Corpus:
    return load_corpus(windows_folder)


def fitted_thresholds(
    corpus: Corpus, target: Tensor, affect: Tensor, coverage: float = 0.9, std: float = 1.0
) -> Tensor:
    """Fit thresholds (R, S, 3) for windows whose inputs are fixed log probabilities."""
    rng = np.random.default_rng(3)
    shown = torch.from_numpy(rng.dirichlet(np.ones(3), len(corpus.index))).float().log()
    prepared = {"audio": {"clean": shown}, "face_au": {"clean": torch.zeros_like(shown)}}
    zero = {name: torch.zeros(len(RUNS), 1, 3) for name in prepared}
    one = {name: torch.ones(len(RUNS), 1, 3) for name in prepared}
    scaler = Scaler(
        zero,
        one,
        torch.full((len(RUNS), 1, 2), 0.5),
        torch.full((len(RUNS), 1, 2), 2.0),
        torch.tensor(1e6),
    )
    stack = Stack([Given(2, std) for _ in RUNS])
    fit_coverage(stack, scaler, RUNS, corpus, prepared, {}, target, affect, coverage)
    return stack.weights[COVERAGE].detach()


def labels_of(corpus: Corpus) -> tuple[Tensor, Tensor]:
    repeated = (
        torch.from_numpy(values).expand(len(RUNS), -1, -1).clone()
        for values in (corpus.target, corpus.affect)
    )
    return next(repeated), next(repeated)


def test_intervals_are_in_predicted_standard_deviations(corpus: Corpus) -> None:
    target, affect = labels_of(corpus)
    narrow, wide = (fitted_thresholds(corpus, target, affect, std=std) for std in (1.0, 4.0))
    rows = corpus.members(0, "validation")
    complete = rows[corpus.available[rows].all(1)]
    distance = np.abs(corpus.affect[complete, 0] - 0.5) / 2  # standardised; the mean is 0
    assert narrow[0, 0, 1] == pytest.approx(distance.max())
    torch.testing.assert_close(wide[..., 1], narrow[..., 1] / 4)


def test_the_interval_of_a_target_without_labels_is_unbounded(corpus: Corpus) -> None:
    thresholds = fitted_thresholds(corpus, *labels_of(corpus))
    assert thresholds[..., :2].isfinite().all()
    assert thresholds[..., 2].isinf().all()


def test_thresholds_depend_on_validation_subjects_alone(corpus: Corpus) -> None:
    target, affect = labels_of(corpus)
    before = fitted_thresholds(corpus, target, affect)
    of_fold = [number for number, run in enumerate(RUNS) if run.fold == 0]
    for role in ("train", "test", "validation"):
        other, moved = target.clone(), affect.clone()
        rows = corpus.members(0, role)
        other[:, rows] = other[:, rows].roll(1, -1)
        moved[:, rows] += 3
        after = fitted_thresholds(corpus, other, moved)
        same = torch.equal(after[of_fold, :, :2], before[of_fold, :, :2])
        assert same == (role != "validation")


def test_a_set_without_windows_gets_the_largest_threshold(corpus: Corpus) -> None:
    available = corpus.available.copy()
    available[:, 1] = True
    without = replace(corpus, available=available)
    target, affect = labels_of(corpus)
    rows = np.flatnonzero(available.all(1))
    target[:, rows] = torch.nan  # windows that have both sensors, and so each of them alone
    thresholds = fitted_thresholds(without, target, affect)
    # Those without the first sensor still have the second one alone.
    torch.testing.assert_close(thresholds[:, 0, 0], thresholds[:, 2, 0])
    torch.testing.assert_close(thresholds[:, 1, 0], thresholds[:, 2, 0])


def test_more_coverage_needs_higher_thresholds(corpus: Corpus) -> None:
    low, high = (fitted_thresholds(corpus, *labels_of(corpus), c)[..., :2] for c in (0.4, 0.8))
    assert (low <= high).all()
    assert (low < high).any()


def test_a_training_leaves_thresholds_of_the_coverage_that_was_asked_for(
    train: Callable[..., Fitted], budget: TrainingParams
) -> None:
    low, high = (
        train(training=budget.model_copy(update={"coverage": coverage})) for coverage in (0.5, 0.9)
    )
    first, second = (fitted.stack.weights[COVERAGE] for fitted in (low, high))
    assert (first[..., :2] <= second[..., :2]).all()
    assert (first[..., :2] < second[..., :2]).any()

from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
from lightning_fabric import Fabric

from consilience.core import registry
from consilience.schema.params.training import TrainingParams
from consilience.training.augmentation import Run
from consilience.training.networks import untrained_stack
from consilience.training.trainer import (
    CONSENSUS_MEMORY,
    RunData,
    Trainer,
    disagreement,
    take_rows,
)
from consilience.windows.store import Corpus, load_corpus

RUNS = [Run(0, 0), Run(1, 0)]


@pytest.fixture
def corpus(windows_folder: Path) -> Corpus:
    return load_corpus(windows_folder)


def make(
    corpus: Corpus, budget: TrainingParams, method: str = "hybrid", unlabelled: bool = False
) -> Trainer:
    def labels(run: Run) -> tuple[np.ndarray, np.ndarray]:
        target, affect = corpus.labels(run)
        if unlabelled:
            target = target.copy()
            target[corpus.members(run.fold, "train")[0]] = np.nan
        return target, affect

    kind, params = registry.get("methods", method), registry.params("methods", method)()
    fabric = Fabric(accelerator="cpu", devices=1)
    stack = untrained_stack(method, params, budget, corpus, RUNS)
    data = RunData(fabric, RUNS, corpus, budget, labels, kind.cross_fitted)
    return Trainer(fabric, stack, RUNS, data, budget)


def test_the_state_restores_a_trainer(corpus: Corpus, budget: TrainingParams) -> None:
    first, second = make(corpus, budget), make(corpus, budget)
    first.train_epoch()
    first.validate()
    second.load_state({name: value.clone() for name, value in first.state().items()})
    assert second.epoch == 1
    for trainer in (first, second):
        trainer.train_epoch()
        trainer.validate()
    for name, value in first.state().items():
        assert torch.equal(value, second.state()[name]), name


def test_unlabelled_windows_select_the_semi_supervised_loss(
    corpus: Corpus, budget: TrainingParams
) -> None:
    assert make(corpus, budget).loss == "loss"
    assert make(corpus, budget, unlabelled=True).loss == "semi_supervised_loss"


def test_the_consensus_is_the_moving_average_of_the_predictions(
    corpus: Corpus, budget: TrainingParams
) -> None:
    trainer = make(corpus, budget)
    index = torch.tensor([[3], [5]])
    probability = torch.tensor([[[0.0, 0, 1]], [[1.0, 0, 0]]])
    before = trainer.consensus.clone()
    trainer._update_consensus(index, probability)
    expected = CONSENSUS_MEMORY * before[0, 3] + (1 - CONSENSUS_MEMORY) * probability[0, 0]
    torch.testing.assert_close(trainer.consensus[0, 3], expected)
    assert torch.equal(trainer.consensus[0, 5], before[0, 5])


def test_label_estimates_are_computed_only_for_methods_that_use_them(
    corpus: Corpus, budget: TrainingParams
) -> None:
    assert make(corpus, budget).data._label_estimate.isnan().all()
    estimate = make(corpus, budget, "coherence_transfer").data._label_estimate
    torch.testing.assert_close(estimate.sum(-1), torch.ones(estimate.shape[:2]))


def test_training_ends_with_the_budget(corpus: Corpus, budget: TrainingParams) -> None:
    trainer = make(corpus, budget.model_copy(update={"epochs": 1}))
    assert not trainer.done()
    trainer.train_epoch()
    trainer.validate()
    assert trainer.done()


def test_rows_are_taken_per_run() -> None:
    values = torch.arange(12).reshape(2, 3, 2)
    assert take_rows(values, torch.tensor([[2], [0]])).tolist() == [[[4, 5]], [[6, 7]]]


def test_disagreement_counts_windows_with_several_annotators_only(corpus: Corpus) -> None:
    target = np.tile(np.array([0.5, 0.5, 0], np.float32), (len(corpus.index), 1))
    target[0] = [0.8, 0.2, 0]
    rows = np.arange(4)
    assert disagreement(corpus, target, rows) == 0.0
    counts = [3, 1, 1, 1, *[1] * (len(corpus.index) - 4)]
    several = replace(corpus, index=corpus.index.with_columns(n_annotators=pl.Series(counts)))
    assert disagreement(several, target, rows) == pytest.approx(0.2)

from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch

from consilience.core import registry
from consilience.core.errors import ConsilienceError
from consilience.schema.params.plugins import MethodParams, TransferParams
from consilience.schema.params.training import TrainingParams
from consilience.training.augmentation import Augmentation, Run
from consilience.training.devices import OneProcess
from consilience.training.networks import architecture
from consilience.training.trainer import (
    CONSENSUS_MEMORY,
    RunData,
    Trainer,
    disagreement,
    take_rows,
    training_variants,
)
from consilience.windows.store import Corpus, load_corpus

RUNS = [Run(0, 0), Run(1, 0)]


@pytest.fixture
def corpus(windows_folder: Path) -> Corpus:
    return load_corpus(windows_folder)


def make(corpus: Corpus, budget: TrainingParams, method: str = "hybrid") -> Trainer:
    params = registry.params("methods", method)()
    stack = architecture(method, params, budget, corpus).untrained(RUNS)
    data = RunData(OneProcess(), RUNS, corpus, budget, corpus.labels, params)
    return Trainer(OneProcess(), stack, RUNS, data, budget)


def test_labels_are_estimated_relative_to_the_complete_baseline_of_a_person(
    corpus: Corpus, budget: TrainingParams
) -> None:
    estimates = []
    for baseline in ("person", "running", "recording", "none"):
        training = budget.model_copy(update={"baseline": baseline})
        data = RunData(OneProcess(), RUNS, corpus, training, corpus.labels, TransferParams())
        estimates.append((data._label_estimate, data._label_reliability))
    (person, reliability), *others, without = estimates
    for estimate, of_others in others:
        torch.testing.assert_close(estimate, person, rtol=0, atol=0)
        torch.testing.assert_close(of_others, reliability, rtol=0, atol=0)
    assert not torch.equal(without[0], person)


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


def test_a_run_without_improvement_leaves_and_the_others_train_as_before(
    corpus: Corpus, budget: TrainingParams
) -> None:
    whole, shrunk = make(corpus, budget), make(corpus, budget)
    for trainer in (whole, shrunk):
        trainer.train_epoch()
        trainer.validate()
    shrunk.best_epoch[0] = -budget.patience - 1  # as if it had improved long ago
    shrunk.best_loss[0] = -np.inf
    for trainer in (whole, shrunk):
        trainer.train_epoch()
        trainer.validate()
        trainer.train_epoch()
        trainer.validate()
    assert shrunk.last_epoch.tolist() == [2, 3]
    assert whole.last_epoch.tolist() == [3, 3]
    assert not shrunk.done()
    torch.testing.assert_close(shrunk.consensus[1], whole.consensus[1])
    for name, value in shrunk.state().items():
        if name.startswith(("now/", "optimizer/")):
            torch.testing.assert_close(value[1], whole.state()[name][1])


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


def test_the_number_of_threads_changes_no_byte(corpus: Corpus, budget: TrainingParams) -> None:
    states, before = [], torch.get_num_threads()
    try:
        for n_threads in (1, 2, 4):
            torch.set_num_threads(n_threads)
            trainer = make(corpus, budget, "coherence_transfer")
            for _ in range(3):
                trainer.train_epoch()
                trainer.validate()
            states.append({name: value.clone() for name, value in trainer.state().items()})
    finally:
        torch.set_num_threads(before)
    for name, value in states[0].items():
        assert all(torch.equal(value, other[name]) for other in states[1:]), name


def test_training_ends_with_the_budget(corpus: Corpus, budget: TrainingParams) -> None:
    trainer = make(corpus, budget.model_copy(update={"epochs": 1}))
    assert not trainer.done()
    trainer.train_epoch()
    trainer.validate()
    assert trainer.done()


def test_rows_are_taken_per_run() -> None:
    values = torch.arange(12).reshape(2, 3, 2)
    index = torch.tensor([[2], [0]])
    assert take_rows(values, torch.tensor([0, 1]), index).tolist() == [[[4, 5]], [[6, 7]]]
    assert take_rows(values, torch.tensor([1]), index[:1]).tolist() == [[[10, 11]]]


def test_disagreement_counts_windows_with_several_annotators_only(corpus: Corpus) -> None:
    target = np.tile(np.array([0.5, 0.5, 0], np.float32), (len(corpus.index), 1))
    target[0] = [0.8, 0.2, 0]
    rows = np.arange(4)
    assert disagreement(corpus, target, rows) == 0.0
    counts = [3, 1, 1, 1, *[1] * (len(corpus.index) - 4)]
    several = replace(corpus, index=corpus.index.with_columns(n_annotators=pl.Series(counts)))
    assert disagreement(several, target, rows) == pytest.approx(0.2)


def test_only_with_balanced_classes_are_windows_repeated(corpus: Corpus) -> None:
    target = corpus.target.copy()
    target[::2] = target[0]
    for balance in (False, True):
        training = TrainingParams(balance_classes=balance)
        labels = (target, corpus.affect)
        data = RunData(
            OneProcess(), RUNS, corpus, training, lambda run, of=labels: of, MethodParams()
        )
        for drawn, rows in zip(data.drawn_rows, data.train_rows, strict=True):
            assert set(drawn) == set(rows)
            assert (len(drawn) > len(rows)) == balance
            if balance:
                assert len(set(np.bincount(target[drawn].argmax(-1)))) == 1


def only_corrupted(budget: TrainingParams, **changes: object) -> TrainingParams:
    """Return a training on corrupted windows alone, without other augmentations."""
    plain = {"corrupted": 1.0, "noise": 0.0, "feature_dropout": 0.0, "modality_dropout": 0.0}
    return budget.model_copy(update={**plain, **changes})


def audio(corpus: Corpus, training: TrainingParams) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the first run's inputs of windows that have the modality, and their positions."""
    data = make(corpus, training).data
    index = torch.from_numpy(np.stack([rows[:18] for rows in data.train_rows]))
    consensus = torch.full(data.target.shape, 1 / 3)
    batch = data.batch(index, Augmentation(RUNS, 1, 0.0, 0.0, 0.0), consensus)
    has = batch.present[0, :, corpus.modalities.index("audio")] > 0
    return batch.inputs["audio"][0][has], index[0][has]


def test_a_share_of_the_windows_is_corrupted(corpus: Corpus, budget: TrainingParams) -> None:
    clean, half, whole = (
        audio(corpus, only_corrupted(budget, corrupted=share))[0] for share in (0.0, 0.5, 1.0)
    )
    assert 0.2 < (half != clean).any(-1).float().mean() < 0.8
    assert (whole != clean).any(-1).all()


def test_corrupted_windows_are_standardised_as_clean_ones(
    corpus: Corpus, budget: TrainingParams
) -> None:
    corpus = replace(corpus, variants={"audio": ("noise_2",), "face_au": ()})
    training = only_corrupted(budget)
    scaler = make(corpus, training).data.scaler
    inputs, rows = audio(corpus, training)
    values = torch.from_numpy(corpus.windows("audio", "noise_2")[rows.numpy()])
    expected = (values - scaler.mean["audio"][0]) / scaler.std["audio"][0]
    torch.testing.assert_close(inputs, expected.clamp(-5, 5))


def test_kinds_that_are_held_out_are_not_shown(corpus: Corpus, budget: TrainingParams) -> None:
    corpus = replace(
        corpus, variants={"audio": ("noise_1", "clip_1", "clip_2", "desync_1"), "face_au": ()}
    )
    assert training_variants(corpus, budget) == {}
    everything = training_variants(corpus, only_corrupted(budget))
    assert everything == {"audio": ["noise_1", "clip_1", "clip_2"], "face_au": []}
    assert training_variants(corpus, only_corrupted(budget, held_out=["clip"]))["audio"] == [
        "noise_1"
    ]


def test_an_unknown_kind_cannot_be_held_out(corpus: Corpus, budget: TrainingParams) -> None:
    with pytest.raises(ConsilienceError, match="no corruption of kind 'nose' to hold out"):
        make(corpus, budget.model_copy(update={"held_out": ["nose"]}))

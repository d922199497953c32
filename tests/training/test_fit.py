from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
from polars.testing import assert_frame_equal
from torch.testing import assert_close

from consilience.core import registry
from consilience.core.files import read_arrays, write_arrays
from consilience.evaluation import resampling, scorer, tables
from consilience.evaluation.aggregate import summary
from consilience.schema.params.plugins import MethodParams
from consilience.schema.params.training import TrainingParams
from consilience.schema.tables import Scores, Splits, read_table, write_table
from consilience.training import devices, fit
from consilience.training.augmentation import Run
from consilience.training.calibration import COVERAGE, PREFIX
from consilience.training.conditioned import load_windows
from consilience.training.devices import OneProcess
from consilience.training.fit import Fitted
from consilience.training.networks import architecture
from consilience.training.trainer import RunData, Trainer
from consilience.windows import conditions
from consilience.windows.store import load_corpus

Train = Callable[..., Fitted]


def assert_equal(first: Fitted, second: Fitted) -> None:
    for name, weight in first.stack.state_dict().items():
        assert_close(weight, second.stack.state_dict()[name], rtol=0, atol=0)
    assert first.history.equals(second.history)
    assert first.best_epochs == second.best_epochs


def test_a_rerun_is_identical(train: Train) -> None:
    assert_equal(train(), train())


def test_the_working_directory_does_not_matter(
    train: Train, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "elsewhere").mkdir()
    first = train()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert_equal(train(), first)
    assert not list((tmp_path / "elsewhere").iterdir())


def interrupt(train: Train, method: str) -> None:
    """Train up to epoch 5, with a checkpoint of epoch 4."""
    validate = Trainer.validate

    def interrupted(trainer: Trainer) -> None:
        if trainer.epoch == 5:
            raise KeyboardInterrupt
        validate(trainer)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fit, "CHECKPOINT_S", 0.0)
        patch.setattr(Trainer, "validate", interrupted)
        with pytest.raises(KeyboardInterrupt):
            train(method)


@pytest.mark.parametrize("method", ["hybrid", "coherence_transfer"])
def test_an_interrupted_training_gives_the_same_result(
    train: Train, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    whole = train(method)
    interrupt(train, method)
    visited: list[int] = []
    train_epoch = Trainer.train_epoch

    def counted(trainer: Trainer) -> None:
        train_epoch(trainer)
        visited.append(trainer.epoch)

    monkeypatch.setattr(Trainer, "train_epoch", counted)
    assert_equal(train(method), whole)
    assert visited[0] == 5


def assert_close_to(first: Fitted, second: Fitted) -> None:
    """Equal but for last bits: a vector instruction may round otherwise than a scalar one."""
    for name, weight in first.stack.state_dict().items():
        assert_close(weight, second.stack.state_dict()[name], rtol=1e-4, atol=1e-5)
    assert_frame_equal(first.history, second.history, rel_tol=1e-4, abs_tol=1e-5)
    assert first.best_epochs == second.best_epochs


@pytest.mark.slow
def test_two_devices_train_three_runs_and_stop_like_one(
    train: Train, budget: TrainingParams, monkeypatch: pytest.MonkeyPatch
) -> None:
    brief = budget.model_copy(
        update={"seeds": [0], "epochs": 40, "patience": 2, "learning_rate": 0.03}
    )
    one = train("concat", brief)
    assert one.history["epoch"].max() < 40
    monkeypatch.setenv(devices.VARIABLE, "2")
    assert_close_to(train("concat", brief), one)


@pytest.mark.slow
def test_two_devices_resume_the_checkpoint_of_one(
    train: Train, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = train()
    interrupt(train, "hybrid")
    monkeypatch.setenv(devices.VARIABLE, "2")
    assert_close_to(train(), whole)


def test_a_run_does_not_depend_on_the_others(train: Train, budget: TrainingParams) -> None:
    both = train()
    alone = train(training=budget.model_copy(update={"seeds": [1]}))
    for name, weight in alone.stack.state_dict().items():
        assert_close(weight, both.stack.state_dict()[name][1::2])


def test_the_best_epoch_is_kept_and_patience_ends_the_training(
    train: Train, budget: TrainingParams
) -> None:
    brief = budget.model_copy(update={"epochs": 60, "patience": 1, "learning_rate": 0.3})
    fitted = train("concat", brief)
    best = fitted.history.group_by("fold", "seed", maintain_order=True).agg(
        pl.col("epoch").sort_by("validation_loss").first()
    )
    assert best["epoch"].to_list() == fitted.best_epochs
    assert fitted.history["epoch"].max() < 60


def test_kinds_that_are_held_out_do_not_change_the_calibration(
    train: Train, budget: TrainingParams, windows_folder: Path
) -> None:
    training = budget.model_copy(update={"held_out": ["noise"]})
    seen, unseen = train(), train(training=training)
    name = next(name for name in seen.stack.weights if name.startswith(PREFIX))
    assert not torch.equal(seen.stack.weights[name], unseen.stack.weights[name])
    for folder in (windows_folder.with_name("corrupted") / "audio" / "sessions").iterdir():
        arrays = read_arrays(folder)
        write_arrays(folder, {key: np.full_like(values, 9.0) for key, values in arrays.items()})
    again = train(training=training)
    for name, weight in unseen.stack.weights.items():
        assert torch.equal(weight, again.stack.weights[name]), name


def refitting(budget: TrainingParams) -> TrainingParams:
    return budget.model_copy(update={"refit": True})


def test_a_refit_trains_anew_on_all_subjects_and_keeps_epochs_and_calibration(
    train: Train, budget: TrainingParams
) -> None:
    selected, refitted = train(), train(training=refitting(budget))
    assert refitted.best_epochs == selected.best_epochs
    assert refitted.history.equals(selected.history)
    fitted = [n for n in refitted.stack.weights if n.startswith((PREFIX, COVERAGE))]
    assert COVERAGE in fitted
    assert len(fitted) > 1
    for name, weight in refitted.stack.weights.items():
        assert torch.equal(weight, selected.stack.weights[name]) == (name in fitted), name
    mean = selected.scaler.mean["audio"]
    assert not torch.equal(refitted.scaler.mean["audio"], mean)


def test_a_refit_is_the_training_of_one_subject_more(
    train: Train, budget: TrainingParams, windows_folder: Path
) -> None:
    """With the roles exchanged beforehand, a training of as many epochs gives the same weights."""
    refitted = train(training=refitting(budget.model_copy(update={"seeds": [0]})))
    splits = read_table(windows_folder / "splits.parquet", Splits)
    trained = splits.with_columns(pl.col("role").replace("validation", "train"))
    corpus = replace(load_corpus(windows_folder), splits=trained)
    run = Run(0, 0)
    data = RunData(OneProcess(), [run], corpus, budget, corpus.labels, MethodParams())
    stack = architecture("hybrid", registry.params("methods", "hybrid")(), budget, corpus)
    trainer = Trainer(
        OneProcess(), stack.untrained([run]), [run], data, budget, epochs=refitted.best_epochs[:1]
    )
    while not trainer.done():
        trainer.train_epoch()
        trainer.validate()
    assert trainer.epoch == refitted.best_epochs[0]
    for name, weight in refitted.stack.weights.items():
        if not name.startswith((PREFIX, COVERAGE)):
            assert_close(weight[0], trainer.stack.weights[name][0])


@pytest.mark.parametrize("refitted_epoch", [0, 3])
def test_an_interrupted_refit_gives_the_same_result(
    train: Train, budget: TrainingParams, monkeypatch: pytest.MonkeyPatch, refitted_epoch: int
) -> None:
    training = refitting(budget)
    whole = train(training=training)
    train_epoch = Trainer.train_epoch

    def interrupted(trainer: Trainer) -> None:
        if trainer.epochs is not None and trainer.epoch == refitted_epoch:
            raise KeyboardInterrupt
        train_epoch(trainer)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fit, "CHECKPOINT_S", 0.0)
        patch.setattr(Trainer, "train_epoch", interrupted)
        with pytest.raises(KeyboardInterrupt):
            train(training=training)
    visited: list[int] = []

    def counted(trainer: Trainer) -> None:
        train_epoch(trainer)
        visited.append(trainer.epoch)

    monkeypatch.setattr(Trainer, "train_epoch", counted)
    assert_equal(train(training=training), whole)
    assert visited[0] == refitted_epoch + 1  # the selection is not repeated


def test_windows_of_test_subjects_do_not_change_the_training(
    train: Train, windows_folder: Path
) -> None:
    first = train()
    corpus = load_corpus(windows_folder)
    for subject in set(corpus.index["subject"][corpus.members(0, "test")]):
        path = windows_folder / "sessions" / f"{subject.replace('p', 's')}.npz"
        arrays = read_arrays(path)
        write_arrays(path, {**arrays, "audio": np.full_like(arrays["audio"], 50.0)})
    second = train()
    of_fold = [n for n, run in enumerate(first.runs) if run.fold == 0]
    others = [n for n, run in enumerate(first.runs) if run.fold != 0]
    changed = False
    for name, weight in first.stack.state_dict().items():
        again = second.stack.state_dict()[name]
        assert_close(weight[of_fold], again[of_fold], rtol=0, atol=0)
        changed |= not torch.equal(weight[others], again[others])
    assert changed


def test_unlabelled_windows_are_trained_on_estimates(train: Train, windows_folder: Path) -> None:
    corpus = load_corpus(windows_folder)
    target, affect = corpus.labels(fit.Run(1, 0))
    target = target.copy()
    unlabelled = corpus.members(1, "train")[::2]
    target[unlabelled] = np.nan
    partly = target, affect
    stacks = [
        train("coherence_transfer", settings={"transfer": weight}, labels=lambda _: partly).stack
        for weight in (1.0, 0.0)
    ]
    weights, without = (stack.state_dict() for stack in stacks)
    assert any(not torch.equal(value, without[name]) for name, value in weights.items())


def test_folds_and_labels_can_be_chosen(train: Train, windows_folder: Path) -> None:
    corpus = load_corpus(windows_folder)
    target, affect = corpus.labels(fit.Run(1, 0))
    shifted = train(folds=[1], labels=lambda run: (np.roll(target, 1, 1), affect))
    plain = train(folds=[1])
    assert [tuple(run) for run in plain.runs] == [(1, 0), (1, 1)]
    assert shifted.consensus.shape == plain.consensus.shape
    assert not np.allclose(shifted.consensus, plain.consensus)


def test_from_windows_to_scores(
    train: Train, budget: TrainingParams, windows_folder: Path, tmp_path: Path
) -> None:
    longer = budget.model_copy(update={"epochs": 4 * budget.epochs})
    corpus, fitted = load_corpus(windows_folder), train(training=longer)
    asked = conditions.conditions(corpus)
    prepared = load_windows(corpus, asked)
    evaluated = scorer.score([fitted], corpus, prepared, asked, 10, keep=asked[:1])
    table = tables.score_table("hybrid", evaluated, corpus)
    assert table.height == len(asked) * 2 * 6 * table["metric"].n_unique()
    write_table(tmp_path / "scores.parquet", table, Scores)
    assert read_table(tmp_path / "scores.parquet", Scores).equals(table)
    result = scorer.resampled(evaluated, resampling.subject_weights(6, 100))
    figures = summary(result)
    assert figures["all"][0] > 0.6
    assert figures["noise_audio"][0] < figures["all"][0]
    assert "valence_ccc" in figures
    assert "arousal_ccc" not in figures
    windows = tables.window_table(
        evaluated.predictions[asked[0]], corpus, np.zeros(corpus.available.shape, bool)
    )
    assert windows.height == len(corpus.index)
    assert (windows["predicted"] == windows["actual"]).mean() > 0.6

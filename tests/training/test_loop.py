import shutil
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
from polars.testing import assert_frame_equal
from torch.testing import assert_close

from consilience.core import registry
from consilience.core.errors import ConsilienceError
from consilience.evaluation import predict, resampling, scorer, tables
from consilience.evaluation.aggregate import summary
from consilience.schema.params.training import TrainingParams
from consilience.schema.tables import Scores, read_table, write_table
from consilience.training import data, devices, loop
from consilience.windows import conditions
from consilience.windows.store import load_corpus

BUDGET = TrainingParams(seeds=[0, 1], epochs=8, batch_size=16, width=8, learning_rate=1e-2)


def train(folder: Path, method: str = "hybrid", budget: TrainingParams = BUDGET) -> loop.Fitted:
    params = registry.get("methods", method).Params()
    checkpoint = folder.parent / "checkpoint"
    fitted = loop.fit(method, params, budget, load_corpus(folder), checkpoint)
    shutil.rmtree(checkpoint)
    return fitted


def assert_equal(first: loop.Fitted, second: loop.Fitted) -> None:
    for name, weight in first.stack.state_dict().items():
        assert_close(weight, second.stack.state_dict()[name], rtol=0, atol=0)
    assert first.history.equals(second.history)
    assert first.best_epochs == second.best_epochs


def test_a_rerun_is_identical(windows_folder: Path) -> None:
    assert_equal(train(windows_folder), train(windows_folder))


def interrupt(folder: Path, method: str) -> None:
    """Train up to epoch 5, with a checkpoint of epoch 3."""
    validate = loop._Trainer.validate

    def interrupted(trainer: loop._Trainer) -> None:
        if trainer.epoch == 5:
            raise KeyboardInterrupt
        validate(trainer)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop, "CHECKPOINT_EPOCHS", 3)
        patch.setattr(loop._Trainer, "validate", interrupted)
        with pytest.raises(KeyboardInterrupt):
            train(folder, method)


@pytest.mark.parametrize("method", ["hybrid", "coherence_transfer"])
def test_an_interrupted_training_ends_the_same(
    windows_folder: Path, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    whole = train(windows_folder, method)
    interrupt(windows_folder, method)
    visited: list[int] = []
    train_epoch = loop._Trainer.train_epoch

    def counted(trainer: loop._Trainer) -> None:
        train_epoch(trainer)
        visited.append(trainer.epoch)

    monkeypatch.setattr(loop._Trainer, "train_epoch", counted)
    assert_equal(train(windows_folder, method), whole)
    assert visited[0] == 4


def assert_close_to(first: loop.Fitted, second: loop.Fitted) -> None:
    """Equal but for last bits: a vector instruction may round otherwise than a scalar one."""
    for name, weight in first.stack.state_dict().items():
        assert_close(weight, second.stack.state_dict()[name], rtol=1e-4, atol=1e-5)
    assert_frame_equal(first.history, second.history, rel_tol=1e-4, abs_tol=1e-5)
    assert first.best_epochs == second.best_epochs


@pytest.mark.slow
def test_two_devices_train_three_runs_as_one_does_and_stop_when_it_does(
    windows_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    budget = BUDGET.model_copy(
        update={"seeds": [0], "epochs": 40, "patience": 2, "learning_rate": 0.03}
    )
    one = train(windows_folder, "concat", budget)
    assert one.history["epoch"].max() < 40
    monkeypatch.setenv(devices.VARIABLE, "2")
    assert_close_to(train(windows_folder, "concat", budget), one)


@pytest.mark.slow
def test_two_devices_take_up_the_checkpoint_of_one(
    windows_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = train(windows_folder)
    interrupt(windows_folder, "hybrid")
    monkeypatch.setenv(devices.VARIABLE, "2")
    assert_close_to(train(windows_folder), whole)


def test_a_run_is_the_same_whatever_runs_beside_it(windows_folder: Path) -> None:
    both = train(windows_folder)
    alone = train(windows_folder, budget=BUDGET.model_copy(update={"seeds": [1]}))
    for name, weight in alone.stack.state_dict().items():
        assert_close(weight, both.stack.state_dict()[name][1::2])


@pytest.mark.parametrize("number", ["0", "two", "-1", "1.5"])
def test_a_senseless_number_of_devices_is_told(
    windows_folder: Path, monkeypatch: pytest.MonkeyPatch, number: str
) -> None:
    monkeypatch.setenv(devices.VARIABLE, number)
    with pytest.raises(ConsilienceError, match=f"'{number}' is no number of devices"):
        train(windows_folder)


def test_the_best_epoch_is_kept_and_patience_ends_the_training(windows_folder: Path) -> None:
    budget = BUDGET.model_copy(update={"epochs": 60, "patience": 1, "learning_rate": 0.3})
    fitted = train(windows_folder, "concat", budget)
    best = fitted.history.group_by("fold", "seed", maintain_order=True).agg(
        pl.col("epoch").sort_by("validation_loss").first()
    )
    assert best["epoch"].to_list() == fitted.best_epochs
    assert fitted.history["epoch"].max() < 60


def test_a_saved_model_reads_as_before_and_test_content_cannot_matter(
    windows_folder: Path, tmp_path: Path
) -> None:
    corpus = load_corpus(windows_folder)
    fitted = train(windows_folder)
    card = {
        "method": "hybrid",
        "classes": corpus.classes,
        "features": corpus.features,
        "params": {"unimodal": 1.0},
        "training": BUDGET.model_dump(),
        "runs": [run._asdict() for run in fitted.runs],
    }
    loop.save_model(tmp_path / "model", fitted, card)
    encoders = loop.encoders_for(corpus.features, {}, 8, 0.0)
    prepared = {m: {"clean": data.prepare(corpus, encoders, m)} for m in corpus.modalities}
    loaded = predict.load_bundle(tmp_path / "model", prepared)
    full = conditions.conditions(corpus)[0]
    before = predict.predict([fitted], corpus, prepared, full)
    after = predict.predict([loaded], corpus, prepared, full)
    np.testing.assert_array_equal(before.logits, after.logits)
    assert np.isnan(after.logits[0, corpus.members(loaded.runs[0].fold, "train")]).all()
    with pytest.raises(ConsilienceError, match="trained for audio, face_au"):
        predict.load_bundle(tmp_path / "model", {"audio": prepared["audio"]})


def test_windows_of_test_subjects_do_not_touch_the_training(windows_folder: Path) -> None:
    first = train(windows_folder)
    corpus = load_corpus(windows_folder)
    audio = np.array(corpus.windows("audio"))
    audio[corpus.members(0, "test")] = 50.0
    np.save(windows_folder / "audio" / "clean.npy", audio)
    second = train(windows_folder)
    of_fold = [n for n, run in enumerate(first.runs) if run.fold == 0]
    others = [n for n, run in enumerate(first.runs) if run.fold != 0]
    changed = False
    for name, weight in first.stack.state_dict().items():
        again = second.stack.state_dict()[name]
        assert_close(weight[of_fold], again[of_fold], rtol=0, atol=0)
        changed |= not torch.equal(weight[others], again[others])
    assert changed


def test_from_windows_to_scores(windows_folder: Path, tmp_path: Path) -> None:
    longer = BUDGET.model_copy(update={"epochs": 4 * BUDGET.epochs})
    corpus, fitted = load_corpus(windows_folder), train(windows_folder, budget=longer)
    asked = conditions.conditions(corpus)
    prepared = predict.prepare_windows(corpus, asked)
    evaluated = scorer.score([fitted], corpus, prepared, asked, 10, keep=asked[:1])
    table = tables.score_table("hybrid", evaluated, corpus)
    assert table.height == len(asked) * 2 * 6 * table["metric"].n_unique()
    write_table(tmp_path / "scores.parquet", table, Scores)
    assert read_table(tmp_path / "scores.parquet", Scores).equals(table)
    found = scorer.resampled(evaluated, resampling.subject_weights(6, 100))
    figures = summary(found)
    assert figures["all"][0] > 0.6
    assert figures["noise_audio"][0] < figures["all"][0]
    assert "valence_ccc" in figures
    assert "arousal_ccc" not in figures
    windows = tables.window_table(evaluated.predictions[asked[0]], corpus)
    assert windows.height == len(corpus.index)
    assert (windows["predicted"] == windows["actual"]).mean() > 0.6

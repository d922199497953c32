"""The choice of settings: on tiny trainings, by validation subjects alone."""

import json
import shutil
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from benchmarks.evidence import pages, plan, runner, tuning
from benchmarks.evidence.context import experiment_context
from consilience.core.files import write_json
from consilience.schema.tables import Labels, read_table, write_table
from tests.benchmarks.evidence.conftest import PLAN

EXPERIMENT = "ravdess_symmetric_40"
FAST = {"training": {"learning_rate": 0.1}}
TUNED = {
    **PLAN,
    "entries": {"concat": {"method": "concat"}, "double": {"like": "concat"}},
    "candidates": {"concat": [FAST]},
    "tuned": {EXPERIMENT: "small"},
    "experiments": {
        EXPERIMENT: {
            **PLAN["experiments"][EXPERIMENT],
            "chosen_on": EXPERIMENT,
            "entries": ["concat", "double"],
        }
    },
    "cost": {"experiment": EXPERIMENT, "entries": ["concat"]},
}


def planned(base: Path) -> plan.Plan:
    path = base / "tuned.yaml"
    path.write_text(json.dumps(TUNED))
    return plan.load(path)


def one_by_one(monkeypatch):
    for module in (runner, tuning):
        monkeypatch.setattr(module, "parallel_map", lambda work, items, _: [work(i) for i in items])


@pytest.fixture(scope="module")
def tried(laboratory):
    with pytest.MonkeyPatch.context() as monkeypatch:
        one_by_one(monkeypatch)
        return tuning.tune(planned(laboratory), EXPERIMENT, laboratory, laboratory / "store")


def scramble(base: Path, fold: int) -> None:
    """Give a fold's test subjects other windows, of every kind, and other labels."""
    windows = base / "small/data/windows"
    splits = pl.read_parquet(windows / "splits.parquet")
    tested = splits.filter(pl.col("fold") == fold, pl.col("role") == "test")["subject"]
    index = read_table(windows / "index.parquet", Labels)
    rows = index["subject"].is_in(tested.to_list()).to_numpy()
    rng = np.random.default_rng(5)
    for path in sorted(windows.glob("*/*.npy")):
        values = np.load(path)
        values[rows] = rng.normal(3, 9, values[rows].shape)
        np.save(path, values)
    labels = [
        label[1:] + label[:1] if is_tested else label
        for label, is_tested in zip(index["class_probability"].to_list(), rows, strict=True)
    ]
    changed = index.with_columns(pl.Series("class_probability", labels, dtype=pl.List(pl.Float64)))
    write_table(windows / "index.parquet", changed.cast(dict(index.schema)), Labels)


@pytest.mark.slow
def test_no_fold_depends_on_the_subjects_it_tests(laboratory, tried, tmp_path, monkeypatch):
    one_by_one(monkeypatch)
    shutil.copytree(laboratory / "small", tmp_path / "small")
    scramble(tmp_path, fold=0)
    again = tuning.tune(planned(tmp_path), EXPERIMENT, tmp_path, tmp_path / "store")
    for before, after in zip(tried["concat"]["trials"], again["concat"]["trials"], strict=True):
        assert before["loss"]["0"] == after["loss"]["0"]
        assert before["loss"]["1"] != after["loss"]["1"]  # who trains there was scrambled
    assert tried["concat"]["chosen"]["0"] == again["concat"]["chosen"]["0"]


@pytest.mark.slow
def test_every_fold_takes_its_best_trial(tried):
    (result,) = tried.values()
    assert [trial["changes"] for trial in result["trials"]] == [{}, FAST]
    for fold, number in result["chosen"].items():
        losses = [trial["loss"][fold] for trial in result["trials"]]
        clear = losses[1] < losses[0] - tuning.MARGIN
        assert number == int(clear)


@pytest.mark.slow
def test_finished_trials_are_not_run_again(laboratory, tried, monkeypatch):
    one_by_one(monkeypatch)
    monkeypatch.setattr(tuning, "fit", None)
    again = tuning.tune(planned(laboratory), EXPERIMENT, laboratory, laboratory / "store")
    assert again == tried


@pytest.mark.slow
def test_an_experiment_trains_each_fold_as_it_chose(laboratory, tmp_path, monkeypatch):
    one_by_one(monkeypatch)
    tuned, store = planned(laboratory), laboratory / "store"
    runner.run(tuned, EXPERIMENT, laboratory, store, tmp_path / "plain")
    trained = []
    original = runner._train_and_test
    monkeypatch.setattr(
        runner, "_train_and_test", lambda *args: (trained.append(args[1]), original(*args))
    )
    runner.run(tuned, EXPERIMENT, laboratory, store, tmp_path / "same", {"concat": {0: {}, 1: {}}})
    assert not trained
    runner.run(tuned, EXPERIMENT, laboratory, store, tmp_path / "new", {"concat": {0: {}, 1: FAST}})
    assert [list(settings.values()) for settings in trained] == [[[0], [1]]]  # `double` is like it
    card = json.loads((tmp_path / "new/double/card.json").read_text())
    assert [(part["folds"], part["training"]) for part in card["settings"]] == [
        ([0], {}),
        ([1], FAST["training"]),
    ]
    corpus = experiment_context(tuned.experiments[EXPERIMENT], laboratory, store).corpus
    subject = corpus.index["subject"].to_numpy()
    tested = np.isin(np.unique(subject), subject[corpus.members(0, "test")])
    plain, new = (
        np.load(tmp_path / name / "concat/sums.npz")["sums/loss"] for name in ("plain", "new")
    )
    np.testing.assert_allclose(plain[:, :, tested], new[:, :, tested], rtol=1e-4)
    assert (plain[:, :, ~tested] != new[:, :, ~tested]).any()


def test_planned_settings_are_replaced_only_by_clearly_better_ones():
    losses = [
        {"0": None, "1": 0.5, "2": 0.5, "3": 0.5},
        {"0": 2.0, "1": 0.5, "2": 0.4999, "3": 0.45},
        {"0": 1.0, "1": 0.7, "2": None, "3": 0.4},
    ]
    assert tuning._best(losses) == {"0": 2, "1": 0, "2": 0, "3": 2}


def test_choices_survive_the_file(tmp_path):
    trials = [{"changes": {}, "loss": {"0": 2.0}}, {"changes": {"q": 0.3}, "loss": {"0": 1.0}}]
    tuned = {"gce": {"trials": trials, "chosen": {"0": 1}}}
    write_json(tmp_path / "tuned.json", tuned)
    assert tuning.load(tmp_path / "tuned.json") == {"gce": {0: {"q": 0.3}}}
    assert "| gce | 2.000 (0) | q 0.3: 1.000 (1) |" in pages.tuning_page({"noisy": tuned})


def test_no_trial_trains_on_the_validation_subjects_that_score_it(
    laboratory, tmp_path, monkeypatch
):
    refits = []

    def record(context, entry, checkpoint):
        refits.append(context.params.training.refit)
        return {"0": 1.0, "1": 1.0}

    one_by_one(monkeypatch)
    monkeypatch.setattr(tuning, "_losses", record)
    made = planned(laboratory)
    assert experiment_context(
        made.experiments[EXPERIMENT], laboratory, tmp_path
    ).params.training.refit
    tuning.tune(made, EXPERIMENT, laboratory, tmp_path)
    assert refits == [False, False]

"""The choice of settings: on tiny trainings, by validation subjects alone."""

import shutil
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import yaml

from pipeline.contracts import Labels, read_table, write_table
from pipeline.experiments import plan, runner, tables, tuning
from pipeline.files import write_json
from tests.experiments.conftest import PLAN

EXPERIMENT = "ravdess_symmetric_40"
TUNED = {
    **PLAN,
    "entries": {
        "hybrid": {"method": "hybrid"},
        "concat": {"method": "concat"},
        "double": {"like": "hybrid"},
    },
    "candidates": {
        "hybrid": [{"unimodal": 0.1}],
        "concat": [{"training": {"learning_rate": 0.1}}],
    },
    "tuned": {EXPERIMENT: "small"},
    "experiments": {
        EXPERIMENT: {
            **PLAN["experiments"][EXPERIMENT],
            "chosen_on": EXPERIMENT,
            "entries": ["hybrid", "concat", "double"],
        }
    },
    "cost": {"experiment": EXPERIMENT, "entries": ["hybrid"]},
}


def planned(base: Path) -> plan.Plan:
    path = base / "tuned.yaml"
    path.write_text(yaml.safe_dump(TUNED))
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
    told = [
        one[1:] + one[:1] if own else one
        for one, own in zip(index["class_probability"].to_list(), rows, strict=True)
    ]
    changed = index.with_columns(pl.Series("class_probability", told, dtype=pl.List(pl.Float64)))
    write_table(windows / "index.parquet", changed.cast(dict(index.schema)), Labels)


@pytest.mark.slow
def test_no_fold_asks_whom_it_tests(laboratory, tried, tmp_path, monkeypatch):
    one_by_one(monkeypatch)
    shutil.copytree(laboratory / "small", tmp_path / "small")
    scramble(tmp_path, fold=0)
    again = tuning.tune(planned(tmp_path), EXPERIMENT, tmp_path, tmp_path / "store")
    for name, found in tried.items():
        for trial, other in zip(found["trials"], again[name]["trials"], strict=True):
            assert trial["loss"]["0"] == other["loss"]["0"]
            assert trial["loss"]["1"] != other["loss"]["1"]  # who trained it was scrambled
        assert found["chosen"]["0"] == again[name]["chosen"]["0"]


@pytest.mark.slow
def test_every_fold_takes_its_best_trial(tried):
    assert set(tried) == {"hybrid", "concat"}
    for found in tried.values():
        assert len(found["trials"]) == 2
        for fold, number in found["chosen"].items():
            losses = [trial["loss"][fold] for trial in found["trials"]]
            assert losses[number] == min(losses)
            assert losses[0] != losses[1]


@pytest.mark.slow
def test_trials_are_not_made_again(laboratory, tried, monkeypatch):
    one_by_one(monkeypatch)
    monkeypatch.setattr(tuning, "fit", None)
    again = tuning.tune(planned(laboratory), EXPERIMENT, laboratory, laboratory / "store")
    assert again == tried


@pytest.mark.slow
def test_an_experiment_trains_each_fold_as_it_chose(laboratory, tmp_path, monkeypatch):
    one_by_one(monkeypatch)
    chosen = {"hybrid": {0: {}, 1: {"unimodal": 0.1}}, "concat": {0: {}, 1: {}}}
    own = planned(laboratory)
    store = laboratory / "store"
    runner.run(own, EXPERIMENT, laboratory, store, tmp_path / "plain")
    trained = []
    original = runner._train_and_test
    monkeypatch.setattr(
        runner, "_train_and_test", lambda *given: (trained.append(given[1]), original(*given))
    )
    runner.run(own, EXPERIMENT, laboratory, store, tmp_path / "chosen", chosen)
    assert [[entry.name for entry in settings] for settings in trained] == [["hybrid", "hybrid"]]
    sums = {
        name: np.load(tmp_path / name / "hybrid/sums.npz")["sums/loss"]
        for name in ("plain", "chosen")
    }
    card = yaml.safe_load((tmp_path / "chosen/hybrid/card.json").read_text())
    assert [(s["folds"], s["params"]["unimodal"]) for s in card["settings"]] == [
        ([0], 1.0),
        ([1], 0.1),
    ]
    corpus = runner.prepare_work(own.experiments[EXPERIMENT], laboratory, store).corpus
    first = np.isin(
        np.unique(corpus.index["subject"]),
        corpus.index["subject"][corpus.members(0, "test")].unique(),
    )
    assert np.isfinite(sums["plain"]).any()
    np.testing.assert_allclose(sums["plain"][:, :, first], sums["chosen"][:, :, first], rtol=1e-4)
    assert (sums["plain"][:, :, ~first] != sums["chosen"][:, :, ~first]).any()
    for file in ("sums.npz", "card.json"):
        plain, like = (tmp_path / "chosen" / entry / file for entry in ("hybrid", "double"))
        assert plain.read_bytes() == like.read_bytes()


def test_nothing_tells_of_equals_but_their_order():
    losses = [{"0": None, "1": 0.5}, {"0": 2.0, "1": 0.5}, {"0": 1.0, "1": 0.7}]
    assert tuning._best(losses) == {"0": 2, "1": 0}


def test_choices_survive_the_file(tmp_path):
    trials = [{"changes": {}, "loss": {"0": 2.0}}, {"changes": {"q": 0.3}, "loss": {"0": 1.0}}]
    tuned = {"gce": {"trials": trials, "chosen": {"0": 1}}}
    write_json(tmp_path / "tuned.json", tuned)
    assert tuning.load(tmp_path / "tuned.json") == {"gce": {0: {"q": 0.3}}}
    assert "| gce | 2.000 (0) | q 0.3: 1.000 (1) |" in tables.tuning_page({"noisy": tuned})

"""Tiny experiments, really run: one training an entry, shared by the tests of a module."""

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from benchmarks.evidence import plan, results, runner
from benchmarks.evidence.context import SHORT
from benchmarks.evidence.loaded import LoadedCorpus, fields_of
from benchmarks.evidence.scenarios import NoisyLabels, Scenario
from consilience.core.errors import ConsilienceError
from consilience.schema.params.training import TrainingParams
from tests.benchmarks.evidence.conftest import PLAN

pytestmark = pytest.mark.slow


def run(base: Path, name: str, planned: plan.Plan | None = None) -> Path:
    output = base / "results" / name
    planned = planned or plan.load(base / "experiments.yaml")
    runner.run(planned, name, base, base / "store", output)
    return output


def changed(base: Path, **entries: object) -> plan.Plan:
    path = base / "changed.yaml"
    path.write_text(json.dumps({**PLAN, "entries": {**PLAN["entries"], **entries}}))
    return plan.load(path)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def test_a_finished_entry_is_not_run_again(done, monkeypatch):
    before = contents(done / "results/ravdess_clean/hybrid")
    monkeypatch.setattr(runner, "_train_and_test", None)
    assert contents(run(done, "ravdess_clean") / "hybrid") == before


def test_a_changed_entry_runs_alone(done, monkeypatch):
    trained = []
    monkeypatch.setattr(runner, "parallel_map", lambda work, items, _: [work(i) for i in items])

    def record(context, settings, folder):
        trained.extend(entry.name for entry in settings)
        folder.mkdir()

    monkeypatch.setattr(runner, "_train_and_test", record)
    run(done, "ravdess_clean", changed(done, hybrid={"method": "hybrid", "unimodal": 0.5}))
    assert trained == ["hybrid"]


def test_a_failing_entry_is_reported_and_the_others_are_kept(done, monkeypatch):
    monkeypatch.setattr(runner, "parallel_map", lambda work, items, _: [work(i) for i in items])

    def fail(context, settings, folder):
        raise RuntimeError("out of memory")

    monkeypatch.setattr(runner, "_train_and_test", fail)
    planned = changed(done, hybrid={"method": "hybrid", "unimodal": 0.25})
    with pytest.raises(ConsilienceError, match="hybrid: RuntimeError: out of memory"):
        run(done, "ravdess_clean", planned)


def test_the_same_experiment_gives_the_same_bytes(done, tmp_path):
    planned = plan.load(done / "experiments.yaml")
    runner.run(planned, "ravdess_symmetric_40", done, tmp_path / "store", tmp_path / "again")
    again = contents(tmp_path / "again/hybrid")
    assert again == contents(done / "results/ravdess_symmetric_40/hybrid")


def test_a_short_grid_has_noise_alone(done):
    outcome = results.load(plan.load(done / "experiments.yaml"), done / "results").of(
        "ravdess_symmetric_40"
    )["hybrid"]
    kinds = {condition.kind for condition in outcome.evaluated.conditions}
    assert kinds == set(SHORT)


def test_runs_with_mismatched_recordings_are_trained_one_after_another(
    corpus, monkeypatch, tmp_path
):
    trained = []

    def record(method, params, training, windows, checkpoint, labels, prepared, folds):
        trained.append((windows, training.seeds, folds, checkpoint))

    monkeypatch.setattr(runner, "fit_method", record)
    entry = plan.Entry("hybrid", "hybrid", None, plan.TrainingChanges())
    prepared = {"audio": {"clean": torch.from_numpy(corpus.windows("audio"))}}
    loaded = LoadedCorpus(**fields_of(corpus), prepared=prepared)
    for mismatched in (0.0, 0.5):
        scenario = Scenario(labelled_subjects=1, mismatched=mismatched)
        context = SimpleNamespace(
            labels=NoisyLabels(corpus, scenario),
            params=SimpleNamespace(training=TrainingParams(seeds=[3, 4])),
        )
        runner.fit(context, entry, loaded, tmp_path, [0, 2])
    together, *apart = trained
    assert together[:3] == (loaded, [3, 4], [0, 2])
    assert [(seeds, folds) for _, seeds, folds, _ in apart] == [
        ([seed], [fold]) for fold in (0, 2) for seed in (3, 4)
    ]
    assert len({checkpoint for *_, checkpoint in apart}) == 4
    for windows, *_ in apart:
        assert (windows.source != np.arange(len(windows.source))[:, None]).any()

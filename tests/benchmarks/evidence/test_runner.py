"""Tiny experiments, really run: one training an entry, shared by the tests of a module."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from benchmarks.evidence import (
    claims as lines,
)
from benchmarks.evidence import (
    cost,
    plan,
    results,
    runner,
    tables,
)
from benchmarks.evidence import (
    plots as figures,
)
from benchmarks.evidence.scenarios import NoisyLabels, Scenario
from consilience.core.errors import ConsilienceError
from consilience.training.augmentation import Run
from tests.benchmarks.evidence.conftest import PLAN

pytestmark = pytest.mark.slow


def run(base: Path, name: str, planned: plan.Plan | None = None) -> Path:
    planned = planned or plan.load(base / "experiments.yaml")
    output = base / "results" / name
    runner.run(planned, name, base, base / "store", output)
    return output


@pytest.fixture(scope="module")
def done(laboratory):
    for name in PLAN["experiments"]:
        run(laboratory, name)
    return laboratory


def changed(base: Path, **entries: object) -> plan.Plan:
    path = base / "changed.yaml"
    path.write_text(json.dumps({**PLAN, "entries": {**PLAN["entries"], **entries}}))
    return plan.load(path)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def test_what_is_done_is_not_done_again(done, monkeypatch):
    before = contents(done / "results/ravdess_clean/hybrid")
    monkeypatch.setattr(runner, "_train_and_test", None)
    assert contents(run(done, "ravdess_clean") / "hybrid") == before


def test_a_changed_entry_runs_alone(done, monkeypatch):
    trained = []
    monkeypatch.setattr(runner, "parallel_map", lambda work, items, _: [work(i) for i in items])

    def pretend(work, settings, folder):
        trained.extend(entry.name for entry in settings)
        folder.mkdir()

    monkeypatch.setattr(runner, "_train_and_test", pretend)
    run(done, "ravdess_clean", changed(done, hybrid={"method": "hybrid", "unimodal": 0.5}))
    assert trained == ["hybrid"]


def test_a_failing_entry_is_told_and_costs_the_others_nothing(done, monkeypatch):
    monkeypatch.setattr(runner, "parallel_map", lambda work, items, _: [work(i) for i in items])

    def fail(work, settings, folder):
        raise RuntimeError("no such luck")

    monkeypatch.setattr(runner, "_train_and_test", fail)
    planned = changed(done, hybrid={"method": "hybrid", "unimodal": 0.25})
    with pytest.raises(ConsilienceError, match="hybrid: RuntimeError: no such luck"):
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
    assert kinds == set(runner.SHORT)


def test_wrong_labels_score_high_under_a_consensus_that_knows(corpus):
    told = NoisyLabels(corpus, Scenario(noise="symmetric", rate=0.4))
    runs = [Run(0, 0), Run(1, 0)]
    truth = np.stack([corpus.target, np.full_like(corpus.target, 0.25)])
    found = runner.label_errors(truth, told, runs, corpus)
    np.testing.assert_allclose(found["auroc"], [1.0, 0.5])
    train = corpus.members(0, "train")
    assert np.isfinite(found["score"][0, train]).all()
    assert np.isnan(np.delete(found["score"][0], train)).all()


def test_a_sensor_that_is_not_there_is_told(corpus):
    with pytest.raises(ConsilienceError, match="no eeg"):
        runner.with_sensors(corpus, ["eeg"])


def test_fewer_sensors_keep_the_windows(corpus):
    two = replace(
        corpus,
        modalities=("audio", "video"),
        features={"audio": ["a"], "video": ["v"]},
        variants={"audio": (), "video": ()},
        available=np.array([[True, False]] * len(corpus.index)),
    )
    one = runner.with_sensors(two, ["video"])
    assert one.modalities == ("video",)
    assert one.available.shape == (len(corpus.index), 1)
    assert not one.available.any()


def test_pages_say_what_was_measured_and_what_was_not(done, tmp_path):
    found = results.load(plan.load(done / "experiments.yaml"), done / "results")
    reached = lines.lines(found, {})
    verdicts = {line.number: line.verdict for line in reached}
    assert len(verdicts) == 9
    assert verdicts[4] == verdicts[9] == "not measured"
    drawn = figures.draw(found, tmp_path)
    page = tables.readme(found, reached, {}, drawn)
    assert all(f"figures/{name}" in page for name in drawn)
    assert "severity_ravdess_clean.svg" in drawn
    text = tables.experiment_page(found, "ravdess_clean")
    assert "| **coherence transfer** |" in text
    for heading in ("guilty named", "conflict seen", "strange seen"):
        assert f"| {heading} |" in text
    again = tmp_path / "again"
    again.mkdir()
    figures.draw(found, again)
    for name in drawn:
        assert (again / name).read_bytes() == (tmp_path / name).read_bytes()


def test_costs_are_told(done):
    found = cost.measure(plan.load(done / "experiments.yaml"), done, done / "store")
    assert found["hybrid"]["parameters"] > 0
    assert found["hybrid"]["reading_ms"] > 0

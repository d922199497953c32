from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from benchmarks.evidence import context, plan
from benchmarks.evidence.context import code_of, experiment_context, with_sensors
from benchmarks.evidence.scenarios import Scenario
from consilience.core.errors import ConsilienceError


def test_an_unknown_sensor_is_an_error(corpus):
    with pytest.raises(ConsilienceError, match="no modality eeg"):
        with_sensors(corpus, ["eeg"])


def test_fewer_sensors_keep_the_windows(corpus):
    two = replace(
        corpus,
        modalities=("audio", "video"),
        features={"audio": ["a"], "video": ["v"]},
        variants={"audio": (), "video": ()},
        available=np.array([[True, False]] * len(corpus.index)),
    )
    one = with_sensors(two, ["video"])
    assert one.modalities == ("video",)
    assert one.available.shape == (len(corpus.index), 1)
    assert not one.available.any()


def test_an_experiment_has_its_sensors_seeds_and_grid(laboratory, tmp_path):
    planned = plan.load(laboratory / "experiments.yaml")
    experiment = planned.experiments["ravdess_symmetric_40"]
    changed = experiment.model_copy(update={"seeds": [7], "sensors": ["face_au"]})
    shared = experiment_context(changed, laboratory, tmp_path)
    assert shared.corpus.modalities == ("face_au",)
    assert shared.params.training.seeds == [7]
    assert {condition.kind for condition in shared.conditions} <= set(context.SHORT)
    assert set(shared.loaded().prepared["face_au"]) == {
        "clean",
        *(f"noise_{level}" for level in range(1, 6)),
    }
    plain = experiment_context(experiment, laboratory, tmp_path)
    assert plain.identity != shared.identity


def test_results_depend_on_the_code_of_their_own_method(laboratory, tmp_path):
    planned = plan.load(laboratory / "experiments.yaml")
    shared = experiment_context(planned.experiments["ravdess_clean"], laboratory, tmp_path)
    module = "benchmarks.evidence.runner"
    codes = {
        name: code_of(shared, planned.entry(name), module)
        for name in ("hybrid", "coherence_transfer")
    }
    assert codes["hybrid"] != codes["coherence_transfer"]
    assert codes["hybrid"] == code_of(shared, planned.entry("hybrid"), module)


def test_a_process_reads_the_windows_of_an_experiment_once(laboratory, tmp_path, monkeypatch):
    planned = plan.load(laboratory / "experiments.yaml")
    reads = []
    monkeypatch.setattr(context, "_loaded", {})
    monkeypatch.setattr(context, "load_windows", lambda corpus, _: reads.append(corpus) or {})
    first, second = (
        planned.experiments[name] for name in ("ravdess_clean", "ravdess_symmetric_40")
    )
    for experiment in (first, first, second, first):
        # Each entry has a context of its own, sent to the process that runs it.
        experiment_context(experiment, laboratory, tmp_path).loaded()
    assert len(reads) == 3


def test_with_few_labels_those_of_validation_subjects_are_not_trained_on(laboratory, tmp_path):
    experiment = plan.load(laboratory / "experiments.yaml").experiments["ravdess_clean"]
    few = experiment.model_copy(update={"scenario": Scenario(labelled_subjects=1)})
    refits = [
        experiment_context(one, laboratory, tmp_path).params.training.refit
        for one in (experiment, few)
    ]
    assert refits == [True, False]

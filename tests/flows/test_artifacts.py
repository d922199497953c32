"""Artifacts of a run."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from consilience.core.files import read_json, write_json
from consilience.flows.artifacts import Former, former_metrics, headline_rows
from consilience.model_registry import registry
from consilience.model_registry.gate import forced
from consilience.project import Project
from tests.model_registry.small import METHOD, trained_project


def test_headline_metrics_are_compared_with_both_former_ones() -> None:
    before = {"hybrid": {"all": 0.7, "only_eeg": 0.4}}
    accepted = {"hybrid": {"all": 0.75}}
    after = {
        "hybrid": {"all": 0.8, "all_low": 0.6, "only_eeg": 0.5, "ece": 0.1},
        "new": {"all": 1.0},
    }
    first, second, third = headline_rows(Former(before, accepted), after)
    assert first == {
        **{"method": "hybrid", "metric": "all", "this run": 0.8},
        **{"before": 0.7, "less before": 0.1, "accepted": 0.75, "less accepted": 0.05},
    }
    assert second == {"method": "hybrid", "metric": "ece", "this run": 0.1}
    assert third == {"method": "new", "metric": "all", "this run": 1.0}


@pytest.fixture(scope="module")
def accepted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    project = trained_project(tmp_path_factory.mktemp("artifacts") / "study")
    registry.accept(project, forced(project, "test"), lambda line: None)
    return project.root


def test_former_metrics_are_those_of_the_evaluation_and_of_the_accepted_model(
    accepted: Path, tmp_path: Path
) -> None:
    shutil.copytree(accepted, tmp_path / "study")
    project = Project(tmp_path / "study")
    card = read_json(registry.bundle_of(project, "v0001") / "card.json")
    former = former_metrics(project)
    assert former.accepted == {METHOD: {name: of[0] for name, of in card["metrics"].items()}}
    metrics = read_json(project.evaluation / "metrics.json")
    assert former.before == metrics
    # The next training changes the evaluation, not what was accepted.
    write_json(project.evaluation / "metrics.json", {METHOD: {"all": 0.5}})
    assert former_metrics(project) == Former({METHOD: {"all": 0.5}}, former.accepted)
    (project.evaluation / "metrics.json").write_text("{")
    (project.registry / "registry.json").write_text("{")
    assert former_metrics(project) == Former({}, {})


def test_a_new_project_has_no_former_metrics(tmp_path: Path) -> None:
    assert former_metrics(Project(tmp_path)) == Former({}, {})

"""Parameters of a run are checked early, and overrides are written into params.yaml."""

from __future__ import annotations

import os
from dataclasses import fields
from inspect import signature
from pathlib import Path
from typing import Any

import pytest
from prefect.flows import load_flow_from_entrypoint
from prefect.utilities.callables import parameter_schema
from ruamel.yaml import YAML

from consilience import params
from consilience.core.errors import ConsilienceError
from consilience.flows.pipeline import pipeline
from consilience.flows.request import Request, environment, selected, write_overrides
from consilience.project import Project

ROOT = Path(__file__).parents[2]
GRAPH = {
    "catalog": [],
    "ingest@eeg": ["catalog"],
    "ingest@audio": ["catalog"],
    "align": ["ingest@eeg", "ingest@audio"],
}


def request_of(folder: Path, **changes: Any) -> Request:
    """Return a request with the default values of the flow."""
    defaults = {
        name: parameter.default for name, parameter in signature(pipeline).parameters.items()
    }
    return Request(**{**defaults, "folder": folder, **changes})


def deployments() -> list[dict[str, Any]]:
    content = YAML(typ="safe").load((ROOT / "prefect.yaml").read_text())
    return list(content["deployments"])


def test_a_request_has_the_parameters_of_the_flow() -> None:
    assert [field.name for field in fields(Request)] == list(signature(pipeline).parameters)


@pytest.mark.parametrize("deployment", deployments(), ids=lambda content: content["name"])
def test_every_parameter_in_the_form_of_a_deployment_has_type_and_description(
    deployment: dict[str, Any],
) -> None:
    schema = parameter_schema(load_flow_from_entrypoint(deployment["entrypoint"]))
    assert set(deployment.get("parameters", {})) <= set(schema.properties)
    for name, content in schema.properties.items():
        assert "type" in content or "anyOf" in content, name
        assert content["description"].endswith("."), name


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"only": ["align"], "until": ["align"]}, "only and until exclude each other"),
        ({"executor": "spark://host:1"}, "invalid executor: 'spark://host:1'"),
        ({"workers": 0}, "workers: not above 0: 0"),
        ({"stage_timeout_s": -1.0}, r"stage_timeout_s: not above 0: -1\.0"),
        ({"wait_s": -1.0}, r"wait_s: negative: -1\.0"),
    ],
)
def test_an_invalid_parameter_is_named_in_one_line(
    tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConsilienceError, match=message) as caught:
        request_of(tmp_path, **changes).check()
    assert "\n" not in str(caught.value)


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConsilienceError, match="not a directory"):
        request_of(tmp_path / "absent").check()
    request_of(tmp_path).check()


@pytest.mark.parametrize(
    ("changes", "stages"),
    [
        ({}, set(GRAPH)),
        ({"until": ["ingest@eeg"]}, {"catalog", "ingest@eeg"}),
        ({"until": ["ingest"]}, {"catalog", "ingest@eeg", "ingest@audio"}),
        ({"only": ["ingest"]}, {"ingest@eeg", "ingest@audio"}),
    ],
)
def test_targets_select_stages(tmp_path: Path, changes: dict[str, Any], stages: set[str]) -> None:
    assert selected(GRAPH, request_of(tmp_path, **changes)) == stages


def test_an_unknown_target_names_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(ConsilienceError, match=r"unknown stage 'trian'.*catalog"):
        selected(GRAPH, request_of(tmp_path, only=["trian"]))


def test_overrides_change_two_values_and_keep_the_comments(tmp_path: Path) -> None:
    file = tmp_path / "params.yaml"
    file.write_text(params.document(params.defaults("demo")))
    before = file.read_text()
    write_overrides(Project(tmp_path), request_of(tmp_path))
    assert file.read_text() == before
    changes = {"dataset_root": "data/raw/other", "on_problem": "fail"}
    write_overrides(Project(tmp_path), request_of(tmp_path, **changes))
    settings = params.load(file)
    assert settings.dataset.root == "data/raw/other"
    assert settings.dataset.on_problem == "fail"
    changed = set(before.splitlines()) ^ set(file.read_text().splitlines())
    assert len(changed) == 4, changed


def test_workers_and_executor_are_set_during_a_run_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CONSILIENCE_WORKERS", "3")
    monkeypatch.delenv("CONSILIENCE_EXECUTOR", raising=False)
    with environment(request_of(tmp_path, workers=2, executor="dask://host:8786")):
        assert os.environ["CONSILIENCE_WORKERS"] == "2"
        assert os.environ["CONSILIENCE_EXECUTOR"] == "dask://host:8786"
    assert os.environ["CONSILIENCE_WORKERS"] == "3"
    assert "CONSILIENCE_EXECUTOR" not in os.environ

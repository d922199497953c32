"""A deployed run on a cluster that loses a worker equals ``dvc repro`` on this machine.

`tests/core/test_executor.py` compares what Dask and Ray compute, and kills workers of both.
"""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from consilience import new_study
from tests.conftest import DEMO, ProjectCopy, copy_project
from tests.core import test_executor
from tests.flows import test_deployments
from tests.flows.test_deployments import Site

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600)]

LAST = "align"
RUN_S = 1500.0


def results(folder: Path) -> dict[str, bytes]:
    """Return every result of a study; the cards of its store hold times of change."""
    paths = [path for path in sorted((folder / "data").rglob("*")) if ".store" not in path.parts]
    return {str(path.relative_to(folder)): path.read_bytes() for path in paths if path.is_file()}


def start_run(site: Site, address: str) -> str:
    """Deploy a study and start a run of it on a cluster; return its id."""
    site.call("prefect", "--no-prompt", "deploy", "--all")
    name = f"pipeline/{new_study.deployment_prefix(site.folder.name)}-nightly"
    given = {"executor": address, "until": f'["{LAST}"]', "gate": "false"}
    options = [f"--param={key}={value}" for key, value in given.items()]
    printed = site.call("prefect", "deployment", "run", name, *options)
    match = re.search(r"UUID: (\S+)", printed)
    assert match, printed
    return match[1]


def state_of(site: Site, run: str) -> str:
    """Return the final state of a run; nothing before its end."""
    [row] = site.api("flow_runs/filter", {"flow_runs": {"id": {"any_": [run]}}})
    final = ("COMPLETED", "FAILED", "CRASHED", "CANCELLED")
    return str(row["state_type"]) if row["state_type"] in final else ""


@pytest.mark.parametrize("kind", ["dask", "ray"])
def test_a_deployed_run_on_a_cluster_that_loses_a_worker_equals_a_local_one(
    demo: ProjectCopy,
    kind: str,
    tmp_path: Path,
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(*test_executor.NO_TOKEN)
    study = copy_project(tmp_path / "remote")
    study.configure(**DEMO)
    folder = study.folder
    with test_executor.started(kind, tmp_path_factory.mktemp("c")) as (address, programs):
        for site in test_deployments.started(tmp_path_factory, {}):
            second = Site(folder, {**site.variables, "PWD": str(folder)})
            run = start_run(second, address)
            second.until((folder / "data/catalog/summary.json").is_file, RUN_S)
            programs.kill_last()
            second.until(partial(state_of, second, run), RUN_S)
            assert state_of(second, run) == "COMPLETED"
    lock, local = (YAML(typ="safe").load(place / "dvc.lock") for place in (folder, demo.folder))
    assert LAST in lock["stages"]
    assert lock["stages"].items() <= local["stages"].items()
    outputs = tuple(out["path"] for stage in lock["stages"].values() for out in stage["outs"])
    computed, expected = results(folder), results(demo.folder)
    assert computed.keys() <= expected.keys()
    assert {path for path in expected if path.startswith(outputs)} <= computed.keys()
    assert [path for path in computed if computed[path] != expected[path]] == []

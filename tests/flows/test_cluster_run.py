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
from tests.conftest import ProjectCopy, copy_project
from tests.core import test_executor
from tests.flows import test_deployments
from tests.flows.test_deployments import Site

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600)]

LAST = "window"
RUN_S = 1500.0


def small_study(folder: Path) -> ProjectCopy:
    study = copy_project(folder)
    study.configure(modalities=["eeg", "audio"], methods=["coherence_transfer"])
    return study


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> ProjectCopy:
    """Give a study that this machine has reproduced."""
    study = small_study(tmp_path_factory.mktemp("local") / "study")
    study.repro(LAST)
    return study


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
    local: ProjectCopy,
    kind: str,
    tmp_path: Path,
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(*test_executor.NO_TOKEN)
    remote = small_study(tmp_path / "remote").folder
    with test_executor.started(kind, tmp_path_factory.mktemp("c")) as (address, programs):
        for site in test_deployments.started(tmp_path_factory, {}):
            second = Site(remote, {**site.variables, "PWD": str(remote)})
            run = start_run(second, address)
            second.until((remote / "data/catalog/summary.json").is_file, RUN_S)
            programs.kill_last()
            second.until(partial(state_of, second, run), RUN_S)
            assert state_of(second, run) == "COMPLETED"
    # DVC adds a stage to the file when it ends: a run and 'dvc repro' have different orders.
    one, other = (YAML(typ="safe").load(folder / "dvc.lock") for folder in (remote, local.folder))
    assert one == other
    expected, computed = results(local.folder), results(remote)
    assert computed.keys() == expected.keys()
    assert [path for path in expected if computed[path] != expected[path]] == []

"""Two studies on one server and one worker: neither starts, waits for nor changes the other."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from consilience import new_study
from tests.flows.test_deployments import GRAPH, Site, started
from tests.flows.test_pipeline import initialise

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

SECOND = "second-study"


@dataclass
class Study:
    """One of the studies, and the prefix of its deployments."""

    site: Site
    prefix: str = ""

    def start_run(self, name: str = "nightly") -> str:
        """Start a run of a deployment; return its id."""
        printed = self.site.call("prefect", "deployment", "run", f"pipeline/{self.prefix}{name}")
        match = re.search(r"UUID: (\S+)", printed)
        assert match, printed
        return match[1]

    def state(self, run: str) -> str:
        """Return the type of state of a run."""
        rows = self.site.api("flow_runs/filter", {"flow_runs": {"id": {"any_": [run]}}})
        return str(rows[0]["state_type"])

    def n_runs(self) -> int:
        """Return the number of runs of its deployments, scheduled ones of the timetable apart."""
        rows = self.site.api("flow_runs/filter", {"deployments": {"name": {"any_": self.names()}}})
        return sum(row["state_type"] != "SCHEDULED" for row in rows)

    def names(self) -> list[str]:
        kinds = ("nightly", "rebuild", "on-new-recordings", "predict")
        return [f"{self.prefix}{kind}" for kind in kinds]


@pytest.fixture(scope="module")
def studies(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Study, Study]]:
    for site in started(tmp_path_factory, {}):
        folder = site.folder.parent / SECOND
        folder.mkdir()
        new_study.write_files(folder)
        (folder / "recordings").mkdir()
        (folder / "sleep.txt").write_text("0\n")
        initialise(folder, GRAPH)
        second = Site(folder, {**site.variables, "PWD": str(folder)})
        second.call("prefect", "--no-prompt", "deploy", "--all")
        yield Study(site), Study(second, f"{SECOND}-")


def of_site(study: Study, kind: str) -> dict[str, Any]:
    """Return the deployments or automations of the server by name."""
    return {row["name"]: row for row in study.site.api(f"{kind}/filter", {})}


def test_a_second_study_leaves_the_deployments_of_the_first(studies: tuple[Study, Study]) -> None:
    first, second = studies
    deployments = of_site(first, "deployments")
    assert deployments.keys() == {*first.names(), *second.names()}
    for study in studies:
        [step] = deployments[study.names()[0]]["pull_steps"]
        directory = step["prefect.deployments.steps.set_working_directory"]["directory"]
        assert directory == str(study.site.folder)
    assert len(of_site(first, "automations")) == 2


def test_recordings_of_one_study_start_a_run_of_it_alone(studies: tuple[Study, Study]) -> None:
    first, second = studies
    before = first.n_runs()
    (second.site.folder / "recordings/one.edf").write_text("one")
    watch = ("consilience", "watch", "recordings", "--stable", "1", "--interval", "1", "--once")
    second.site.call(*watch)
    second.site.until((second.site.folder / "waited.txt").is_file)
    second.site.until(lambda: second.site.runs()[0]["state_type"] == "COMPLETED")
    assert (second.site.folder / "list.txt").read_text() == "one.edf\n"
    assert second.n_runs() == 1
    assert first.n_runs() == before
    assert not (first.site.folder / "list.txt").exists()


def test_a_run_of_one_study_leaves_the_slot_of_the_other(studies: tuple[Study, Study]) -> None:
    first, second = studies
    (first.site.folder / "sleep.txt").write_text("3000\n")
    long = first.start_run()
    first.site.until((first.site.folder / "wait.pid").is_file)
    refused, beside = first.start_run(), second.start_run()
    second.site.until(lambda: second.state(beside) == "COMPLETED")
    first.site.until(lambda: first.state(refused) == "CANCELLED")
    assert first.state(long) == "RUNNING"
    # A sweep from one study leaves the running process of the other.
    assert "every active run has its process" in second.site.call("consilience", "sweep")
    first.site.call("prefect", "flow-run", "cancel", long)
    first.site.until(lambda: first.state(long) == "CANCELLED")
    stage = int((first.site.folder / "wait.pid").read_text())
    # The state may be written just before the last process of the stage has ended.
    first.site.until(lambda: not Path(f"/proc/{stage}").exists())

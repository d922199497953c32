from __future__ import annotations

from collections.abc import Callable

import pytest

from consilience.project import Project
from consilience.reporting.results import Results, load_results


@pytest.fixture(autouse=True)
def in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONSILIENCE_LIMIT_S", "inf")


@pytest.fixture
def project(run_of_sensors: Callable[..., Project]) -> Project:
    return run_of_sensors()


@pytest.fixture
def results(project: Project) -> Results:
    return load_results(project)

"""A temporary Prefect server, and the fixtures of the tests of `core.dvc`."""

from collections.abc import Iterator

import pytest
from prefect.testing.utilities import prefect_test_harness

from tests.sleeping_project import is_running, project

__all__ = ["is_running", "prefect_server", "project"]


@pytest.fixture(scope="session")
def prefect_server() -> Iterator[None]:
    with prefect_test_harness(server_startup_timeout=400):
        yield

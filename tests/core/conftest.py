"""Fixtures of the tests of `core.dvc`."""

from tests.sleeping_project import is_running, project

__all__ = ["is_running", "project"]

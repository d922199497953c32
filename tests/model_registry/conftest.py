"""A project with a trained model, trained once for all tests of a process."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from consilience.project import Project
from tests.model_registry.small import trained_project


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return trained_project(tmp_path_factory.mktemp("registry") / "study").root


@pytest.fixture
def project(template: Path, tmp_path: Path) -> Project:
    """Give a copy of the trained project, which a test may change."""
    shutil.copytree(template, tmp_path / "study")
    return Project(tmp_path / "study")

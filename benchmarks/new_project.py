"""Creates a project as ``consilience init`` does, but without parameters, and commits it."""

from __future__ import annotations

import subprocess
from pathlib import Path

from consilience import new_study

ROOT = Path(__file__).parents[1]


def create_project(folder: Path) -> None:
    """Write a project without parameters into a folder, and commit it to a repository there."""
    folder.mkdir(parents=True, exist_ok=True)
    new_study.write_files(folder)
    new_study.start_version_control(folder)
    git = ["git", "-c", "user.name=consilience", "-c", "user.email=consilience@localhost"]
    subprocess.run([*git, "add", "."], cwd=folder, check=True)
    subprocess.run([*git, "commit", "-qm", "Begin"], cwd=folder, check=True)

"""Creates a project as a user has it: the graph of the stages, without the package's code."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from consilience.core.dvc import ENVIRONMENT

ROOT = Path(__file__).parents[1]
TEMPLATE = ("dvc.yaml", ".dvcignore", ".dvc/config", "data/.gitignore", "data/score/README.md")


def create_project(folder: Path) -> None:
    """Write a project without parameters into a folder, and commit it to a repository there."""
    folder.mkdir(parents=True, exist_ok=True)
    git = ["git", "-c", "user.name=consilience", "-c", "user.email=consilience@localhost"]
    subprocess.run([*git, "init", "-q"], cwd=folder, check=True)
    subprocess.run([ENVIRONMENT / "dvc", "init", "-q"], cwd=folder, check=True)
    for name in TEMPLATE:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / name, folder / name)
    subprocess.run([*git, "add", "."], cwd=folder, check=True)
    subprocess.run([*git, "commit", "-qm", "Begin"], cwd=folder, check=True)

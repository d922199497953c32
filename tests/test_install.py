"""What a user gets: the wheel's content, and the command beside folders of the user's own."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    source.mkdir()
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copyfile(ROOT / name, source / name)
    for name in ("pipeline", "benchmarks", "flows"):
        ignored = shutil.ignore_patterns("__pycache__", "*.egg-info", "data", ".dvc")
        shutil.copytree(ROOT / name, source / name, ignore=ignored)
    command = ["pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "-w", folder, source]
    subprocess.run([sys.executable, "-m", *command], check=True, capture_output=True)
    (path,) = folder.glob("consilience-*.whl")
    return path


def test_the_wheel_holds_the_package_and_no_study_of_the_project(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    top = {name.split("/")[0] for name in names if ".dist-info" not in name}
    assert top == {"consilience"}
    assert not [name for name in names if "benchmark" in name or "evidence/" in name]
    modules = {path.relative_to(ROOT / "pipeline") for path in (ROOT / "pipeline").rglob("*.py")}
    assert {path.as_posix() for path in modules} <= set(names)
    data = [path for path in (ROOT / "pipeline/consilience").rglob("*") if path.is_file()]
    templates = {
        path.relative_to(ROOT / "pipeline").as_posix()
        for path in data
        if "templates" in path.parts and "__pycache__" not in path.parts
    }
    assert templates
    assert templates <= set(names)


@pytest.mark.parametrize("words", [["names"], ["use", "demo"]])
def test_the_command_runs_beside_folders_named_pipeline_and_flows(
    wheel: Path, words: list[str], tmp_path: Path
) -> None:
    site = tmp_path / "site"
    zipfile.ZipFile(wheel).extractall(site)
    user = tmp_path / "user"
    for name in ("pipeline", "flows", "benchmarks"):
        (user / name).mkdir(parents=True)
        (user / name / "__init__.py").write_text("raise SystemExit('the user\\'s own package')\n")
    done = subprocess.run(
        [sys.executable, "-c", "from consilience.cli import main; main()", *words],
        cwd=user,
        env={**os.environ, "PYTHONPATH": str(site)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    if words == ["names"]:
        assert "coherence_transfer" in done.stdout
    else:
        assert (user / "params.yaml").is_file()

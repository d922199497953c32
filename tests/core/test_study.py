"""Plug-ins in the folders of a study: found, fingerprinted, and used by other processes."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from consilience.core import code_state, registry, study
from consilience.core.errors import ConsilienceError
from consilience.core.fingerprint import CodeBase

METHOD = '''"""A method of this study."""

from consilience.methods.concat import method as Concat


class Own(Concat):
    pass


method = Own
'''


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Give a study with one method, in use; afterwards none is."""
    monkeypatch.setenv(study.VARIABLE, str(tmp_path))
    (tmp_path / "params.yaml").touch()
    (tmp_path / "methods").mkdir()
    (tmp_path / "methods/own.py").write_text(METHOD)
    study.use(tmp_path)
    yield tmp_path
    study.use(tmp_path / "nowhere")


def test_a_file_is_a_plug_in_of_its_name(folder: Path) -> None:
    assert "own" in registry.names("methods")
    method = registry.get("methods", "own")
    assert method.__module__ == "consilience.methods.own"
    assert registry.params("methods", "own") is method.Params


def test_another_process_finds_it(folder: Path) -> None:
    code = "from consilience.core import registry; print(registry.get('methods', 'own').__name__)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "Own\n"


def test_a_study_replaces_the_one_before(folder: Path, tmp_path: Path) -> None:
    assert registry.get("methods", "own")
    other = tmp_path / "other"
    (other / "methods").mkdir(parents=True)
    (other / "params.yaml").touch()
    (other / "methods/own.py").write_text(METHOD.replace("Own", "Other"))
    study.use(other)
    assert registry.get("methods", "own").__name__ == "Other"
    study.use(tmp_path / "nowhere")
    assert "own" not in registry.names("methods")
    with pytest.raises(ModuleNotFoundError):
        importlib.import_module("consilience.methods.own")


def test_a_folder_without_parameters_is_not_a_study(folder: Path) -> None:
    (folder / "params.yaml").unlink()
    (folder / "methods/base.py").touch()
    study.use(folder / "nowhere")
    study.use(folder)
    assert study.folder() is None
    assert "own" not in registry.names("methods")


def test_a_name_of_the_package_is_refused(folder: Path) -> None:
    for name in ("concat", "base", "params"):
        path = folder / f"methods/{name}.py"
        path.touch()
        with pytest.raises(ConsilienceError, match=f"{name}.py: the name '{name}' is in use"):
            study.use(folder)
        path.unlink()


def test_its_code_changes_the_fingerprints_of_what_uses_it_and_no_other(folder: Path) -> None:
    def digests() -> dict[str, str]:
        in_use = {"methods": ["own"], "modalities": [], "encoders": [], "inputs": []}
        entries = {
            "own": ("consilience.stages.train", in_use),
            "concat": ("consilience.stages.train", in_use | {"methods": ["concat"]}),
            "label": ("consilience.stages.label", in_use),
        }
        code = CodeBase()
        return {
            name: code.fingerprint([entry], use).digest for name, (entry, use) in entries.items()
        }

    before, state = digests(), code_state.package(study.PACKAGE)
    path = folder / "methods/own.py"
    path.write_text(METHOD.replace("pass", "pass  # a comment"))
    assert digests() == before
    path.write_text(METHOD.replace("pass", "extra = 1"))
    after = digests()
    assert {name for name in before if before[name] != after[name]} == {"own"}
    assert code_state.package(study.PACKAGE) != state


def test_without_a_study_the_package_is_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(study.VARIABLE, raising=False)
    assert study.places() == {}
    study.attach()
    assert study.VARIABLE not in os.environ

"""States of folders and libraries written for the test."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from consilience.core import code_state


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "toy").mkdir()
    (tmp_path / "toy/__init__.py").write_text("a")
    return tmp_path


@pytest.mark.parametrize("kept", ["size", "mtime"])
def test_an_edit_changes_the_state_of_a_package(folder: Path, kept: str) -> None:
    path, before = folder / "toy/__init__.py", code_state.package("toy")
    state = path.stat()
    path.write_text("b" if kept == "size" else "bb")
    os.utime(path, ns=(0, state.st_mtime_ns + (kept == "size")))
    assert code_state.package("toy") != before


def test_new_files_and_folders_change_the_state_of_a_package(folder: Path) -> None:
    states = [code_state.package("toy")]
    (folder / "toy/new").mkdir()
    states.append(code_state.package("toy"))
    (folder / "toy/new.py").touch()
    states.append(code_state.package("toy"))
    (folder / "toy/link.py").symlink_to("nowhere")
    states.append(code_state.package("toy"))
    assert len(set(states)) == 4


def test_bytecode_is_no_change(folder: Path) -> None:
    before = code_state.package("toy")
    (folder / "toy/__pycache__").mkdir()
    (folder / "toy/__pycache__/x.pyc").touch()
    assert code_state.package("toy") == before


def test_linked_folders_belong_to_a_package_and_may_lead_back(folder: Path) -> None:
    (folder / "elsewhere").mkdir()
    (folder / "toy/linked").symlink_to(folder / "elsewhere")
    (folder / "toy/back").symlink_to(folder / "toy")
    before = code_state.package("toy")
    (folder / "elsewhere/inner.py").touch()
    assert code_state.package("toy") != before


def test_a_package_at_another_place_has_another_state(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = code_state.package("toy")
    (folder / "first/toy").mkdir(parents=True)
    (folder / "first/toy/__init__.py").touch()
    monkeypatch.syspath_prepend(str(folder / "first"))
    assert code_state.package("toy") != before
    assert code_state.package("toy_nowhere") == code_state.package("toy_elsewhere")


@pytest.mark.parametrize("kind", ["dist-info", "egg-info"])
def test_libraries_and_the_search_path_are_the_environment(
    folder: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    states = [code_state.environment()]
    metadata = folder / f"lib.{kind}" / ("METADATA" if kind == "dist-info" else "PKG-INFO")
    metadata.parent.mkdir()
    for text in ("Version: 1.0", "Version: 1.0.1"):
        metadata.write_text(text)
        states.append(code_state.environment())
    monkeypatch.setattr(sys, "path", [str(folder)])
    states.append(code_state.environment())
    assert len(set(states)) == len(states)
    assert code_state.environment() == states[-1]

"""A stage whose parameters change while it runs fails, so that DVC records nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from consilience import stages
from consilience.cli import stage
from consilience.core.errors import ConsilienceError

GRAPH = """
stages:
  label:
    params: [windows, dataset.root]
  train:
    params: ['methods.${item.method}']
"""
PARAMS = "windows: {length_s: 4.0}\ndataset: {root: a, name: b}\nmethods: {hybrid: {}}\n"


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("dvc.yaml").write_text(GRAPH)
    file = Path("params.yaml")
    file.write_text(PARAMS)
    return file


def run(monkeypatch: pytest.MonkeyPatch, file: Path, content: str, *words: str) -> None:
    """Run a stage during which the parameters become others."""
    monkeypatch.setattr(stages, "main", lambda _: file.write_text(content))
    stage.main(words)


def test_a_parameter_of_the_stage_that_changes_is_an_error(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ConsilienceError, match=r"changed while stage 'label' ran: windows "):
        run(monkeypatch, file, PARAMS.replace("4.0", "2.0"), "label")


def test_one_of_the_items_is_recognised(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content = PARAMS.replace("hybrid: {}", "hybrid: {layers: 2}")
    with pytest.raises(ConsilienceError, match="methods"):
        run(monkeypatch, file, content, "train", "--method", "hybrid")


def test_another_parameter_or_a_comment_is_none(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(monkeypatch, file, PARAMS.replace("name: b", "name: c"), "label")
    run(monkeypatch, file, f"# a comment\n{PARAMS}", "label")
    run(monkeypatch, file, PARAMS.replace("4.0", "2.0"), "code")


def test_a_file_that_is_being_written_is_an_error(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ConsilienceError, match="not valid YAML"):
        run(monkeypatch, file, PARAMS + "annotation: {", "label")

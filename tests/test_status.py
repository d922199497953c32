"""Why a stage is stale, in words."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from consilience import new_study, stage_code, status
from consilience.core.dvc import ALWAYS
from consilience.project import Project
from consilience.schema.tables import Alignment, Problems, frame_of, write_table

PROBLEM = {"where": "a.edf", "what": "truncated", "remedy": "record again"}


def test_reasons_name_code_parameters_and_files() -> None:
    changed = {
        "changed deps": {
            "data/code/align.json": "modified",
            "data/catalog": "modified",
            "params.yaml": {"alignment.max_offset_s": "modified"},
        }
    }
    expected = "changed deps: data/catalog modified, alignment.max_offset_s modified"
    assert status._reasons(["consilience.alignment.run"], [changed]) == [
        "code changed: consilience.alignment.run",
        expected,
    ]
    assert status._reasons([], [changed]) == [
        expected.replace("data/cat", "data/code/align.json modified, data/cat")
    ]
    assert status._reasons([], [ALWAYS]) == []
    assert status._reasons([], ["changed command"]) == ["changed command"]
    outs = {"changed outs": {"data/a": "deleted", "data/b": "deleted"}}
    assert status._reasons(["x"], [changed, outs]) == ["without results"]


def test_differences_name_modules_libraries_and_kinds() -> None:
    before = {"modules": {"a": "1", "b": "1"}, "libraries": {"torch": "2"}, "plugins": {}}
    after = {"modules": {"a": "2", "c": "1"}, "libraries": {"torch": "3"}, "plugins": {"x": []}}
    assert status._differences(before, after) == ["a", "b", "c", "torch", "x"]
    assert status._differences(before, before) == []


@pytest.mark.slow
def test_a_study_is_compared_with_its_last_run(tmp_path: Path) -> None:
    folder = tmp_path / "study"
    new_study.create(folder, None, None)
    project = Project(folder)
    stage_code.write_fingerprints(project)
    write_table(project.catalog / "problems.parquet", frame_of([PROBLEM], Problems), Problems)
    path = project.code / "align.json"
    content = json.loads(path.read_text())
    content["modules"]["consilience.alignment.run"] = "0"
    path.write_text(json.dumps(content))
    assert status.changed_code(project) == {"align": ["consilience.alignment.run"]}
    current = status.status(project)
    assert current.stages[0] == "code"
    assert current.stale["align"] == ["without results"]
    assert current.unusable == [PROBLEM]
    assert current.metrics == {}
    lines = current.lines()
    assert lines[0].startswith(f"{len(current.stages)} stages: ")
    assert "  a.edf: truncated (record again)" in lines
    assert json.loads(path.read_text()) == content  # nothing is written


def test_unaligned_recordings_are_unusable(tmp_path: Path) -> None:
    clock = {"session": "s", "modality": "eeg", "method": "pulses", "n_anchors": 0, "n_pieces": 0}
    rows = [
        {**clock, "recording": "a", "status": "aligned", "reason": None},
        {**clock, "recording": "b", "status": "unaligned", "reason": "no pulse"},
    ]
    project = Project(tmp_path)
    write_table(project.alignment / "alignment.parquet", frame_of(rows, Alignment), Alignment)
    remedy = "left out of the windows: unaligned"
    assert status.unusable(project) == [{"where": "b", "what": "no pulse", "remedy": remedy}]


def test_lines_of_a_study_that_is_up_to_date() -> None:
    empty = status.Status(["code", "report"], {}, [], [], {})
    assert empty.lines() == ["2 stages: 2 up to date", "0 problems of recordings"]

"""The list of versions is read as it was written, or refused in one line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from consilience.core.errors import ConsilienceError
from consilience.model_registry.index import INDEX, Event, Index, Version, read_index, write_index
from consilience.project import Project

VERSION = Version(
    name="v0001",
    time="2026-11-30T19:43:59Z",
    method="hybrid",
    model_sha256="0" * 64,
    files={"bundle/card.json": "f" * 64},
    metrics={"all": [0.8, None, 0.9]},
    n_people=8,
    n_windows=99,
    decision={"accepted": True},
)
EVENT = Event(time=VERSION.time, action="accept", version="v0001", replaced=None, reason="first")
WHOLE = Index(current="v0001", versions=[VERSION], history=[EVENT])


def test_an_index_is_read_as_it_was_written_and_empty_without_a_file(tmp_path: Path) -> None:
    project = Project(tmp_path)
    assert read_index(project) == Index()
    write_index(project, WHOLE)
    assert read_index(project) == WHOLE
    assert read_index(project).get("v0001") == VERSION


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"schema_version": 7}, r"schema version 7, newer than 1 \(install a newer version"),
        ({"current": "../v0001"}, r"current: String should match pattern .*dvc checkout"),
        ({"current": "v0002"}, "v0002: unknown version; accepted are: v0001"),
        ({"versions": [{"name": "v0001"}]}, r"versions\.0\.time: Field required"),
        ({"further": 1}, "further: Extra inputs are not permitted"),
        ({"history": [{**EVENT.model_dump(), "action": "delete"}]}, r"history\.0\.action"),
    ],
)
def test_what_is_damaged_or_newer_is_one_line(
    change: dict[str, Any], message: str, tmp_path: Path
) -> None:
    project = Project(tmp_path)
    write_index(project, WHOLE)
    path = project.registry / INDEX
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises(ConsilienceError, match=message) as caught:
        read_index(project)
    assert "\n" not in str(caught.value)

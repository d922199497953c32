"""The flow checks its paths first, and writes what the command writes."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Any

import pytest
from prefect.states import State

from consilience.core.errors import ConsilienceError
from consilience.flows.predict import check, predict


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("data/models/hybrid", "new"):
        (tmp_path / name).mkdir(parents=True)
    return tmp_path


def checked(folder: Path, **changes: str) -> None:
    paths = {"bundle": "data/models/hybrid", "recordings": "new", "output": "out.parquet"}
    check(folder, **{name: Path(path) for name, path in {**paths, **changes}.items()})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"bundle": "absent"}, "bundle absent: not a directory"),
        ({"recordings": "absent"}, "recordings absent: not a directory"),
        ({"output": "out.xlsx"}, r"output out\.xlsx: unknown table format"),
    ],
)
def test_a_wrong_path_is_named(folder: Path, changes: dict[str, str], message: str) -> None:
    checked(folder)
    with pytest.raises(ConsilienceError, match=message):
        checked(folder, **changes)


def test_a_pipe_among_the_recordings_is_named(folder: Path) -> None:
    os.mkfifo(folder / "new/pipe")
    with pytest.raises(ConsilienceError, match="'pipe' is a pipe"):
        checked(folder)


@pytest.mark.slow
@pytest.mark.usefixtures("prefect_server")
def test_what_the_command_refuses_fails_the_run_with_its_line(folder: Path) -> None:
    call = predict(
        recordings=Path("new"), folder=folder, bundle=Path("data/models/hybrid"), return_state=True
    )
    state: State[Any] = asyncio.run(call)  # type: ignore[arg-type]
    assert state.is_failed()
    assert "hybrid" in str(state.message)
    assert "\n" not in str(state.message)

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from prefect.artifacts import Artifact
from prefect.client.schemas.objects import State

from flows.pipeline import pipeline

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("prefect_server")]

Project = Callable[[float], Path]
INGESTS = ["ingest@audio", "ingest@face_au", "ingest@eeg"]


def run(folder: Path) -> tuple[State[Any], dict[str, tuple[str, float]]]:
    """Run the flow and read its artifact: the state and seconds of every stage."""
    call = pipeline(folder, return_state=True)
    state: State[Any] = asyncio.run(call)  # type: ignore[arg-type]
    artifact = Artifact.get("stages")
    rows = json.loads(artifact.data)  # type: ignore[union-attr, arg-type]
    return state, {row["stage"]: (row["state"], row["seconds"]) for row in rows}


def test_ingests_overlap_and_a_second_run_is_all_cached(
    project: Project, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("CONSILIENCE_WORKERS", "8")
    folder = project(4)
    state, rows = run(folder)
    assert state.is_completed()
    assert state.message == "4 ran"
    assert {stage: how for stage, (how, _) in rows.items()} == dict.fromkeys(rows, "ran")
    assert all(4 < rows[ingest][1] < 60 for ingest in INGESTS)

    spans = [
        [float(time) for time in (folder / "out" / name / "times.txt").read_text().split()]
        for name in ("audio", "face_au", "eeg")
    ]
    assert max(began for began, _ in spans) < min(ended for _, ended in spans)
    printed = caplog.text
    assert "eeg may use 2 workers" in printed  # a third of eight
    assert "align may use 8 workers" in printed

    state, rows = run(folder)
    assert state.message == "4 cached"
    assert {how for how, _ in rows.values()} == {"cached"}


def test_a_failed_stage_fails_the_flow_and_stops_only_what_needs_it(
    project: Project, caplog: pytest.LogCaptureFixture
) -> None:
    folder = project(0)
    (folder / "eeg.fails").touch()
    state, rows = run(folder)
    assert state.is_failed()
    assert state.message == "ingest@eeg: eeg: the microphone is off (switch it on) (exited with 1)"
    assert {stage: how for stage, (how, _) in rows.items()} == {
        "ingest@audio": "ran",
        "ingest@face_au": "ran",
        "ingest@eeg": "failed",
        "align": "not run",
    }
    assert "Traceback" not in caplog.text
    assert not (folder / "out" / "align").exists()


def test_a_folder_without_project_fails_the_flow_with_the_reason(tmp_path: Path) -> None:
    call = pipeline(tmp_path, return_state=True)
    state: State[Any] = asyncio.run(call)  # type: ignore[arg-type]
    assert state.is_failed()
    assert "not inside of a DVC repository" in str(state.message)


def test_a_name_that_a_shell_could_read_fails_the_flow_before_dvc_runs(project: Project) -> None:
    folder = project(0)
    (folder / "params.yaml").write_text("modalities:\n  'x; touch owned': {}\n")
    state: State[Any] = asyncio.run(pipeline(folder, return_state=True))  # type: ignore[arg-type]
    assert state.is_failed()
    assert "invalid name 'x; touch owned'" in str(state.message)

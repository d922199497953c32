import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from prefect import get_client
from prefect.artifacts import Artifact
from prefect.client.schemas.objects import FlowRun, State
from prefect.client.schemas.sorting import FlowRunSort
from prefect.settings import PREFECT_API_URL

from consilience.core.termination import LINE
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


ROOT = Path(__file__).parents[2]


def interrupted(folder: Path, send: Callable[[int], None], **environment: str) -> tuple[int, str]:
    """Start the flow as a program, signal it when its stages work; return status and output."""
    process = subprocess.Popen(
        [sys.executable, "-m", "flows.pipeline"],
        cwd=folder,
        env={
            **os.environ,
            "PYTHONPATH": f"{ROOT / 'pipeline'}{os.pathsep}{ROOT}",
            "CONSILIENCE_WORKERS": "3",
            **environment,
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    while len(list(folder.glob("*.pid"))) < 3 and process.poll() is None:
        time.sleep(0.05)
    if process.poll() is None:
        send(process.pid)
    printed = process.communicate(timeout=60)[0]
    return process.returncode, printed


def last_run() -> FlowRun:
    """Return the flow run that the server recorded last."""
    with get_client(sync_client=True) as client:
        return client.read_flow_runs(sort=FlowRunSort.START_TIME_DESC, limit=1)[0]


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_the_flow_with_one_line_and_its_run_crashed(
    project: Project, is_running: Callable[[int], bool], number: signal.Signals, status: int
) -> None:
    folder = project(60)
    url = str(PREFECT_API_URL.value())
    code, printed = interrupted(folder, lambda pid: os.kill(pid, number), PREFECT_API_URL=url)
    assert code == status, printed
    assert printed.splitlines()[-1] == LINE.decode().strip()
    assert "Traceback" not in printed
    assert "ERROR" not in printed
    assert not any(is_running(int(path.read_text())) for path in folder.glob("*.pid"))
    state = last_run().state
    assert state is not None
    assert state.is_crashed()


def test_the_keyboard_of_a_terminal_does_not_stop_the_temporary_server_before_the_flow(
    project: Project, tmp_path: Path
) -> None:
    folder = project(60)
    environment = {
        "PREFECT_HOME": f"{tmp_path / 'home'}",
        "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "120",
    }
    code, printed = interrupted(folder, lambda pid: os.killpg(pid, signal.SIGINT), **environment)
    assert code == 130, printed
    assert printed.splitlines()[-1] == LINE.decode().strip()
    assert "Traceback" not in printed


@pytest.mark.parametrize(
    ("url", "what"),
    [("", "No Prefect API URL provided"), ("http://127.0.0.1:9", "Failed to reach")],
)
def test_without_a_server_the_flow_ends_with_one_line(tmp_path: Path, url: str, what: str) -> None:
    environment = {"PREFECT_API_URL": url, "PREFECT_SERVER_EPHEMERAL_ENABLED": "false"}
    code, printed = interrupted(tmp_path, lambda _: None, **environment)
    assert code == 1
    assert printed.startswith(f"error: {what}")
    assert printed.count("\n") == 1

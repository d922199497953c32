import asyncio
import json
import os
import shutil
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
from prefect.flows import load_flow_from_entrypoint
from prefect.settings import PREFECT_API_URL
from ruamel.yaml import YAML

from consilience import params
from consilience.core.dvc import ENVIRONMENT
from consilience.core.termination import LINE
from consilience.flows.predict import predict
from flows.pipeline import pipeline

ROOT = Path(__file__).parents[2]

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("prefect_server")]

Project = Callable[[float], Path]
INGESTS = ["ingest@audio", "ingest@face_au", "ingest@eeg"]

# Every stage passes the first line of its input on.
STEP = """
  {stage}:
    cmd: head -1 {dep} > {stage}.out
    deps: [{dep}]
    outs: [{stage}.out]
"""
STEPS = [
    ("first", "first.txt"),
    ("second", "first.out"),
    ("third", "second.out"),
    ("aside", "aside.txt"),
]
CODED = """
stages:
  code:
    cmd: consilience stage code
    always_changed: true
    outs:
      - data/code:
          cache: false
          persist: true
  catalog:
    cmd: head -1 data/code/catalog.json > catalog.out
    deps: [data/code/catalog.json]
    outs: [catalog.out]
"""


def initialise(folder: Path, dvc_yaml: str) -> Path:
    (folder / "dvc.yaml").write_text(dvc_yaml)
    init = [ENVIRONMENT / "dvc", "init", "--no-scm", "--quiet"]
    subprocess.run(init, cwd=folder, check=True)
    return folder


def steps(folder: Path) -> Path:
    """Create a project whose stages each depend on one file."""
    for name in ("first", "aside"):
        (folder / f"{name}.txt").write_text("old\nsecond line\n")
    steps = "".join(STEP.format(stage=stage, dep=dep) for stage, dep in STEPS)
    return initialise(folder, f"stages:\n{steps}")


@pytest.fixture
def coded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Create a project of stage ``code`` and a stage that depends on one of its files."""
    monkeypatch.setenv("PATH", f"{ENVIRONMENT}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("PYTHONPATH", f"{ROOT / 'pipeline'}{os.pathsep}{ROOT}")
    folder = tmp_path / "coded"
    folder.mkdir()
    (folder / "params.yaml").write_text(params.document(params.defaults("demo")))
    return initialise(folder, CODED)


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
    folder = project(10)  # longer than a busy machine needs to start DVC
    state, rows = run(folder)
    assert state.is_completed()
    assert state.message == "4 ran"
    assert {stage: how for stage, (how, _) in rows.items()} == dict.fromkeys(rows, "ran")
    assert all(10 < rows[ingest][1] < 120 for ingest in INGESTS)

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


def test_missing_results_are_pulled_beside_a_result_that_is_nowhere_else(tmp_path: Path) -> None:
    folder = tmp_path / "study"
    folder.mkdir()
    steps(folder)

    def dvc(*arguments: str) -> None:
        subprocess.run([ENVIRONMENT / "dvc", *arguments, "--quiet"], cwd=folder, check=True)

    dvc("remote", "add", "--default", "store", str(tmp_path / "store"))
    assert run(folder)[0].message == "4 ran"
    dvc("push")
    (folder / "registry").mkdir()
    (folder / "registry/model.txt").write_text("not uploaded\n")
    dvc("add", "registry")
    shutil.rmtree(folder / ".dvc/cache")
    for stage in ("second", "aside"):
        (folder / f"{stage}.out").unlink()
    # DVC keeps stages of former projects in the file.
    lock = YAML(typ="safe").load(folder / "dvc.lock")
    lock["stages"]["former"] = {"cmd": "true", "outs": [{"path": "former.out", "md5": "0" * 32}]}
    YAML().dump(lock, folder / "dvc.lock")
    assert run(folder)[0].message == "4 cached"
    assert (folder / "second.out").read_text() == "old\n"
    assert (folder / "registry/model.txt").read_text() == "not uploaded\n"


def test_stages_that_are_not_stale_start_no_process(tmp_path: Path) -> None:
    folder = steps(tmp_path)
    assert run(folder)[0].message == "4 ran"
    (folder / "aside.txt").write_text("new\n")
    _, rows = run(folder)
    assert {stage: how for stage, (how, _) in rows.items()} == {
        **dict.fromkeys(("first", "second", "third"), "cached"),
        "aside": "ran",
    }
    assert {rows[stage][1] for stage in ("first", "second", "third")} == {0}


@pytest.mark.parametrize(
    ("text", "second"), [("new\nsecond line\n", "ran"), ("old\nother line\n", "cached")]
)
def test_a_stage_runs_again_if_one_before_it_changed_its_outputs(
    tmp_path: Path, text: str, second: str
) -> None:
    folder = steps(tmp_path)
    run(folder)
    (folder / "first.txt").write_text(text)
    _, rows = run(folder)
    assert {stage: how for stage, (how, _) in rows.items()} == {
        **dict.fromkeys(("second", "third"), second),
        "first": "ran",
        "aside": "cached",
    }
    assert rows["aside"][1] == 0
    assert rows["second"][1] > 0  # DVC decided


def test_a_pipe_among_the_recordings_fails_the_flow_before_dvc_reads_them(coded: Path) -> None:
    root = coded / "data/raw/demo"
    root.mkdir(parents=True)
    os.mkfifo(root / "pipe")
    state: State[Any] = asyncio.run(pipeline(coded, return_state=True))  # type: ignore[arg-type]
    assert state.is_failed()
    assert "'pipe' is a pipe" in str(state.message)
    assert not (coded / "data/code").exists()


def test_without_a_stale_stage_and_a_configured_server_none_is_started(
    coded: Path, tmp_path: Path
) -> None:
    def program() -> tuple[int, str]:
        return interrupted(coded, lambda _: None, PREFECT_API_URL="", PREFECT_HOME=f"{home}")

    home = tmp_path / "home"
    subprocess.run([ENVIRONMENT / "dvc", "repro"], cwd=coded, check=True, capture_output=True)
    assert program() == (0, "every stage is up to date\n")
    assert not list(home.glob("*.db"))
    (coded / "params.yaml").unlink()
    status, printed = program()
    assert status == 1
    assert "up to date" not in printed


def test_a_run_without_a_stale_stage_is_recorded_by_a_configured_server(coded: Path) -> None:
    subprocess.run([ENVIRONMENT / "dvc", "repro"], cwd=coded, check=True, capture_output=True)
    url = str(PREFECT_API_URL.value())
    status, printed = interrupted(coded, lambda _: None, PREFECT_API_URL=url)
    assert status == 0, printed
    state = last_run().state
    assert state is not None
    assert state.message == "2 cached"


def test_a_study_deploys_the_flows_of_the_package() -> None:
    content = YAML(typ="safe").load((ROOT / "prefect.yaml").read_text())
    flows = {
        row["name"]: load_flow_from_entrypoint(row["entrypoint"]) for row in content["deployments"]
    }
    assert flows.pop("predict") is predict
    assert set(flows.values()) == {pipeline}


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
    printed = process.communicate(timeout=300)[0]
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

"""Runs whose process has ended become Crashed, with the slot they held; others stay."""

from __future__ import annotations

import os
import socket
import subprocess
from uuid import UUID

import pytest
from prefect import flow, get_client
from prefect.client.schemas.objects import State
from prefect.settings import PREFECT_API_URL, temporary_settings
from prefect.states import Cancelling, Pending, Running

from consilience.cli import commands
from consilience.core.errors import ConsilienceError
from consilience.flows.sweep import (
    OF_WORKER,
    PROCESS,
    WORKER,
    process_start,
    sweep,
    worker_name,
)

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("prefect_server")]


@flow(name="pipeline")
def stand_in() -> None:
    """Have the name of the flow that is swept."""


def begin(state: State[None], process: str | None, label: str = PROCESS) -> UUID:
    """Create a run that claims to be in a state and, unless None, to have a process."""
    with get_client(sync_client=True) as client:
        run = client.create_flow_run(stand_in, state=Pending())
        client.set_flow_run_state(run.id, state, force=True)
        if process is not None:
            client.update_flow_run_labels(run.id, {label: process})
    return run.id


def state_of(run_id: UUID) -> str:
    with get_client(sync_client=True) as client:
        state = client.read_flow_run(run_id).state
    assert state is not None
    return str(state.name)


def ended() -> str:
    """Return the label of a process that has ended."""
    with subprocess.Popen(["true"]) as process:
        pass
    return f"{socket.gethostname()}:{process.pid}:1"


def test_runs_of_ended_processes_are_crashed_and_those_of_others_stay() -> None:
    pid = os.getpid()
    here = f"{socket.gethostname()}:{pid}:{process_start(pid)}"
    runs = {
        "ended": begin(Running(), ended()),
        "id used again": begin(Running(), f"{socket.gethostname()}:{pid}:1"),
        "being cancelled": begin(Cancelling(), ended()),
        "running": begin(Running(), here),
        "other machine": begin(Running(), "elsewhere:7:1"),
        "starting": begin(Pending(), None),
        "worker ended": begin(Pending(), OF_WORKER + ended(), WORKER),
        "worker running": begin(Pending(), worker_name(), WORKER),
        "another worker": begin(Pending(), "ProcessWorker 7", WORKER),
    }
    lines = sweep()
    assert len(lines) == 4
    assert {name: state_of(run) for name, run in runs.items()} == {
        "ended": "Crashed",
        "id used again": "Crashed",
        "being cancelled": "Cancelled",
        "running": "Running",
        "other machine": "Running",
        "starting": "Pending",
        "worker ended": "Crashed",
        "worker running": "Pending",
        "another worker": "Pending",
    }
    assert len(sweep(silent_s=0.0, but_for=str(runs["starting"]))) == 2
    assert state_of(runs["other machine"]) == "Crashed"
    assert state_of(runs["running"]) == "Running"
    assert state_of(runs["starting"]) == "Pending"


def test_a_server_that_is_away_is_one_line() -> None:
    away = temporary_settings({PREFECT_API_URL: "http://127.0.0.1:9/api"})
    with away, pytest.raises(ConsilienceError, match="the server does not answer"):
        commands.sweep(600.0)


def test_processes_differ_by_their_start() -> None:
    assert process_start(os.getpid()) == process_start(os.getpid())
    assert process_start(os.getpid()) != process_start(1)
    with subprocess.Popen(["true"]) as process:
        pass
    assert process_start(process.pid) is None

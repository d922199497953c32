"""Sets runs whose process has ended to Crashed, so that their slots are free at once.

A process that is killed cannot report it: Prefect shows its run as Running, and the run keeps its
concurrency slot for minutes. Each run therefore states its machine and process, which is looked up
here; a run of another machine has crashed when its heartbeats have been missing for some time.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import psutil
from prefect import get_client
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.filters import (
    FlowFilter,
    FlowFilterName,
    FlowRunFilter,
    FlowRunFilterState,
    FlowRunFilterStateType,
)
from prefect.client.schemas.objects import FlowRun, StateType
from prefect.client.schemas.sorting import FlowRunSort
from prefect.states import Cancelled, Crashed, State

FLOWS = ("pipeline", "predict")
ACTIVE = (StateType.RUNNING, StateType.PENDING, StateType.CANCELLING)
HEARTBEAT = "prefect.flow-run.heartbeat"
SILENT_S = 600.0  # more than three heartbeats of Prefect's default of 180 s
PAGE = 100
PROCESS = "consilience.process"  # label of a run: HOST:PID:START
WORKER = "prefect.worker.name"  # label that a worker gives a run before it starts its process
OF_WORKER = "consilience:"  # begins the names of workers that end with the process they name
GONE = "its process has ended without a report"


async def state_process(run_id: str) -> None:
    """Write the machine and process of a run into its labels."""
    async with get_client() as client:
        labels: dict[str, bool | int | float | str] = {PROCESS: this_process()}
        await client.update_flow_run_labels(UUID(run_id), labels)


def this_process() -> str:
    """Return the machine, process id and start of this process."""
    pid = os.getpid()
    return f"{socket.gethostname()}:{pid}:{process_start(pid)}"


def worker_name() -> str:
    """Return a name for a worker that this process supervises, by which its runs are recognised."""
    return f"{OF_WORKER}{this_process()}"


def sweep(silent_s: float = SILENT_S, but_for: str | None = None) -> list[str]:
    """Set the runs whose process has ended to Crashed, or to Cancelled if that was requested.

    Parameters
    ----------
    silent_s : float
        Age in s of the last sign of life above which a run without a process on this machine is
        taken for ended.
    but_for : str, optional
        Id of a run that is left as it is: the one that sweeps.

    Returns
    -------
    list of str
        A line for each such run.
    """
    lines = []
    with get_client(sync_client=True) as client:
        for run in _active(client):
            if str(run.id) == but_for or not _has_ended(client, run, silent_s):
                continue
            requested = run.state is not None and run.state.type == StateType.CANCELLING
            state: State[Any] = (Cancelled if requested else Crashed)(message=GONE)
            client.set_flow_run_state(run.id, state, force=True)
            lines.append(f"{run.name}: {str(state.name).lower()}, {GONE}")
    return lines


def _active(client: SyncPrefectClient) -> Iterator[FlowRun]:
    flows = FlowFilter(name=FlowFilterName(any_=list(FLOWS)))
    active = FlowRunFilter(state=FlowRunFilterState(type=FlowRunFilterStateType(any_=list(ACTIVE))))
    runs: list[FlowRun] = []
    while True:
        page = client.read_flow_runs(
            flow_filter=flows,
            flow_run_filter=active,
            sort=FlowRunSort.START_TIME_ASC,
            limit=PAGE,
            offset=len(runs),
        )
        runs += page
        if len(page) < PAGE:
            return iter(runs)


def sweep_quietly(emit: Callable[[str], None]) -> None:
    """Sweep and print a line for each run; a server that is away is left to the next time."""
    with suppress(Exception):
        for line in sweep():
            emit(line)


def _has_ended(client: SyncPrefectClient, run: FlowRun, silent_s: float) -> bool:
    process = str(run.labels.get(PROCESS, "")) or _process_of_worker(run)
    host, _, rest = process.partition(":")
    pid, _, start = rest.partition(":")
    if host == socket.gethostname() and pid.isdecimal():
        return process_start(int(pid)) != start
    last = _last_sign(client, run)
    return last is not None and datetime.now(UTC) - last > timedelta(seconds=silent_s)


def _process_of_worker(run: FlowRun) -> str:
    """Return the process of the worker that starts a run; empty for other workers."""
    name = str(run.labels.get(WORKER, ""))
    return name.removeprefix(OF_WORKER) if name.startswith(OF_WORKER) else ""


def process_start(pid: int) -> str | None:
    """Return what distinguishes a process from another one with its id; None if it has ended."""
    try:
        process = psutil.Process(pid)
        if process.status() == psutil.STATUS_ZOMBIE:
            return None
        stat = Path(f"/proc/{pid}/stat")
        if stat.is_file():
            # Clock ticks since the start of the system, which no change of the clock moves.
            return stat.read_text().rpartition(")")[2].split()[19]
        return str(process.create_time())
    except (psutil.NoSuchProcess, FileNotFoundError, ProcessLookupError):
        return None


def _last_sign(client: SyncPrefectClient, run: FlowRun) -> datetime | None:
    """Return the time of the last heartbeat, or of the last change of state."""
    heartbeat = _last_heartbeat(client, run.id)
    changed = run.state.timestamp if run.state is not None else None
    return max((time for time in (heartbeat, changed) if time is not None), default=None)


def _last_heartbeat(client: SyncPrefectClient, run_id: UUID) -> datetime | None:
    content = {
        "filter": {
            "event": {"name": [HEARTBEAT]},
            "resource": {"id": [f"prefect.flow-run.{run_id}"]},
            "order": "DESC",
        },
        "limit": 1,
    }
    response = client.request("POST", "/events/filter", json=content)
    response.raise_for_status()
    events = response.json()["events"]
    return datetime.fromisoformat(events[0]["occurred"]) if events else None

"""Prefect flow: every stage of ``dvc.yaml`` as one task, independent stages in parallel.

Run it with ``python -m consilience.flow`` in the folder of the project; a Prefect server is
optional. DVC decides which stages are stale, so Prefect caches nothing. Only stale stages, and
those that depend on them, become tasks. A project without stale stages starts no temporary server.
"""

from __future__ import annotations

import sys
from importlib.util import find_spec

from consilience.core import termination

if __name__ == "__main__":
    termination.exit_at_signals()  # before the other imports, which take seconds
    if find_spec("prefect") is None:
        sys.exit("error: Prefect is not installed (pip install 'consilience[prefect]')")

import asyncio
import logging
import os
from collections import Counter
from functools import partial
from pathlib import Path
from time import monotonic
from typing import Any

from prefect import flow, get_client, get_run_logger, task
from prefect.artifacts import acreate_table_artifact
from prefect.cache_policies import NO_CACHE
from prefect.settings import PREFECT_API_URL
from prefect.states import Completed, Failed, State

from consilience import stage_code
from consilience.core import study
from consilience.core.dvc import Graph, reproduce, stage_graph
from consilience.core.errors import ConsilienceError, one_line
from consilience.core.processes import guard_children
from consilience.graph import CODE, affected, nothing_to_do, share, stale_stages
from consilience.project import Project

Rows = dict[str, dict[str, Any]]  # of the table of stages

NOT_RUN, CACHED = "not run", "cached"


def _without_empty_traceback(record: logging.LogRecord) -> bool:
    """Drop log records with an empty traceback, which repeat a failure as ``NoneType: None``."""
    return record.exc_info != (None, None, None)


logging.getLogger("prefect.task_runs").addFilter(_without_empty_traceback)


@task(task_run_name="{stage}", cache_policy=NO_CACHE, persist_result=False)
async def run_stage(
    folder: Path, stage: str, n_workers: int, timeout_s: float | None
) -> State[Any]:
    """Bring one stage up to date and log its output line by line."""
    outcome = await reproduce(folder, stage, n_workers, timeout_s, get_run_logger().info)
    if outcome.state == "failed":
        return Failed(message=outcome.reason)
    return Completed(name=outcome.state.capitalize())


@flow(name="pipeline", persist_result=False)
async def pipeline(folder: Path = Path(), stage_timeout_s: float | None = None) -> State[Any]:
    """Run every stage of a DVC project.

    Parameters
    ----------
    folder : Path
        The project's folder; by default the working directory, which a deployment sets.
    stage_timeout_s : float, optional
        Time limit of a stage in s. A stage that exceeds it fails, and its processes are ended.
    """
    from consilience import params  # slow to import

    try:
        study.use(folder)
        if (folder / "params.yaml").is_file():
            params.load(folder / "params.yaml")  # before DVC makes commands of it
        graph = await stage_graph(folder)
    except ConsilienceError as error:
        return Failed(message=str(error))
    rows: Rows = {stage: {"stage": stage, "state": NOT_RUN, "seconds": 0.0} for stage in graph}
    try:
        failures = await _run_stale(folder, graph, rows, stage_timeout_s)
    finally:
        await acreate_table_artifact(
            list(rows.values()), key="stages", description="Stages of the last run"
        )
    if failures:
        return Failed(message="\n".join(failures))
    counts = Counter(row["state"] for row in rows.values())
    return Completed(message=", ".join(f"{n} {state}" for state, n in sorted(counts.items())))


async def _run_stale(folder: Path, graph: Graph, rows: Rows, timeout_s: float | None) -> list[str]:
    """Run stage ``code`` unless it is current, then what is stale; return one line per failure."""
    if CODE in graph and not stage_code.is_current(Project(folder)):
        # Before DVC reads the recordings, among which may be what it would wait for.
        if failures := await _run(folder, {CODE: []}, rows, timeout_s):
            return failures
    elif CODE in graph:
        rows[CODE]["state"] = CACHED
    try:
        subgraph = affected(graph, await stale_stages(folder))
    except ConsilienceError as error:
        return [str(error)]
    for stage in graph.keys() - subgraph.keys() - {CODE}:
        rows[stage]["state"] = CACHED
    return await _run(folder, subgraph, rows, timeout_s)


async def _run(folder: Path, graph: Graph, rows: Rows, timeout_s: float | None) -> list[str]:
    """Start every stage of a graph after its upstream stages; return one line per failure."""
    running: dict[str, asyncio.Task[State[Any] | None]] = {}
    failures = []

    async def follow(stage: str) -> State[Any] | None:
        upstream = [await running[name] for name in graph[stage]]
        if not all(state is not None and state.is_completed() for state in upstream):
            return None
        began = monotonic()
        arguments = (folder, stage, share(stage, graph), timeout_s)
        call = run_stage(*arguments, wait_for=upstream, return_state=True)
        # Prefect's type hints do not cover coroutines that return a state.
        state: State[Any] = await call  # type: ignore[misc]
        rows[stage]["seconds"] = round(monotonic() - began, 1)
        rows[stage]["state"] = str(state.name).lower()
        if not state.is_completed():
            failures.append(f"{stage}: {state.message}")
        return state

    async with asyncio.TaskGroup() as group:
        for stage in graph:
            running[stage] = group.create_task(follow(stage))
    return failures


def main() -> None:
    """Run the flow in this process, with a temporary server if none is configured."""
    guard_children()
    for handler in ("CONSOLE", "DEBUG"):
        # Of the temporary server, which reports the work that its own end interrupts.
        os.environ[f"PREFECT_LOGGING_HANDLERS_{handler}_LEVEL"] = "CRITICAL"
    try:
        if not PREFECT_API_URL.value() and termination.run(nothing_to_do(Path())):
            print("every stage is up to date")
            return
        termination.beyond_the_keyboard(partial(get_client, sync_client=True))
        state: State[Any] = termination.run(pipeline(return_state=True))  # type: ignore[arg-type]
    except (RuntimeError, ValueError) as error:  # no server: not configured, unreachable, or failed
        sys.exit(f"error: {one_line(str(error))}")
    sys.exit(not state.is_completed())


if __name__ == "__main__":
    main()

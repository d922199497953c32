"""Stages as Prefect tasks: stale ones run, independent ones in parallel, each after its upstream.

DVC decides which stages are stale, so Prefect caches nothing. Only stale stages, and those that
depend on them, become tasks.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from time import monotonic
from typing import Any

from prefect import get_run_logger, task
from prefect.cache_policies import NO_CACHE
from prefect.states import Cancelled, Completed, Failed, State

from consilience import stage_code
from consilience.core.dvc import Graph, reproduce, stage_changes
from consilience.core.errors import ConsilienceError
from consilience.flows.progress import StageProgress
from consilience.flows.stopping import STOPPED, unless_stopped
from consilience.graph import CODE, affected, kinds_of_change, share, stale
from consilience.project import Project

Rows = dict[str, dict[str, Any]]  # of the table of stages

RETRY_DELAY_S = 30.0
# What the system reports of a network drive that is away. A full disk does not pass by itself.
DRIVE = ("Input/output error", "Stale file handle", "Transport endpoint is not connected")
# What `core.executor` reports of a cluster that is away.
CLUSTER = ("does not answer: ", "the cluster failed: ", "the cluster has had no worker")
NOT_RUN, CACHED = "not run", "cached"


@dataclass(frozen=True)
class Selection:
    """Selection of the stages that a run may start.

    Attributes
    ----------
    stages : collection of str
        Stages that may run.
    force : bool
        Whether they run although they are up to date.
    timeout_s : float or None
        Time limit of each stage in s.
    """

    stages: Collection[str]
    force: bool = False
    timeout_s: float | None = None


def is_passing(message: str) -> bool:
    """Return whether a stage failed by a drive or cluster that may be back at the next attempt."""
    return any(words in message for words in (*DRIVE, *CLUSTER))


def _may_pass(_task: Any, _run: Any, state: State[Any]) -> bool:
    return is_passing(str(state.message or ""))


@task(
    task_run_name="{stage}",
    cache_policy=NO_CACHE,
    persist_result=False,
    retries=1,
    retry_delay_seconds=RETRY_DELAY_S,
    retry_condition_fn=_may_pass,
)
async def run_stage(
    folder: Path, stage: str, n_workers: int, timeout_s: float | None, force: bool = False
) -> State[Any]:
    """Bring one stage up to date; log its output line by line, and publish its progress."""
    async with StageProgress(stage, get_run_logger().info) as progress:
        work = reproduce(folder, stage, n_workers, timeout_s, progress.report, force=force)
        outcome = await unless_stopped(work)
    if outcome is None:
        return Cancelled(message=STOPPED)
    if outcome.state == "failed":
        return Failed(message=outcome.reason)
    return Completed(name=outcome.state.capitalize())


async def run_stale(
    folder: Path, graph: Graph, rows: Rows, selection: Selection
) -> tuple[list[str], set[str]]:
    """Run stage ``code`` unless it is current, then what is stale among the selected stages.

    Parameters
    ----------
    folder : Path
        The project's folder.
    graph : dict of str to list of str
        All its stages.
    rows : dict of str to dict
        State and duration of each stage, which are changed.
    selection : Selection

    Returns
    -------
    failures : list of str
        One line per stage that failed.
    changed : set of str
        Kinds of change that made stages stale, see `graph.kinds_of_change`.
    """
    start = partial(_run, folder, rows, selection)
    if CODE in graph and not stage_code.is_current(Project(folder)):
        # Before DVC reads the recordings, among which may be what it would wait for.
        if failures := await start({CODE: []}):
            return failures, set()
    elif CODE in graph:
        rows[CODE]["state"] = CACHED
    try:
        changes = await stage_changes(folder)
    except ConsilienceError as error:
        return [str(error)], set()
    selected = {stage: graph[stage] for stage in graph if stage in selection.stages}
    subgraph = _to_run(selected, changes, selection.force)
    for stage in selected.keys() - subgraph.keys() - {CODE}:
        rows[stage]["state"] = CACHED
    return await start(subgraph), kinds_of_change(changes)


def _to_run(selected: Graph, changes: Mapping[str, list[Any]], force: bool) -> Graph:
    """Return the part of the selected stages that runs; upstream stages outside are left out."""
    if force:
        return affected(selected, selected.keys() - {CODE})
    return affected(selected, stale(changes))


async def _run(folder: Path, rows: Rows, selection: Selection, graph: Graph) -> list[str]:
    """Start every stage of a graph after its upstream stages; return one line per failure."""
    running: dict[str, asyncio.Task[State[Any] | None]] = {}
    failures = []

    async def follow(stage: str) -> State[Any] | None:
        upstream = [await running[name] for name in graph[stage]]
        if not all(state is not None and state.is_completed() for state in upstream):
            return None
        began = monotonic()
        arguments = (folder, stage, share(stage, graph), selection.timeout_s)
        force = selection.force and stage != CODE
        call = run_stage(*arguments, force=force, wait_for=upstream, return_state=True)
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

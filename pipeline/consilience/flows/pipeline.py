"""Flow ``pipeline``: preflight, pull, stages, metric gate, push, commit, notification.

A deployment runs it on a server's schedule or trigger; ``python -m consilience.flows`` runs it once
in the folder of the project, where a Prefect server is optional. A project without stale stages
starts no temporary server.
"""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, Literal

from prefect import flow, get_client, get_run_logger, runtime
from prefect.settings import PREFECT_API_URL
from prefect.states import Completed, Failed, State

from consilience.core import study, termination
from consilience.core.dvc import Graph, stage_graph
from consilience.core.errors import ConsilienceError, one_line, system_error
from consilience.core.study import MARK
from consilience.flows import artifacts, preflight, remote, repair, stages
from consilience.flows.notify import notify
from consilience.flows.request import Request, environment, selected, write_overrides
from consilience.flows.server import published, wait_for_server
from consilience.flows.stages import NOT_RUN, Rows, Selection
from consilience.flows.startup import guard_once, start_run
from consilience.flows.stopping import is_stopping, stop_at_sigterm, stopped_state
from consilience.graph import nothing_to_do
from consilience.model_registry.decision import Decision
from consilience.project import Project

EVALUATED = "evaluate"  # the stage behind the metrics that the gate compares


def _without_empty_traceback(record: logging.LogRecord) -> bool:
    """Drop log records with an empty traceback, which repeat a failure as ``NoneType: None``."""
    return record.exc_info != (None, None, None)


logging.getLogger("prefect.task_runs").addFilter(_without_empty_traceback)


@flow(name="pipeline", persist_result=False)
async def pipeline(
    folder: Path = Path(),
    only: list[str] = [],  # noqa: B006 -- never changed; the form needs the type of a list
    until: list[str] = [],  # noqa: B006
    dataset_root: str = "",
    on_problem: Literal["quarantine", "fail"] | None = None,
    force: bool = False,
    workers: int | None = None,
    executor: str = "local",
    stage_timeout_s: float | None = None,
    pull: bool = True,
    push: bool = False,
    gate: bool = False,
    commit_branch: str = "",
    notification_block: str = "",
    wait_s: float = 3600.0,
    min_free_gib: float = 2.0,
    reason: str = "",
) -> State[Any]:
    """Bring the stages of a study up to date, and pass on what came of it.

    The form of a run shows the following texts, which Prefect reads in this format only.

    Args:
        folder: Folder of the study; empty or '.' is the working directory, which a deployment sets.
        only: Stages to run, such as 'ingest' or 'ingest@eeg', without those they depend on; empty
            for all.
        until: Stages to bring up to date with all that they depend on; empty for all.
        dataset_root: Other folder of recordings, written into params.yaml, where it stays.
        on_problem: Policy for bad recordings, written into params.yaml, where it stays - quarantine
            leaves them out, fail ends the run.
        force: Run the stages although they are up to date.
        workers: Number of processes of this machine; empty for one per core.
        executor: Where recordings are processed - local, dask://HOST:PORT or ray://HOST:PORT.
        stage_timeout_s: Limit of each stage in seconds, after which it fails; empty for none.
        pull: First download results that the folder lacks, if a DVC remote is set.
        push: Finally upload the results to the DVC remote.
        gate: Accept and register the new model only if it is not worse than the accepted one.
        commit_branch: Branch of git that receives dvc.lock and params.yaml; empty for none.
        notification_block: Block that receives the outcome, such as webhook/NAME; empty for none.
        wait_s: Longest wait in seconds for another run or 'dvc repro' in the same folder.
        min_free_gib: Free space in GiB that the disk must have.
        reason: What caused the run, for its log and notification.
    """
    request = Request(
        *(folder, only, until, dataset_root, on_problem, force, workers, executor),
        *(stage_timeout_s, pull, push, gate, commit_branch, notification_block),
        *(wait_s, min_free_gib, reason),
    )
    report: dict[str, Any] = {}
    with stop_at_sigterm():
        await start_run()
        state = await _within_limits(request, report)
        if is_stopping():
            state = await stopped_state(state)
    if notification_block:
        await notify(notification_block, _content(request, state, report), get_run_logger().warning)
    await wait_for_server()
    return state


async def _within_limits(request: Request, report: dict[str, Any]) -> State[Any]:
    """Check the request and the project, wait for the project, and run."""
    folder, logger = request.folder, get_run_logger()
    if request.reason:
        logger.info(f"caused by: {request.reason}")
    try:
        request.check()
        study.use(folder)
        _check_params(folder)
        preflight.check_disk(folder, request.min_free_gib)
        preflight.check_inputs(Project(folder))
        async with preflight.alone(folder, request.wait_s, logger.info):
            graph, before = await _checked_graph(request), _definition(folder)
            write_overrides(Project(folder), request)
            if _definition(folder) != before:
                graph = await _checked_graph(request)
            preflight.check_inputs(Project(folder))
            with environment(request):
                return await _steps(request, graph, report)
    except ConsilienceError as error:
        return Failed(message=str(error))
    except OSError as error:  # such as a full disk
        return Failed(message=system_error(error))


def _check_params(folder: Path) -> None:
    """Raise if a parameter is invalid, before DVC makes commands of it."""
    from consilience import params  # slow to import

    params_file = Project(folder).params_file
    if params_file.is_file():
        params.load(params_file)


async def _checked_graph(request: Request) -> Graph:
    """Return the graph of the project; raise if a parameter or a target is invalid.

    What a killed DVC process has left half written is restored; no other one uses the project.
    """
    folder = request.folder
    _check_params(folder)
    while True:
        try:
            graph = await stage_graph(folder)
            break
        except ConsilienceError as error:
            if not repair.restored(folder, str(error), get_run_logger().warning):
                raise
    repair.keep(folder)
    selected(graph, request)
    return graph


def _definition(folder: Path) -> list[bytes]:
    """Return the content of the files that define the stages and their parameters."""
    files = [folder / name for name in ("dvc.yaml", MARK)]
    return [file.read_bytes() for file in files if file.is_file()]


async def _steps(request: Request, graph: Graph, report: dict[str, Any]) -> State[Any]:
    """Pull, run the stages, pass the gate, push and commit; the first failure ends it."""
    folder, project = request.folder, Project(request.folder)
    rows: Rows = {stage: {"stage": stage, "state": NOT_RUN, "seconds": 0.0} for stage in graph}
    former = artifacts.Former({}, {})
    decision = None
    try:
        if failures := await _pulled(request, graph):
            return Failed(message="\n".join(failures))
        former = await asyncio.to_thread(artifacts.former_metrics, project)
        selection = Selection(selected(graph, request), request.force, request.stage_timeout_s)
        failures, changed = await stages.run_stale(folder, graph, rows, selection)
        await _tag([f"changed:{kind}" for kind in sorted(changed)])
        if failures:
            return Failed(message="\n".join(failures))
        if request.gate and EVALUATED in graph:
            decision = await asyncio.to_thread(_passed_gate, project, get_run_logger().info)
            if not decision.accepted:
                return Failed(message=f"gate: blocked: {'; '.join(decision.reasons)}")
        if failures := await _passed_on(request):
            return Failed(message="\n".join(failures))
    finally:
        report["stages"] = list(rows.values())
        await artifacts.publish_stages(list(rows.values()))
        report |= await artifacts.publish_results(project, former, decision)
    counts = Counter(row["state"] for row in rows.values())
    return Completed(message=", ".join(f"{n} {state}" for state, n in sorted(counts.items())))


def _passed_gate(project: Project, emit: Callable[[str], None]) -> Decision:
    """Compare the trained model with the accepted one, and register it unless it is worse."""
    from consilience.model_registry import gate, registry  # slow to import

    decision = gate.compare(project)
    if decision.accepted:
        registry.accept(project, decision, emit)
    return decision


async def _pulled(request: Request, graph: Graph) -> list[str]:
    """Download missing results; return one line if that failed."""
    missing = remote.missing_outputs(request.folder, graph) if request.pull else []
    if not missing or await remote.default_remote(request.folder) is None:
        return []
    call = remote.transfer(request.folder, "pull", missing, return_state=True)
    # Prefect's type hints do not cover coroutines that return a state.
    state: State[Any] = await call  # type: ignore[misc]
    return [] if state.is_completed() else [f"{state.message} (pull: false computes all here)"]


async def _passed_on(request: Request) -> list[str]:
    """Upload and commit the results; return one line if that failed."""
    if request.push:
        call = remote.transfer(request.folder, "push", return_state=True)
        state: State[Any] = await call  # type: ignore[misc]
        if not state.is_completed():
            return [f"{state.message} (the results are complete; the next run uploads them)"]
    if request.commit_branch:
        message = f"Results of run {runtime.flow_run.name or 'by hand'}"
        commit = remote.commit_lock(request.folder, request.commit_branch, message)
        get_run_logger().info(f"{request.commit_branch}: {commit or 'unchanged'}")
    return []


async def _tag(tags: list[str]) -> None:
    """Add tags to this run."""
    run_id = runtime.flow_run.id
    if run_id is None or not tags:
        return

    async def add() -> None:
        async with get_client() as client:
            present = (await client.read_flow_run(run_id)).tags
            await client.update_flow_run(run_id, tags={*present, *tags})

    await published(add, "tags")


def _content(request: Request, state: State[Any], report: dict[str, Any]) -> dict[str, Any]:
    """Return the content of a notification."""
    return {
        "title": f"{request.folder.absolute().name}: {str(state.name).lower()}",
        "state": state.name,
        "message": state.message,
        "reason": request.reason,
        "run": runtime.flow_run.name,
        "folder": str(request.folder.absolute()),
        **report,
    }


def main() -> None:
    """Run the flow in this process, with a temporary server if none is configured."""
    guard_once()
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

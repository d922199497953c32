"""Flow ``predict``: a folder of recordings and a model in, a table of predictions out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from prefect import flow, get_run_logger, task
from prefect.cache_policies import NO_CACHE
from prefect.states import Cancelled, Completed, Failed, State

from consilience.core.errors import ConsilienceError
from consilience.core.programs import output_lines
from consilience.core.special_files import check_folder
from consilience.flows.artifacts import markdown
from consilience.flows.notify import notify
from consilience.flows.server import wait_for_server
from consilience.flows.startup import start_run
from consilience.flows.stopping import (
    STOPPED,
    is_stopping,
    stop_at_sigterm,
    stopped_state,
    unless_stopped,
)

FORMATS = (".parquet", ".csv")


@flow(name="predict", persist_result=False)
async def predict(
    recordings: Path,
    folder: Path = Path(),
    bundle: Path = Path("data/models/coherence_transfer"),
    output: Path = Path("data/predictions/predictions.parquet"),
    dataset: str = "folder",
    html: bool = False,
    pseudonyms: bool = False,
    notification_block: str = "",
) -> State[Any]:
    """Predict every window of a folder of recordings with a trained model.

    The form of a run shows the following texts, which Prefect reads in this format only.

    Args:
        recordings: Folder of the recordings, with or without labels.
        folder: Folder of the study, where other paths start and processed recordings are kept.
        bundle: Folder of a trained model; accepted is the one that the gate accepted last.
        output: Table of predictions, .parquet or .csv.
        dataset: Layout of the recordings; 'consilience names' lists the layouts.
        html: Also write the predictions as a page beside the table.
        pseudonyms: Write keyed pseudonyms instead of names.
        notification_block: Block that receives the outcome, such as webhook/NAME; empty for none.
    """
    folder = folder.absolute()
    with stop_at_sigterm():
        await start_run()
        arguments = [str(bundle), str(recordings), "--output", str(output), "--dataset", dataset]
        arguments += ["--html", str(output.with_suffix(".html"))] if html else []
        arguments += ["--pseudonyms"] if pseudonyms else []
        state = await _within_limits(folder, bundle, recordings, output, arguments)
        if is_stopping():
            state = await stopped_state(state)
    if notification_block:
        content = {
            "title": f"predict {recordings.name}: {str(state.name).lower()}",
            "state": state.name,
            "message": state.message,
            "output": str(folder / output),
        }
        await notify(notification_block, content, get_run_logger().warning)
    await wait_for_server()
    return state


async def _within_limits(
    folder: Path, bundle: Path, recordings: Path, output: Path, arguments: list[str]
) -> State[Any]:
    try:
        check(folder, bundle, recordings, output)
    except ConsilienceError as error:
        return Failed(message=str(error))
    (folder / output).parent.mkdir(parents=True, exist_ok=True)
    call = run_command(folder, ["predict", *arguments], return_state=True)
    # Prefect's type hints do not cover coroutines that return a state.
    state: State[Any] = await call  # type: ignore[misc]
    if not state.is_completed():
        return state if state.is_cancelled() else Failed(message=state.message)
    table = folder / output
    files = [table] + [p for p in (table.with_suffix(".html"),) if p.is_file()]
    lines = [f"- [{path}]({path.as_uri()})" for path in files]
    await markdown("\n".join(lines), "predictions", str(table))
    return Completed(message=f"predictions: {table}")


def check(folder: Path, bundle: Path, recordings: Path, output: Path) -> None:
    """Raise if a path is missing or a pipe lies among the recordings.

    Raises
    ------
    ConsilienceError
        With the name of the parameter.
    """
    from consilience.model_registry.registry import is_accepted  # slow to import

    folders = {"folder": folder, "bundle": bundle, "recordings": recordings}
    if is_accepted(str(bundle)):
        del folders["bundle"]
    for name, path in folders.items():
        if not (folder / path).is_dir():
            raise ConsilienceError("not a directory", f"{name} {path}", "correct the path")
    if output.suffix not in FORMATS:
        raise ConsilienceError("unknown table format", f"output {output}", "end it in .parquet")
    check_folder(folder / recordings)


@task(task_run_name="predict", cache_policy=NO_CACHE, persist_result=False)
async def run_command(folder: Path, arguments: list[str]) -> State[Any]:
    """Run a command of ``consilience`` in a study and log its output line by line."""
    command = ("consilience", *arguments)
    outcome = await unless_stopped(output_lines(folder, *command, report=get_run_logger().info))
    if outcome is None:
        return Cancelled(message=STOPPED)
    status, lines = outcome
    if status:
        last = lines[-1] if lines else "it failed without a message"
        return Failed(message=last.removeprefix("error: "))
    return Completed()

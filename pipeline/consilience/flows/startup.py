"""Start of every flow: guard its processes, state its own, and sweep ended runs."""

from __future__ import annotations

import asyncio
from functools import cache, partial

from prefect import get_run_logger, runtime
from prefect.settings import PREFECT_API_URL

from consilience.core.errors import one_line
from consilience.core.processes import guard_children
from consilience.flows import observers
from consilience.flows.server import answered
from consilience.flows.sweep import state_process, sweep


@cache
def guard_once() -> None:
    """Start the process that ends the children of this one if this one is killed."""
    guard_children()


async def start_run() -> None:
    """Prepare a run; what concerns the server alone is logged if it fails, and ends nothing."""
    guard_once()
    observers.quiet()
    run_id = runtime.flow_run.id
    if run_id is None or not PREFECT_API_URL.value():
        return  # a temporary server has no other runs
    logger = get_run_logger()
    try:
        await answered(partial(state_process, run_id))
        for line in await asyncio.to_thread(sweep, but_for=run_id):
            logger.info(line)
    except Exception as error:  # of the server or of the network
        logger.warning(f"sweep failed: {type(error).__name__}: {one_line(str(error))[:200]}")

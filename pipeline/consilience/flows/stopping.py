"""A stop that leaves nothing behind: SIGTERM ends the running programs, not the flow itself.

Prefect raises an exception in the main thread at SIGTERM, in whatever runs at the time, and logs
each interrupted task with a traceback. The flow therefore handles the signal itself: the running
programs end, the tasks return, and the flow returns the state that was requested.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from typing import Any, TypeVar
from uuid import UUID

from prefect import get_client, runtime
from prefect.client.schemas.objects import StateType
from prefect.settings import PREFECT_API_URL
from prefect.states import Cancelled, Crashed, State

POLL_S = 10.0  # from one look at the state of the run to the next
STOPPED = "stopped; the next run continues"

Result = TypeVar("Result")

_stop: ContextVar[asyncio.Event | None] = ContextVar("stop", default=None)


@contextmanager
def stop_at_sigterm() -> Iterator[asyncio.Event]:
    """Yield an event that SIGTERM sets while the block runs, where this is the main thread.

    In another thread the program handles signals itself, see `core.termination`.
    """
    loop, stop = asyncio.get_running_loop(), asyncio.Event()
    before = signal.getsignal(signal.SIGTERM)
    handled = False
    with suppress(RuntimeError, ValueError):  # not the main thread
        loop.add_signal_handler(signal.SIGTERM, stop.set)
        handled = True
    token = _stop.set(stop)
    watching = loop.create_task(_until_cancelled(stop))
    try:
        yield stop
    finally:
        watching.cancel()
        _stop.reset(token)
        if handled:
            loop.remove_signal_handler(signal.SIGTERM)
            signal.signal(signal.SIGTERM, before)


async def _until_cancelled(stop: asyncio.Event) -> None:
    """Set the event when the server lists this run as one to cancel.

    Prefect's worker, which sends the signal, stops looking for cancelled runs when the server has
    been away for half a minute.
    """
    run_id = runtime.flow_run.id
    if run_id is None or not PREFECT_API_URL.value():
        return
    while not stop.is_set():
        await asyncio.sleep(POLL_S)
        with suppress(Exception):  # the server is away
            if await _is_cancelling(run_id):
                stop.set()


async def _is_cancelling(run_id: str) -> bool:
    async with get_client() as client:
        state = (await client.read_flow_run(UUID(run_id))).state
    return state is not None and state.type == StateType.CANCELLING


def is_stopping() -> bool:
    """Return whether SIGTERM has ended this run."""
    stop = _stop.get()
    return stop is not None and stop.is_set()


async def unless_stopped(work: Coroutine[Any, Any, Result]) -> Result | None:
    """Return the result of a coroutine; None if it was cancelled because the flow stops."""
    stop = _stop.get()
    if stop is None:
        return await work
    working, stopping = asyncio.ensure_future(work), asyncio.ensure_future(stop.wait())
    try:
        await asyncio.wait({working, stopping}, return_when=asyncio.FIRST_COMPLETED)
        if working.done():
            return working.result()
        return None
    finally:
        for waiting in (working, stopping):
            if not waiting.done():
                waiting.cancel()
                with suppress(asyncio.CancelledError):
                    await waiting


async def stopped_state(state: State[Any]) -> State[Any]:
    """Return the final state of a stopped run: cancelled if that was requested.

    Prefect refuses to complete a run that is to be cancelled, also if its last step had ended.
    Otherwise a run that has completed stays so, and any other one has crashed.
    """
    run_id = runtime.flow_run.id
    if run_id is not None:
        with suppress(Exception):  # the server is away, as at a shutdown of the machine
            if await _is_cancelling(run_id):
                return Cancelled(message=STOPPED)
    return state if state.is_completed() else Crashed(message=STOPPED)

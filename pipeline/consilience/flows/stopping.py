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

from prefect import get_client, runtime
from prefect.client.schemas.objects import StateType
from prefect.states import Cancelled, Crashed, State

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
    try:
        yield stop
    finally:
        _stop.reset(token)
        if handled:
            loop.remove_signal_handler(signal.SIGTERM)
            signal.signal(signal.SIGTERM, before)


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


async def stopped_state() -> State[Any]:
    """Return the final state of a stopped run: cancelled if that was requested, else crashed."""
    run_id = runtime.flow_run.id
    if run_id is not None:
        state = None
        with suppress(Exception):  # the server is away, as at a shutdown of the machine
            async with get_client() as client:
                state = (await client.read_flow_run(run_id)).state
        if state is not None and state.type == StateType.CANCELLING:
            return Cancelled(message=STOPPED)
    return Crashed(message=STOPPED)

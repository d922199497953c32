"""Requests to the Prefect server that outlast its restart.

Prefect's clients repeat a request only if they have reached the server before. A run opens new ones
for its artifacts and tags: without this module, a server that restarts at that moment would end a
run whose stages have all succeeded.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

from httpx import HTTPStatusError, TransportError
from prefect import get_client, get_run_logger
from prefect.settings import PREFECT_API_URL

from consilience.core.errors import one_line
from consilience.flows.stopping import is_stopping

POLL_S = 2.0
LIMIT_S = 300.0  # as that of the worker, which then ends with its runs

Result = TypeVar("Result")


def is_away(error: Exception) -> bool:
    """Return whether an error is that of a server that does not answer, or not yet."""
    if isinstance(error, HTTPStatusError):
        return error.response.status_code >= 500
    return isinstance(error, TransportError)


async def answered(
    request: Callable[[], Awaitable[Result]], limit_s: float = LIMIT_S, poll_s: float = POLL_S
) -> Result:
    """Return the answer to a request; repeat it while the server is away.

    Parameters
    ----------
    request : callable
        Sends it, with a new client each time.
    limit_s, poll_s : float
        Longest time, and interval of the attempts, in s. A run that is being stopped repeats
        nothing.

    Raises
    ------
    Exception
        That of the last attempt.
    """
    end_s = time.monotonic() + limit_s
    while True:
        try:
            return await request()
        except Exception as error:
            if not is_away(error) or is_stopping() or time.monotonic() > end_s:
                raise
        await asyncio.sleep(poll_s)


async def published(request: Callable[[], Awaitable[object]], what: str) -> None:
    """Send what is not worth a run, such as an artifact; a failure is logged as a warning."""
    try:
        await answered(request)
    except Exception as error:  # of the server, of the network, or of Prefect
        reason = f"{type(error).__name__}: {one_line(str(error))[:200]}"
        get_run_logger().warning(f"{what} not published: {reason}")


async def wait_for_server() -> None:
    """Wait until the server answers, so that the final state of a run can be reported."""
    if not PREFECT_API_URL.value():
        return  # a temporary server ends with the run

    async def hello() -> None:
        async with get_client() as client:
            (await client.hello()).raise_for_status()

    await published(hello, "state of the run")

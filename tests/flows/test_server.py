"""Requests of a run outlast a restart of the server, and what is not worth a run never ends it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import httpx
import pytest

from consilience.flows import server
from consilience.flows.stopping import stop_at_sigterm

REQUEST = httpx.Request("GET", "http://127.0.0.1:9/api")


def status_error(status: int) -> httpx.HTTPStatusError:
    return httpx.HTTPStatusError("", request=REQUEST, response=httpx.Response(status))


def failing(*errors: Exception) -> Callable[[], Awaitable[str]]:
    """Return a request that fails with each error in turn, and is then answered."""
    remaining = list(errors)

    async def request() -> str:
        if remaining:
            raise remaining.pop(0)
        return "answer"

    return request


def test_a_request_is_repeated_while_the_server_is_away() -> None:
    request = failing(httpx.ConnectError("refused"), status_error(503), httpx.ReadTimeout(""))
    assert asyncio.run(server.answered(request, poll_s=0.01)) == "answer"


@pytest.mark.parametrize("error", [status_error(404), ValueError("a mistake")])
def test_another_failure_is_not_repeated(error: Exception) -> None:
    with pytest.raises(type(error)):
        asyncio.run(server.answered(failing(error), poll_s=0.01))


def test_a_server_that_stays_away_is_given_up() -> None:
    request = failing(*[httpx.ConnectError("refused")] * 100)
    with pytest.raises(httpx.ConnectError):
        asyncio.run(server.answered(request, limit_s=0.05, poll_s=0.02))


def test_a_run_that_is_stopped_does_not_wait() -> None:
    async def stopping() -> None:
        with stop_at_sigterm() as stop:
            stop.set()
            await server.answered(failing(httpx.ConnectError("refused")), poll_s=60.0)

    with pytest.raises(httpx.ConnectError):
        asyncio.run(stopping())


def test_an_artifact_that_fails_is_a_line_of_the_log(monkeypatch: pytest.MonkeyPatch) -> None:
    lines: list[str] = []

    class Logger:
        def warning(self, line: str) -> None:
            lines.append(line)

    monkeypatch.setattr(server, "get_run_logger", Logger)
    asyncio.run(server.published(failing(ValueError("too\nlong")), "table 'stages'"))
    assert lines == ["table 'stages' not published: ValueError: too\\nlong"]

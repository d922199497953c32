"""A run stops when the server lists it as one to cancel, also without a signal."""

from __future__ import annotations

import asyncio

import pytest
from prefect.states import Completed, Failed, State

from consilience.flows import stopping
from consilience.flows.stopping import stop_at_sigterm, stopped_state, unless_stopped


class Run:
    id = "00000000-0000-0000-0000-000000000001"


class Runtime:
    flow_run = Run


class Address:
    @staticmethod
    def value() -> str:
        return "http://127.0.0.1:9/api"


@pytest.mark.timeout(60)
def test_a_cancel_that_no_worker_passes_on_stops_a_run(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = iter([ConnectionError("away"), False, True])

    async def is_cancelling(_: str) -> bool:
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def run() -> object:
        with stop_at_sigterm():
            return await unless_stopped(asyncio.sleep(600, "ended"))

    monkeypatch.setattr(stopping, "runtime", Runtime)
    monkeypatch.setattr(stopping, "PREFECT_API_URL", Address)
    monkeypatch.setattr(stopping, "POLL_S", 0.05)
    monkeypatch.setattr(stopping, "_is_cancelling", is_cancelling)
    assert asyncio.run(run()) is None


@pytest.mark.parametrize(
    ("state", "requested", "name"),
    [
        (Completed(), True, "Cancelled"),
        (Completed(), False, "Completed"),
        (Failed(), True, "Cancelled"),
        (Failed(), False, "Crashed"),
    ],
)
def test_the_state_of_a_stopped_run(
    state: State[None], requested: bool, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def is_cancelling(_: str) -> bool:
        return requested

    monkeypatch.setattr(stopping, "runtime", Runtime)
    monkeypatch.setattr(stopping, "_is_cancelling", is_cancelling)
    assert asyncio.run(stopped_state(state)).name == name

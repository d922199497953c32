"""A webhook receives the outcome; a notification that fails is one line."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest
from prefect.blocks.system import Secret
from prefect.blocks.webhook import Webhook

from consilience.flows.notify import notify

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("prefect_server")]


class Receiver(HTTPServer):
    """A server that keeps what it receives and answers with `status`."""

    status = 200

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.received: list[dict[str, Any]] = []


class Handler(BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        content = self.rfile.read(int(self.headers["content-length"]))
        self.server.received.append(json.loads(content))
        self.send_response(self.server.status)
        self.end_headers()

    def log_message(self, *_arguments: object) -> None:
        """Print nothing."""


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    server = Receiver()
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    thread.join()


def test_a_webhook_receives_the_outcome_as_json(receiver: Receiver) -> None:
    Webhook(url=f"http://127.0.0.1:{receiver.server_port}/runs").save("team", overwrite=True)
    content = {"title": "study: completed", "metrics": [{"method": "hybrid"}], "problems": 0}
    lines: list[str] = []
    asyncio.run(notify("webhook/team", content, lines.append))
    assert receiver.received == [content]
    assert not lines

    receiver.status = 500
    asyncio.run(notify("webhook/team", content, lines.append))
    assert len(lines) == 1
    assert lines[0].startswith("notify: 'webhook/team' failed: HTTPStatusError")


@pytest.mark.parametrize(
    ("block", "message"),
    [
        ("webhook/absent", "notify: 'webhook/absent' failed: ValueError"),
        ("secret/word", "notify: 'secret/word' is not a webhook"),
        ("nonsense", "notify: 'nonsense' failed"),
    ],
)
def test_a_block_that_cannot_notify_is_one_line(block: str, message: str) -> None:
    Secret(value="x").save("word", overwrite=True)
    lines: list[str] = []
    asyncio.run(notify(block, {"title": "a"}, lines.append))
    assert len(lines) == 1
    assert lines[0].startswith(message)
    assert "\n" not in lines[0]


def test_a_server_that_does_not_answer_is_one_line() -> None:
    Webhook(url="http://127.0.0.1:9/runs").save("dead", overwrite=True)
    lines: list[str] = []
    asyncio.run(notify("webhook/dead", {"title": "a"}, lines.append))
    assert len(lines) == 1
    assert "ConnectError" in lines[0]

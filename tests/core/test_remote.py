"""Requests are computed in processes of their own, and only with the same code and files."""

from __future__ import annotations

import dataclasses
import os
import pickle
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from consilience.core import remote
from consilience.core.errors import ConsilienceError
from consilience.core.remote import Loss, Request, code_of, state

ENTRY = "consilience.core.errors"


def request(items: Sequence[str], **changes: Any) -> Request:
    """Return a request to evaluate expressions."""
    work = pickle.dumps((eval, items))
    return dataclasses.replace(
        Request("test", 60.0, ENTRY, code_of(ENTRY), {}, None, work), **changes
    )


def answer(asked: Request) -> Any:
    reply = remote.run("session", pickle.dumps(asked))
    assert reply is not None
    return pickle.loads(reply)


def test_a_request_survives_prints_and_a_lost_process() -> None:
    items = ["print('text') or 1", "__import__('os')._exit(3)", "2"]
    one, lost, two = answer(request(items))
    assert (one, two) == (1, 2)
    assert isinstance(lost, Loss)
    assert "crashed or exceeded the memory limit" in lost.reason


def test_an_exception_is_the_answer() -> None:
    assert isinstance(answer(request(["1 / 0"])), ZeroDivisionError)


@pytest.mark.parametrize(
    ("kind", "other"),
    [("module", {ENTRY: "other"}), ("library", {"polars": "0.1"})],
)
def test_other_code_computes_nothing(tmp_path: Path, kind: str, other: dict[str, str]) -> None:
    code = {**code_of(ENTRY), kind: {**code_of(ENTRY)[kind], **other}}
    error = answer(request([f"__import__('os').mkdir({str(tmp_path / 'computed')!r})"], code=code))
    assert isinstance(error, ConsilienceError)
    assert f"not the {kind} '{next(iter(other))}'" in str(error)
    assert not list(tmp_path.iterdir())


def test_other_files_are_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("content")
    for path in (tmp_path, tmp_path / "file"):
        assert answer(request(["1"], states={path: state(path)})) == [1]
    states = {tmp_path: state(tmp_path), tmp_path / "file": state(tmp_path / "file")}
    (tmp_path / "file").rename(tmp_path / "renamed")
    for path, expected in states.items():
        error = answer(request(["1"], states={path: expected}))
        assert isinstance(error, ConsilienceError)
        assert f"does not see {path} as" in str(error)


def test_names_in_a_project_may_change(tmp_path: Path) -> None:
    (tmp_path / "params.yaml").write_text("")
    folder = tmp_path / "store"
    folder.mkdir()
    assert not state(folder)
    (folder / "a").write_text("")
    before = state(folder)
    (folder / "b").write_text("")
    assert before == state(folder)


def test_code_that_is_missing_is_an_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "only_here.py").write_text("def f(item): return item\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    work = pickle.dumps((__import__("only_here").f, [1]))
    error = answer(request([], work=work))
    assert isinstance(error, ConsilienceError)
    assert "No module named 'only_here'" in str(error)


def test_stop_ends_the_requests_of_a_session() -> None:
    replies: list[bytes | None] = []
    waiting = pickle.dumps(request(["__import__('time').sleep(60)"]))
    thread = threading.Thread(target=lambda: replies.append(remote.run("stopped", waiting)))
    thread.start()
    while not remote._helpers:
        time.sleep(0.01)
    [(_, helper)] = remote._helpers
    remote.stop("another")
    assert helper.poll() is None
    remote.stop("stopped")
    thread.join(timeout=30)
    assert replies == [None]
    assert not remote._helpers
    with pytest.raises(ProcessLookupError):
        os.kill(helper.pid, 0)

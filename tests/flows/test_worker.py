"""A worker ends with its server, and everything that it started ends with it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from consilience.core.errors import ConsilienceError
from consilience.flows.worker import supervise, wait_for_server

# Ignores SIGTERM, as Prefect's worker does while it waits for its server, and has a child.
STUBBORN = """
import pathlib, signal, subprocess, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
pathlib.Path(sys.argv[1]).write_text(str(child.pid))
time.sleep(600)
"""


def stubborn(tmp_path: Path) -> tuple[list[str], Path]:
    return [sys.executable, "-c", STUBBORN, str(tmp_path / "pid")], tmp_path / "pid"


def is_running(pid: int) -> bool:
    return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE


def test_a_worker_whose_server_stays_gone_is_ended_with_its_runs(tmp_path: Path) -> None:
    command, file = stubborn(tmp_path)

    def answers() -> bool:
        return not file.is_file()  # the server is gone once the worker runs

    with pytest.raises(ConsilienceError, match=r"has not answered for 0\.3 s"):
        supervise(command, 0.3, answers, look_s=0.1, grace_s=0.5)
    assert not is_running(int(file.read_text()))


def test_runs_are_swept_while_the_server_answers() -> None:
    answers, swept = iter([True, False, False]), list[float]()
    command = [sys.executable, "-c", "import time; time.sleep(2)"]
    supervise(
        *(command, 60.0, lambda: next(answers, False)),
        look_s=0.2,
        sweep=lambda: swept.append(time.monotonic()),
        sweep_s=0.0,
    )
    assert len(swept) == 1


def test_a_worker_waits_for_a_server_that_starts_with_it() -> None:
    answers, lines = iter([False, False, True]), list[str]()
    wait_for_server(60.0, lines.append, lambda: next(answers), look_s=0.01)
    assert lines == ["waiting for the server"]
    with pytest.raises(ConsilienceError, match=r"has not answered for 0\.05 s"):
        wait_for_server(0.05, lines.append, lambda: False, look_s=0.01)


def test_a_short_absence_of_the_server_ends_nothing() -> None:
    answers = iter([True, False, True, False, True])
    command = [sys.executable, "-c", "import time; time.sleep(1.5)"]
    supervise(command, 1.0, lambda: next(answers, True), look_s=0.2)


def test_a_signal_ends_the_worker_without_an_error(tmp_path: Path) -> None:
    command, file = stubborn(tmp_path)

    def send() -> None:
        while not file.is_file():
            time.sleep(0.05)
        os.kill(os.getpid(), signal.SIGTERM)

    thread = threading.Thread(target=send)
    thread.start()
    supervise(command, 60.0, lambda: True, look_s=0.1, grace_s=0.5)
    thread.join()
    assert not is_running(int(file.read_text()))


def test_a_worker_that_fails_is_an_error() -> None:
    with pytest.raises(ConsilienceError, match="exit status 3"):
        supervise([sys.executable, "-c", "raise SystemExit(3)"], 60.0, lambda: True, look_s=0.1)


GUARDED = """
import sys
from consilience.core.processes import guard_children
from consilience.flows.worker import supervise

guard_children()
supervise(sys.argv[1:], 60.0, lambda: True, look_s=0.1)
"""


@pytest.mark.parametrize("victim", ["supervisor", "worker"])
def test_what_a_killed_worker_started_ends_too(tmp_path: Path, victim: str) -> None:
    command, file = stubborn(tmp_path)
    with subprocess.Popen([sys.executable, "-c", GUARDED, *command]) as supervisor:
        until(file.is_file)
        child = psutil.Process(int(file.read_text()))
        worker = child.parent()
        assert worker is not None
        os.kill(supervisor.pid if victim == "supervisor" else worker.pid, signal.SIGKILL)
        until(lambda: not is_running(child.pid) and not is_running(worker.pid))


def until(check: Callable[[], bool], limit_s: float = 60.0) -> None:
    end_s = time.monotonic() + limit_s
    while not check():
        assert time.monotonic() < end_s
        time.sleep(0.1)

"""Signals of programs that run in processes of their own, in a process group of their own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable

import pytest

from consilience.core.termination import LINE

IsRunning = Callable[[int], bool]

START = """
import subprocess, sys, time
from consilience.core import termination
def start():
    child = subprocess.Popen(["sleep", "60"])
    print(child.pid, flush=True)
    return child
"""
EXITS = f"{START}termination.exit_at_signals(); start(); time.sleep(60)"
RUNS = f"""{START}
import asyncio
async def work():
    child = start()
    try:
        await asyncio.sleep(60)
    finally:
        child.kill()
        await asyncio.sleep(CLEANING)
        print("cleaned", flush=True)
termination.run(work())
"""
KEYBOARD = f"""{START}
termination.exit_at_signals()
child = termination.beyond_the_keyboard(start)
signals = __import__("signal")
signals.signal(signals.SIGINT, signals.SIG_IGN)
print("ready", flush=True)
time.sleep(1)
print(child.poll(), flush=True)
child.kill()
"""


def started(code: str) -> tuple[subprocess.Popen[str], int]:
    """Start a program; return it, and the process that it has started."""
    process = subprocess.Popen(
        [sys.executable, "-c", code],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stdout is not None
    return process, int(process.stdout.readline())


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_a_process_and_its_children_with_one_line(
    number: signal.Signals, status: int, is_running: IsRunning
) -> None:
    process, child = started(EXITS)
    process.send_signal(number)
    printed, errors = process.communicate(timeout=20)
    assert (process.returncode, printed, errors) == (status, "", LINE.decode())
    until_s = time.monotonic() + 10
    while is_running(child) and time.monotonic() < until_s:  # a busy machine ends it later
        time.sleep(0.01)
    assert not is_running(child)


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_cancels_a_coroutine_and_waits_for_its_end(
    number: signal.Signals, status: int
) -> None:
    process, _ = started(RUNS.replace("CLEANING", "0.5"))
    process.send_signal(number)
    printed, errors = process.communicate(timeout=20)
    assert (process.returncode, printed, errors) == (status, "cleaned\n", LINE.decode())


def test_a_second_signal_does_not_wait() -> None:
    process, _ = started(RUNS.replace("CLEANING", "60"))
    process.send_signal(signal.SIGINT)
    assert process.stderr is not None
    assert process.stderr.readline() == LINE.decode()
    process.send_signal(signal.SIGINT)
    printed, _ = process.communicate(timeout=20)
    assert (process.returncode, printed) == (130, "")


def test_the_result_of_a_coroutine_is_returned_and_its_failure_raised() -> None:
    for work, status in (("return 3", 3), ("raise ValueError", 1)):
        code = f"{START}\nasync def work(): {work}\nsys.exit(termination.run(work()))"
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False)
        assert done.returncode == status
    assert b"ValueError" in done.stderr


def test_the_keyboard_does_not_reach_the_children_of_a_function() -> None:
    process, _ = started(KEYBOARD)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    os.killpg(process.pid, signal.SIGINT)
    assert process.communicate(timeout=20)[0] == "None\n"

"""SIGINT and SIGTERM end a program with one line, no process left, and exit code 130 or 143.

The module is imported before all others, which takes seconds, and so imports little itself.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Coroutine
from contextlib import suppress
from functools import partial
from types import FrameType
from typing import Any, TypeVar

SIGNALS = (signal.SIGINT, signal.SIGTERM)
LINE = b"error: interrupted; start it again to continue\n"
POLL_S = 0.2

T = TypeVar("T")


def exit_at_signals() -> None:
    """Let SIGINT and SIGTERM end this process and its children at once."""
    _handle(_exit)


def beyond_the_keyboard(start: Callable[[], T]) -> T:
    """Call a function whose child processes shall not receive the SIGINT of a terminal."""
    # Children inherit the signals that the thread blocks; the main thread still receives them.
    blocked = (signal.SIG_BLOCK, {signal.SIGINT})
    return _in_thread(start, initializer=signal.pthread_sigmask, initargs=blocked)


def run(work: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine to its end; a first signal cancels it, a second one ends the process.

    It runs in a thread, because Prefect handles SIGTERM in the main thread, by an exception in
    whatever task runs at the time.

    Raises
    ------
    SystemExit
        If a signal stopped it, after its end.
    """
    import asyncio
    import logging

    loop = asyncio.new_event_loop()
    task = loop.create_task(work)
    received: list[int] = []

    def cancel(number: int, _frame: FrameType | None) -> None:
        received.append(number)
        exit_at_signals()
        os.write(sys.stderr.fileno(), LINE)
        logging.disable()  # of cancelled tasks
        loop.call_soon_threadsafe(task.cancel)

    _handle(cancel)
    try:
        return _in_thread(partial(loop.run_until_complete, task))
    except BaseException:
        if not received:
            raise
        raise SystemExit(128 + received[0]) from None


def _in_thread(work: Callable[[], T], **options: Any) -> T:
    """Return the result of a function that runs in a thread, while this one handles signals."""
    from concurrent.futures import ThreadPoolExecutor, wait

    with ThreadPoolExecutor(1, **options) as thread:
        future = thread.submit(work)
        while not future.done():
            wait([future], POLL_S)  # the system may give a signal to any thread: wake up for it
        return future.result()


def _handle(handler: Callable[[int, FrameType | None], None]) -> None:
    for number in SIGNALS:
        signal.signal(number, handler)


def _exit(number: int, _frame: FrameType | None) -> None:
    import psutil

    for number_ in SIGNALS:
        signal.signal(number_, signal.SIG_IGN)
    for child in psutil.Process().children(recursive=True):
        with suppress(psutil.NoSuchProcess):
            child.kill()
    os.write(sys.stderr.fileno(), LINE)
    os._exit(128 + number)

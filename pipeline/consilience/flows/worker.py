"""A worker of Prefect that ends when its server stays gone, also while it waits for the server.

Prefect's own worker waits without end for a server that does not come back, and does not react to a
signal meanwhile. A service manager starts this one again.
"""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress

import psutil

from consilience.core.errors import ConsilienceError

LOOK_S = 5.0  # from one look at the server to the next
SWEEP_S = 30.0  # from one search for runs without a process to the next
KILL_S = 5.0  # for the system to end what was killed
GRACE_S = 60.0  # for runs to end after a signal: a cancel takes up to 14 s on a busy machine


def worker_command(pool: str, name: str) -> list[str]:
    """Return the command of Prefect's worker."""
    program = [sys.executable, "-m", "consilience.flows.prefect_worker"]
    return [*program, "worker", "start", "--pool", pool, "--name", name]


def server_answers() -> bool:
    """Return whether the server of the settings answers."""
    from prefect.client.orchestration import get_client  # slow to import

    with get_client(sync_client=True) as client:
        return client.api_healthcheck() is None


def wait_for_server(
    limit_s: float,
    emit: Callable[[str], None],
    answers: Callable[[], bool] = server_answers,
    look_s: float = LOOK_S,
) -> None:
    """Wait until the server answers: after a start of the machine it needs longer than a worker.

    Parameters
    ----------
    limit_s : float
        Longest wait in s.
    emit : callable
        Called with the line to print if the server does not answer at once.
    answers, look_s
        As in `supervise`.

    Raises
    ------
    ConsilienceError
        If the server has not answered until then.
    """
    began_s = time.monotonic()
    is_printed = False
    while not answers():
        if time.monotonic() - began_s > limit_s:
            raise _gone(limit_s)
        if not is_printed:
            emit("waiting for the server")
            is_printed = True
        time.sleep(look_s)


def _gone(seconds: float) -> ConsilienceError:
    return ConsilienceError(
        f"the server has not answered for {seconds:g} s",
        "worker",
        "start the server, then the worker",
    )


def supervise(
    command: Sequence[str],
    server_timeout_s: float,
    answers: Callable[[], bool] = server_answers,
    look_s: float = LOOK_S,
    grace_s: float = GRACE_S,
    sweep: Callable[[], object] = list,
    sweep_s: float = SWEEP_S,
) -> None:
    """Run a worker until it ends, a signal arrives, or its server is gone for too long.

    Parameters
    ----------
    command : sequence of str
        Of the worker.
    server_timeout_s : float
        Longest time without an answer of the server.
    answers : callable
        Returns whether the server answers.
    look_s, grace_s : float
        Interval of looks at the server, and time to end after a signal.
    sweep, sweep_s : callable, float
        Called every `sweep_s` while the server answers. A run of a worker that was killed may end
        after the start of this one.

    Raises
    ------
    ConsilienceError
        If the server stayed gone, or the worker failed.
    """
    with subprocess.Popen(command, stdin=subprocess.DEVNULL) as process:
        is_stopped = False

        def stop(_number: int, _frame: object) -> None:
            nonlocal is_stopped
            is_stopped = True

        former = {number: signal.signal(number, stop) for number in (signal.SIGTERM, signal.SIGINT)}
        try:
            answered_s = swept_s = time.monotonic()
            while process.poll() is None and not is_stopped:
                if answers():
                    answered_s = time.monotonic()
                    if answered_s - swept_s >= sweep_s:
                        sweep()
                        swept_s = time.monotonic()
                elif time.monotonic() - answered_s > server_timeout_s:
                    raise _gone(server_timeout_s)
                _wait(process, look_s)
            if not is_stopped and process.returncode:
                raise ConsilienceError(
                    f"it ended with exit status {process.returncode}", "worker", "see its lines"
                )
        finally:
            _end(process, grace_s)
            for number, handler in former.items():
                signal.signal(number, handler)


def _wait(process: subprocess.Popen[bytes], seconds: float) -> None:
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        return


def _end(process: subprocess.Popen[bytes], grace_s: float) -> None:
    """End a worker and the runs that it started; kill what remains after a while."""
    if process.poll() is not None:
        return
    worker = psutil.Process(process.pid)
    programs = [worker, *worker.children(recursive=True)]
    process.terminate()
    _, remaining = psutil.wait_procs(programs, grace_s)
    for program in remaining:
        with suppress(psutil.NoSuchProcess):
            program.kill()
    psutil.wait_procs(remaining, KILL_S)

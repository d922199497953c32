"""Parallel map over recordings: joblib processes, one numerical thread each, with progress."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, NoReturn, TypeVar

import joblib
from joblib.externals.loky.process_executor import BrokenProcessPool
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from threadpoolctl import threadpool_limits

from consilience.core.errors import ConsilienceError
from consilience.core.processes import end_with_parent, from_main_thread

Item = TypeVar("Item")
Result = TypeVar("Result")

_limit_lock = threading.Lock()
_limits: list[Any] = []  # one entry per caller inside `one_numerical_thread`

EXECUTOR = "CONSILIENCE_EXECUTOR"
LOST = "a worker process was ended by the system, perhaps for lack of memory"
LOG_EVERY_S = 10.0  # interval of progress lines where a progress bar cannot be drawn


def workers() -> int:
    """Return the number of processes: ``CONSILIENCE_WORKERS``, or one per available core.

    It changes speed and never an output, and is therefore not a parameter.
    """
    return int(os.environ.get("CONSILIENCE_WORKERS", 0)) or len(os.sched_getaffinity(0))


def on_cluster() -> bool:
    """Return whether ``CONSILIENCE_EXECUTOR`` selects a cluster instead of this machine.

    As the number of workers, it changes no output.
    """
    return os.environ.get(EXECUTOR, "") not in ("", "local")


@contextmanager
def one_numerical_thread() -> Iterator[None]:
    """Limit numerical libraries to one thread, so that sums are added in one order.

    The limit is the process's own: if several Python threads set it, the
    first sets it and the last removes it.
    """
    with _limit_lock:
        _limits.append(None if _limits else threadpool_limits(1))
    try:
        yield
    finally:
        with _limit_lock:
            limit = next((entry for entry in _limits if entry is not None), None)
            _limits.remove(None if None in _limits else limit)
            if not _limits and limit is not None:
                limit.restore_original_limits()


def parallel_map(
    function: Callable[[Item], Result], items: Sequence[Item], title: str
) -> list[Result]:
    """Apply a function to every item and show progress on standard error.

    Numerical libraries get one thread each, so that results do not depend on
    the number of workers. Items whose worker process the system ended, for lack of memory for
    example, are repeated once.

    Parameters
    ----------
    function : callable
        A module-level function or a `functools.partial` of one.
    items : sequence
        Arguments, one call each.
    title : str
        Text of the progress line.

    Returns
    -------
    list
        Results in the order of `items`.

    Raises
    ------
    ConsilienceError
        If the system ended a worker process twice.
    """
    if on_cluster():
        from consilience.core.executor import cluster_map  # not used on one machine

        return cluster_map(function, items, title, threading.TIMEOUT_MAX, partial(_lost, title))
    with one_numerical_thread():
        return with_progress(_twice(function, items, title), len(items), title)


def _twice(
    function: Callable[[Item], Result], items: Sequence[Item], title: str
) -> Generator[Result, None, None]:
    """Yield the results; after the loss of a worker, compute what is missing once more."""
    done, n_workers = 0, min(workers(), len(items)) or 1
    for last_try in (False, True):
        try:
            for result in _computed(function, items[done:], n_workers):
                done += 1
                yield result
            return
        except BrokenProcessPool:
            if last_try:
                _lost(title)
            report(f"{title}: {LOST}; {len(items) - done} of {len(items)} are repeated")


def _lost(title: str, *_: object) -> NoReturn:
    remedy = "set CONSILIENCE_WORKERS to a smaller number"
    raise ConsilienceError(f"{LOST}, twice", title, remedy) from None


def _computed(
    function: Callable[[Item], Result], items: Sequence[Item], n_workers: int
) -> Iterator[Result]:
    jobs = (joblib.delayed(function)(item) for item in items)
    with joblib.parallel_config(
        "loky",
        inner_max_num_threads=1,
        n_jobs=n_workers,
        initializer=end_with_parent,
        initargs=(os.getpid(), from_main_thread()),
    ):
        yield from joblib.Parallel(return_as="generator")(jobs)


def with_progress(results: Iterable[Result], total: int, title: str) -> list[Result]:
    """Collect results, and show their number on standard error while they are computed."""
    collected: list[Result] = []
    with _progress_bar() as progress:
        task = progress.add_task(title, total=total)
        logged_s = time.monotonic()
        for result in results:
            collected.append(result)
            progress.advance(task)
            if progress.disable and time.monotonic() - logged_s > LOG_EVERY_S:
                report(f"{title}: {len(collected)} of {total}")
                logged_s = time.monotonic()
    return collected


def report(line: str) -> None:
    """Print a line on standard error."""
    print(line, file=sys.stderr, flush=True)


def _progress_bar() -> Progress:
    """Return a progress bar on standard error, disabled unless that is a terminal."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        disable=not sys.stderr.isatty(),
    )

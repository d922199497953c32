"""Parallel map over recordings in worker processes that a malformed file may hang or crash.

Readers are C libraries that malformed files can cause to hang, to crash or to allocate all memory.
Each file is therefore opened in a worker process with limits of time and memory. A worker that
exceeds its time leaves a note. If a worker ends in another way, the files being read at that moment
are repeated one at a time: a file whose worker ends again is the cause, the others are completed.
"""

from __future__ import annotations

import faulthandler
import math
import os
import resource
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeVar

from consilience.core.workers import LOG_EVERY_S, progress_bar, workers

Item = TypeVar("Item")
Result = TypeVar("Result")

THREADS = ("OMP", "OPENBLAS", "MKL", "NUMBA", "NUMEXPR", "VECLIB_MAXIMUM")
MIN_BYTES = 2 * 2**30  # memory of a worker, for any number of workers

_pools: dict[int, ProcessPoolExecutor] = {}  # by number of workers
_pools_lock = threading.Lock()


def isolated_map(
    function: Callable[[Item], Result],
    items: Sequence[Item],
    title: str,
    limit_s: float,
    on_loss: Callable[[Item, str], Result],
) -> list[Result]:
    """Apply a function to every item in worker processes that may end early, and show progress.

    Parameters
    ----------
    function : callable
        A module-level function or a `functools.partial` of one.
    items : sequence
        Arguments, one call each.
    title : str
        Text of the progress line.
    limit_s : float
        Seconds after which an item counts as hanging; ``CONSILIENCE_LIMIT_S`` takes precedence.
        It must be far longer than any valid item takes, or results would depend on the machine. If
        it is infinite, every item is computed in this process.
    on_loss : callable
        Returns the result of an item whose worker ended, from the item and the reason.

    Returns
    -------
    list
        Results in the order of `items`.
    """
    limit_s = float(os.environ.get("CONSILIENCE_LIMIT_S", 0)) or limit_s
    results: dict[int, Result] = {}
    with progress_bar() as progress:
        task = progress.add_task(title, total=len(items))
        logged_s = time.monotonic()
        for index, result in _each(function, items, limit_s, on_loss):
            results[index] = result
            progress.advance(task)
            if progress.disable and time.monotonic() - logged_s > LOG_EVERY_S:
                print(f"{title}: {len(results)} of {len(items)}", file=sys.stderr, flush=True)
                logged_s = time.monotonic()
    return [results[index] for index in range(len(items))]


def _each(
    function: Callable[[Item], Result],
    items: Sequence[Item],
    limit_s: float,
    on_loss: Callable[[Item, str], Result],
) -> Generator[tuple[int, Result], None, None]:
    todo = deque(range(len(items)))
    while todo and math.isinf(limit_s):
        index = todo.popleft()
        yield index, function(items[index])
    with TemporaryDirectory(ignore_cleanup_errors=True) as notes:
        run = partial(_until_lost, function, items, limit_s=limit_s, notes=Path(notes))
        while todo:
            for index in (yield from run(todo, workers())):
                hung = _hung(Path(notes), index)
                if hung or (yield from run(deque([index]), 1)):
                    reason = (
                        f"its reader was not finished after {limit_s:g} s"
                        if hung or _hung(Path(notes), index)
                        else "its reader crashed or exceeded the memory limit"
                    )
                    yield index, on_loss(items[index], f"{reason} (export it again)")


def _hung(notes: Path, index: int) -> bool:
    """Return whether the worker that read an item exceeded its time."""
    note = notes / str(index)
    return note.is_file() and note.stat().st_size > 0


def _until_lost(
    function: Callable[[Item], Result],
    items: Sequence[Item],
    todo: deque[int],
    n_at_once: int,
    limit_s: float,
    notes: Path,
) -> Generator[tuple[int, Result], None, list[int]]:
    """Yield results until all are computed or a worker ends; return the items it may have read.

    Only as many items are submitted as there are workers, so that few have to be repeated.
    """
    n_workers = workers()
    running: dict[Future[Any], int] = {}
    while todo or running:
        try:
            while todo and len(running) < n_at_once:
                item, note = items[todo[0]], notes / str(todo[0])
                future = _pool(n_workers).submit(_limited, function, item, limit_s, note)
                running[future] = todo.popleft()
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                result = future.result()
                yield running.pop(future), result
        except BrokenProcessPool:
            _discard(n_workers)
            return sorted(running.values())
    return []


def _pool(n_workers: int) -> ProcessPoolExecutor:
    """Return the pool with this number of workers, created again if a worker ended."""
    with _pools_lock:
        if n_workers not in _pools:
            physical = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
            _pools[n_workers] = ProcessPoolExecutor(
                n_workers,
                mp_context=get_context("spawn"),
                initializer=_limit_resources,
                initargs=(max(MIN_BYTES, physical // n_workers),),
            )
        return _pools[n_workers]


def _discard(n_workers: int) -> None:
    """Shut down a pool that lost a worker, unless another thread already has replaced it."""
    with _pools_lock:
        pool = _pools.get(n_workers)
        # A broken executor refuses work; a sound one is another thread's replacement.
        if pool is not None and pool._broken:
            del _pools[n_workers]
            pool.shutdown(wait=False, cancel_futures=True)


def _limit_resources(memory_bytes: int) -> None:
    """Limit a worker's threads and memory, before it imports a numerical library."""
    os.environ.update({f"{name}_NUM_THREADS": "1" for name in THREADS})
    _, hard_limit = resource.getrlimit(resource.RLIMIT_DATA)
    limit = memory_bytes if hard_limit == resource.RLIM_INFINITY else min(memory_bytes, hard_limit)
    resource.setrlimit(resource.RLIMIT_DATA, (limit, hard_limit))


def _limited(function: Callable[[Item], Result], item: Item, limit_s: float, note: Path) -> Result:
    """Apply a function; end the process after `limit_s`, even within a library's code.

    The note then holds the traceback. Otherwise it is removed.
    """
    with note.open("w") as file:
        faulthandler.dump_traceback_later(limit_s, exit=True, file=file)
        try:
            return function(item)
        except Exception:
            raise
        except BaseException:  # a panic of a Rust library: the state of the process is undefined
            os._exit(1)
        finally:
            faulthandler.cancel_dump_traceback_later()
            note.unlink()

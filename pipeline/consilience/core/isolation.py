"""Recordings side by side, each where it can harm itself alone.

Readers are libraries in C that strangers' files can bring to hang, to crash or to ask for all
memory there is. So each file is opened in a worker process with a limit of time and of memory. A
worker that runs out of time leaves a note. If one is lost otherwise, those files that were being
read are tried again one at a time: the one that is lost again is the culprit, the others go on.
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
LEAST_BYTES = 2 * 2**30  # of memory to a worker, however many there are

_pools: dict[int, ProcessPoolExecutor] = {}  # by number of workers
_pools_lock = threading.Lock()


def isolated_map(
    function: Callable[[Item], Result],
    items: Sequence[Item],
    title: str,
    limit_s: float,
    on_loss: Callable[[Item, str], Result],
) -> list[Result]:
    """Apply a function to every item in worker processes that may be lost, and show progress.

    Parameters
    ----------
    function : callable
        A module-level function or a `functools.partial` of one.
    items : sequence
        Its arguments.
    title : str
        What the progress line says.
    limit_s : float
        Seconds after which an item counts as hanging; ``CONSILIENCE_LIMIT_S`` has precedence. It
        must be far longer than any honest item takes, or results would depend on the machine. If
        it is infinite, all is done in this process.
    on_loss : callable
        Gives the result of an item whose worker was lost, from the item and the reason.

    Returns
    -------
    list
        Results in the order of `items`.
    """
    limit_s = float(os.environ.get("CONSILIENCE_LIMIT_S", 0)) or limit_s
    results: dict[int, Result] = {}
    with progress_bar() as progress:
        task = progress.add_task(title, total=len(items))
        told_s = time.monotonic()
        for index, result in _each(function, items, limit_s, on_loss):
            results[index] = result
            progress.advance(task)
            if progress.disable and time.monotonic() - told_s > LOG_EVERY_S:
                print(f"{title}: {len(results)} of {len(items)}", file=sys.stderr, flush=True)
                told_s = time.monotonic()
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
                        f"its reader was not done after {limit_s:g} s"
                        if hung or _hung(Path(notes), index)
                        else "its reader crashed, or needs more memory than there is"
                    )
                    yield index, on_loss(items[index], f"{reason} (export it again)")


def _hung(notes: Path, index: int) -> bool:
    """Say whether the worker that read an item ran out of time."""
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
    """Yield results until all is done or a worker is lost; return what was being worked on then.

    No more is handed out than is worked on, so that few are suspected.
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
    """Return a pool of workers, the same as the last time unless it was lost."""
    with _pools_lock:
        if n_workers not in _pools:
            physical = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
            _pools[n_workers] = ProcessPoolExecutor(
                n_workers,
                mp_context=get_context("spawn"),
                initializer=_begin,
                initargs=(max(LEAST_BYTES, physical // n_workers),),
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


def _begin(memory_bytes: int) -> None:
    """Prepare a worker, before it imports anything that computes."""
    os.environ.update({f"{name}_NUM_THREADS": "1" for name in THREADS})
    _, most = resource.getrlimit(resource.RLIMIT_DATA)
    limit = memory_bytes if most == resource.RLIM_INFINITY else min(memory_bytes, most)
    resource.setrlimit(resource.RLIMIT_DATA, (limit, most))


def _limited(function: Callable[[Item], Result], item: Item, limit_s: float, note: Path) -> Result:
    """Apply a function; end the process if it takes too long, even within a library.

    The note is then where it stood, and else removed.
    """
    with note.open("w") as file:
        faulthandler.dump_traceback_later(limit_s, exit=True, file=file)
        try:
            return function(item)
        except Exception:
            raise
        except BaseException:  # a panic of a library in Rust; nothing after it can be trusted
            os._exit(1)
        finally:
            faulthandler.cancel_dump_traceback_later()
            note.unlink()

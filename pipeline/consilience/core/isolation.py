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
import pickle
import resource
import threading
from collections import deque
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from functools import lru_cache, partial
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeVar

from threadpoolctl import threadpool_limits

from consilience.core.memory import available_bytes
from consilience.core.processes import end_with_parent, from_main_thread
from consilience.core.workers import on_cluster, report, with_progress, workers

Item = TypeVar("Item")
Result = TypeVar("Result")

THREADS = ("OMP", "OPENBLAS", "MKL", "NUMBA", "NUMEXPR", "VECLIB_MAXIMUM")
MIN_BYTES = 2 * 2**30  # memory of a worker; where it is short, fewer workers run

# By number of workers, and whether they are children of the main thread: the system may end a
# worker with the thread that started it.
_pools: dict[tuple[int, bool], ProcessPoolExecutor] = {}
_pools_lock = threading.Lock()


def isolated_map(
    function: Callable[[Item], Result],
    items: Sequence[Item],
    title: str,
    limit_s: float,
    on_loss: Callable[[Item, str], Result],
    limit_factor: float = 1.0,
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
        it is infinite, every item is computed in this process, never on a cluster.
    on_loss : callable
        Returns the result of an item whose worker ended, from the item and the reason.
    limit_factor : float
        Multiplies ``CONSILIENCE_LIMIT_S``, which is meant for one file, for items of many.

    Returns
    -------
    list
        Results in the order of `items`.
    """
    limit_s = limit_factor * float(os.environ.get("CONSILIENCE_LIMIT_S", 0)) or limit_s
    if on_cluster() and math.isfinite(limit_s):
        from consilience.core.executor import cluster_map  # not used on one machine

        return cluster_map(function, items, title, limit_s, on_loss)
    pairs = guarded(function, items, title, limit_s, on_loss, workers())
    results = dict(with_progress(pairs, len(items), title))
    return [results[index] for index in range(len(items))]


def guarded(
    function: Callable[[Item], Result],
    items: Sequence[Item],
    title: str,
    limit_s: float,
    on_loss: Callable[[Item, str], Result],
    n_at_once: int,
) -> Generator[tuple[int, Result], None, None]:
    """Yield the index and the result of each item in worker processes on this machine.

    Parameters
    ----------
    function, items, title, limit_s, on_loss
        See `isolated_map`.
    n_at_once : int
        Number of items in work; a worker has its share of the memory by `workers`.
    """
    todo = deque(range(len(items)))
    while todo and math.isinf(limit_s):
        index = todo.popleft()
        yield index, function(items[index])
    if not todo:
        return
    with TemporaryDirectory(ignore_cleanup_errors=True) as notes:
        # Once for all items: of 10,000 files, four fifths of the time went into sending it.
        shared = Path(notes) / "function"
        shared.write_bytes(pickle.dumps(function))
        run = partial(_until_lost, shared, items, limit_s=limit_s, notes=Path(notes))
        while todo:
            lost = yield from run(todo, n_at_once)
            if lost:
                report(f"{title}: a worker process ended; {len(lost)} items are repeated singly")
            for index in lost:
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
    function: Path,
    items: Sequence[Item],
    todo: deque[int],
    n_at_once: int,
    limit_s: float,
    notes: Path,
) -> Generator[tuple[int, Result], None, list[int]]:
    """Yield results until all are computed or a worker ends; return the items it may have read.

    Only as many items are submitted as there are workers, so that few have to be repeated.
    """
    running: dict[Future[Any], int] = {}
    while todo or running:
        pool = _pool()
        try:
            while todo and len(running) < n_at_once:
                item, note = items[todo[0]], notes / str(todo[0])
                future = pool.submit(_limited, function, item, limit_s, note)
                running[future] = todo.popleft()
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                result = future.result()
                yield running.pop(future), result
        except BrokenProcessPool:
            _discard(pool)
            return sorted(running.values())
    return []


def _pool() -> ProcessPoolExecutor:
    """Return the pool of this thread's kind and number of workers, anew if a worker ended."""
    key = workers(), from_main_thread()
    with _pools_lock:
        pool = _pools.get(key)
        if pool is None:
            memory_bytes = available_bytes()
            n_workers = max(1, min(workers(), memory_bytes // MIN_BYTES))
            pool = _pools[key] = ProcessPoolExecutor(
                n_workers,
                mp_context=get_context("spawn"),
                initializer=_start_worker,
                initargs=(max(MIN_BYTES, memory_bytes // n_workers), os.getpid(), key[1]),
            )
        return pool


def _discard(broken: ProcessPoolExecutor) -> None:
    """Shut down a pool that lost a worker, unless another thread already has replaced it."""
    with _pools_lock:
        for key, pool in list(_pools.items()):
            if pool is broken:
                del _pools[key]
                pool.shutdown(wait=False, cancel_futures=True)


def _start_worker(memory_bytes: int, parent: int, by_system: bool) -> None:
    """Limit a worker's numerical threads and memory."""
    end_with_parent(parent, by_system)
    threadpool_limits(1)  # of libraries that are loaded already, such as NumPy's
    os.environ.update({f"{name}_NUM_THREADS": "1" for name in THREADS})  # of all others
    _, hard_limit = resource.getrlimit(resource.RLIMIT_DATA)
    limit = memory_bytes if hard_limit == resource.RLIM_INFINITY else min(memory_bytes, hard_limit)
    resource.setrlimit(resource.RLIMIT_DATA, (limit, hard_limit))


def _limited(function: Path, item: Any, limit_s: float, note: Path) -> Any:
    """Apply the function in a file; end the process after `limit_s`, even within a library's code.

    The note then holds the traceback. Otherwise it is removed.
    """
    with note.open("w") as file:
        faulthandler.dump_traceback_later(limit_s, exit=True, file=file)
        try:
            return _loaded(function)(item)
        except Exception:
            raise
        except BaseException:  # a panic of a Rust library: the state of the process is undefined
            os._exit(1)
        finally:
            faulthandler.cancel_dump_traceback_later()
            note.unlink()


@lru_cache(maxsize=4)
def _loaded(function: Path) -> Callable[[Any], Any]:
    """Return the function in a file; the name of the file is that of one map."""
    loaded: Callable[[Any], Any] = pickle.loads(function.read_bytes())
    return loaded

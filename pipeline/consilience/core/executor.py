"""Parallel map over recordings on a Dask or Ray cluster with shared storage.

``CONSILIENCE_EXECUTOR`` selects the cluster; by default the items are computed on this machine.
The cluster's scheduler receives requests of several items each, as bytes; `consilience.core.remote`
computes them on its workers. The client libraries are imported by name: they change no result, so
code fingerprints must not contain their versions.
"""

from __future__ import annotations

import importlib.util
import io
import logging
import os
import pickle
import secrets
import socket
import threading
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from contextlib import ExitStack, contextmanager, suppress
from functools import cache, partial
from pathlib import Path
from typing import Any, ClassVar, Protocol, TypeVar
from weakref import WeakKeyDictionary

from consilience.core import study
from consilience.core.errors import ConsilienceError
from consilience.core.files import TEMPORARY, project_of, temporary_folder
from consilience.core.fingerprint import PACKAGE
from consilience.core.remote import DOCS, Loss, Request, code_of, run, state, stop
from consilience.core.workers import EXECUTOR, LOG_EVERY_S, report, with_progress

Item = TypeVar("Item")
Result = TypeVar("Result")

CONNECT_S = 4.0  # to reach the port, before the client library is started
ABSENT_S = 600.0  # without any worker, after which the map fails: a run at night must end
PER_SLOT = 4  # requests per processor: more balance the load, and cost a start of a process each


def cluster_map(
    function: Callable[[Item], Result],
    items: Sequence[Item],
    title: str,
    limit_s: float,
    on_loss: Callable[[Item, str], Result],
) -> list[Result]:
    """Apply a function to every item on the selected cluster; see `isolation.isolated_map`.

    Raises
    ------
    ConsilienceError
        If the cluster does not answer, or its workers lack the code or the files of this machine.
    """
    if not items:
        return []
    cluster = _connected(os.environ[EXECUTOR])
    with _shared(function, items[0]) as states:
        pack = partial(_packed, function, title, limit_s, states)
        outcomes = _outcomes(cluster, pack, items, title)
        try:
            by_index = dict(with_progress(outcomes, len(items), title))
        except BaseException:
            _connected.cache_clear()
            with suppress(Exception):  # the cluster itself may be the reason
                cluster.cancel()
            raise
    return [
        on_loss(item, outcome.reason) if isinstance(outcome, Loss) else outcome
        for item, outcome in ((item, by_index[index]) for index, item in enumerate(items))
    ]


def _outcomes(
    cluster: Cluster, pack: Callable[[Sequence[Item]], bytes], items: Sequence[Item], title: str
) -> Iterator[tuple[int, Any]]:
    """Yield the index and the result or `Loss` of each item; repeat what a lost worker had."""
    size = -(-len(items) // (PER_SLOT * max(1, cluster.n_slots())))
    todo = [range(len(items))[start : start + size] for start in range(0, len(items), size)]
    running: dict[Future[bytes | None], range] = {}
    repeated: set[int] = set()
    absent_s = 0.0
    while todo or running:
        for chunk in todo:
            running[cluster.submit(pack(items[chunk.start : chunk.stop]))] = chunk
        todo = []
        done = wait(running, LOG_EVERY_S, FIRST_COMPLETED).done
        absent_s = 0.0 if done or cluster.n_slots() else absent_s + LOG_EVERY_S
        if absent_s:
            _wait_for_worker(title, absent_s)
        for future in done:
            chunk = running.pop(future)
            reply = _reply(cluster, future)
            if reply is not None:
                yield from zip(chunk, _unpacked(reply), strict=True)
            elif chunk.start in repeated:
                yield chunk.start, Loss("the cluster's worker was lost twice with it")
            else:
                report(f"{title}: a cluster worker was lost; {len(chunk)} items are repeated")
                todo += [range(index, index + 1) for index in chunk]
                repeated.update(chunk)


def _wait_for_worker(title: str, absent_s: float) -> None:
    """Report that the cluster has no worker; raise if it has had none for too long."""
    if absent_s > ABSENT_S:
        what = f"the cluster has had no worker for {ABSENT_S:g} s"
        raise ConsilienceError(what, os.environ[EXECUTOR], f"start one, {DOCS}")
    report(f"{title}: waiting, the cluster has no worker")


@contextmanager
def _shared(function: Callable[[Any], Any], item: Any) -> Iterator[dict[Path, int | str | bool]]:
    """Yield the states of the paths that a call uses; projects have a file with a new name."""
    sender = _Sender(io.BytesIO())
    sender.dump((function, item))
    paths = sorted(sender.paths)
    with ExitStack() as stack:
        for project in sorted({project for path in paths if (project := project_of(path))}):
            mark = stack.enter_context(temporary_folder(project / TEMPORARY)) / "mark"
            mark.write_text("A cluster's worker that has this file shares the project's storage.")
            paths.append(mark)
        yield {path: of_path for path in paths if (of_path := state(path))}


def _packed(
    function: Callable[[Any], Any],
    title: str,
    limit_s: float,
    states: dict[Path, int | str | bool],
    items: Sequence[Any],
) -> bytes:
    work = io.BytesIO()
    _Sender(work).dump((function, items))
    module = str(getattr(function, "func", function).__module__)
    entry = module if module.startswith(f"{PACKAGE}.") else __name__
    of_study = study.folder()
    request = Request(title, limit_s, entry, _code(entry), states, of_study, work.getvalue())
    return pickle.dumps(request)


_code = cache(code_of)


class _Sender(pickle.Pickler):
    """Makes paths absolute, and collects them."""

    def __init__(self, file: io.BytesIO) -> None:
        super().__init__(file)
        self.paths: set[Path] = set()

    def reducer_override(self, value: Any) -> Any:
        if not isinstance(value, Path):
            return NotImplemented
        self.paths.add(value.absolute())
        return value.absolute().__reduce__()


def _unpacked(reply: bytes) -> list[Any]:
    """Return the outcomes of a request; raise the error if it is one."""
    outcomes = pickle.loads(reply)
    if isinstance(outcomes, Exception):
        raise outcomes
    return list(outcomes)


class Cluster(Protocol):
    """Client of a running cluster.

    Attributes
    ----------
    library : str
        Package of the client.
    connect_s : float
        Limit to connect.
    lost : tuple of exception classes
        Raised by a request whose worker ended.
    """

    library: ClassVar[str]
    connect_s: ClassVar[float]
    lost: tuple[type[Exception], ...]

    def __init__(self, place: str) -> None:
        """Connect to ``HOST:PORT``; raise any exception if that fails."""
        ...

    def n_slots(self) -> int:
        """Return how many requests the workers can compute at once."""
        ...

    def submit(self, request: bytes) -> Future[bytes | None]:
        """Give a request to the scheduler."""
        ...

    def cancel(self) -> None:
        """Cancel all requests, and end those that are being computed."""
        ...


class DaskCluster:
    """Client of a Dask scheduler."""

    library: ClassVar[str] = "distributed"
    connect_s: ClassVar[float] = 30.0  # 5 s were too short on a machine with a load of 50

    def __init__(self, place: str) -> None:
        distributed: Any = importlib.import_module(self.library)
        logging.getLogger("distributed").setLevel(logging.CRITICAL)  # of a lost connection
        self._client = distributed.Client(f"tcp://{place}", set_as_default=False)
        self._executor = self._client.get_executor(pure=False)
        self._session = secrets.token_hex(8)
        self.lost: tuple[type[Exception], ...] = (distributed.KilledWorker,)

    def n_slots(self) -> int:
        """Return the number of threads of all workers."""
        return sum(self._client.nthreads().values())

    def submit(self, request: bytes) -> Future[bytes | None]:
        """Submit a task."""
        future: Future[bytes | None] = self._executor.submit(run, self._session, request)
        return future

    def cancel(self) -> None:
        """Cancel the tasks; Dask cannot end a running one, so its process is ended."""
        self._executor.shutdown(wait=False)
        self._client.run(stop, self._session)
        self._client.close()


class RayCluster:
    """Client of a Ray cluster's client server."""

    library: ClassVar[str] = "ray"
    connect_s: ClassVar[float] = 120.0  # of two attempts

    def __init__(self, place: str) -> None:
        self._ray: Any = importlib.import_module(self.library)
        options = {"logging_level": logging.ERROR, "log_to_driver": False}
        connect = partial(self._ray.init, f"ray://{place}", **options)
        with warnings.catch_warnings(action="ignore"):
            try:
                connect()
            except ConnectionAbortedError:
                # Ray starts a process for each client. If that ends at once, another one may not.
                connect()
        self._run = self._ray.remote(max_retries=0)(run)
        self._references: WeakKeyDictionary[Future[bytes | None], Any] = WeakKeyDictionary()
        errors = self._ray.exceptions
        self.lost: tuple[type[Exception], ...] = (
            errors.WorkerCrashedError,
            errors.NodeDiedError,
            errors.OutOfMemoryError,
        )

    def n_slots(self) -> int:
        """Return the number of processors of all nodes."""
        return int(self._ray.cluster_resources().get("CPU", 0))

    def submit(self, request: bytes) -> Future[bytes | None]:
        """Call the remote function."""
        reference = self._run.remote("", request)
        future: Future[bytes | None] = reference.future()
        self._references[future] = reference
        return future

    def cancel(self) -> None:
        """Cancel the calls; the workers that compute are ended, and their processes with them."""
        for reference in self._references.values():
            self._ray.cancel(reference, force=True)
        self._ray.shutdown()


CLUSTERS: dict[str, type[Cluster]] = {"dask": DaskCluster, "ray": RayCluster}


@cache
def _connected(setting: str) -> Cluster:
    """Return the client of a cluster; the connection is kept until a map fails."""
    extra, _, place = setting.partition("://")
    host, _, port = place.rpartition(":")
    if extra not in CLUSTERS or not host or not port.isdecimal():
        remedy = "use local, dask://HOST:PORT or ray://HOST:PORT"
        raise ConsilienceError(f"invalid executor: '{setting}'", EXECUTOR, remedy)
    kind = CLUSTERS[extra]
    if importlib.util.find_spec(kind.library) is None:
        remedy = f"run pip install 'consilience[{extra}]'"
        raise ConsilienceError(f"'{kind.library}' is not installed", EXECUTOR, remedy)
    try:
        socket.create_connection((host, int(port)), CONNECT_S).close()
        return _within(kind.connect_s, partial(kind, place))
    except Exception as error:  # of the system or of the client library
        what = f"{setting} does not answer: {_described(error)}"
        remedy = f"start the cluster or correct the address, {DOCS}"
        raise ConsilienceError(what, EXECUTOR, remedy) from None


def _within(limit_s: float, connect: Callable[[], Cluster]) -> Cluster:
    """Return a connection, or raise TimeoutError: Dask waits without end for some other servers."""
    connected: Future[Cluster] = Future()

    def attempt() -> None:
        try:
            connected.set_result(connect())
        except BaseException as error:
            connected.set_exception(error)

    threading.Thread(target=attempt, name="connect", daemon=True).start()
    return connected.result(limit_s)


def _reply(cluster: Cluster, future: Future[bytes | None]) -> bytes | None:
    """Return the reply to a request that ended; None if its worker was lost."""
    try:
        return future.result()
    except cluster.lost:
        return None
    except Exception as error:  # the scheduler ended, or a worker cannot import this package
        what = f"the cluster failed: {_described(error)}"
        remedy = f"its log has the reason; the same environment must be installed there, {DOCS}"
        raise ConsilienceError(what, os.environ[EXECUTOR], remedy) from None


def _described(error: Exception) -> str:
    """Return the kind of an error, and the first and last line of its text, which may be long."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    text = " ".join(dict.fromkeys([*lines[:1], *lines[-1:]]))
    return f"{type(error).__name__}: {text}".rstrip(": ")[:300]

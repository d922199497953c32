"""Items are computed on a Dask or Ray cluster of two workers as on this machine."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from functools import cache, partial
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest

from consilience import params
from consilience.core import executor, workers
from consilience.core.errors import ConsilienceError
from consilience.core.isolation import isolated_map
from consilience.core.workers import EXECUTOR, parallel_map
from consilience.preparation import recordings_to_windows
from consilience.project import Project
from consilience.synthesis.run import synthesize
from consilience.windows import build
from tests.conftest import SMALL

HOST = "127.0.0.1"
NO_TOKEN = ("RAY_AUTH_MODE", "disabled")
KILL_WORKER = "__import__('psutil').Process().parents()[1].kill()"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def keep(item: str, reason: str) -> str:
    return reason


evaluate = partial(isolated_map, eval, title="test", limit_s=60, on_loss=keep)


class Programs:
    """Programs of a cluster, each the leader of a process group, with a log of all."""

    def __init__(self, log: Path) -> None:
        self.log = log
        self.started: list[subprocess.Popen[bytes]] = []

    def start(self, *command: str, **environment: str) -> None:
        with self.log.open("ab") as log:
            self.started.append(
                subprocess.Popen(
                    [sys.executable, "-m", *command],
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    # Compiling the package for every request takes longer than the request.
                    env={**os.environ, "PYTHONDONTWRITEBYTECODE": "", **environment},
                    start_new_session=True,
                )
            )

    def wait_until(self, ready: Callable[[], bool]) -> None:
        until_s = time.monotonic() + 120
        while not ready():
            ended = [program.args for program in self.started if program.poll() is not None]
            assert not ended, f"{ended} ended: {self.log.read_text()[-3000:]}"
            assert time.monotonic() < until_s, self.log.read_text()[-3000:]
            time.sleep(0.2)

    def kill_last(self) -> None:
        """Kill the last program with the processes that it started, as a machine that goes down."""
        program = psutil.Process(self.started.pop().pid)
        for process in [*program.children(recursive=True), program]:
            with suppress(psutil.NoSuchProcess):
                process.kill()

    def end(self) -> None:
        for number in (signal.SIGTERM, signal.SIGKILL):
            for program in self.started:
                try:
                    os.killpg(program.pid, number)
                    program.wait(20)
                except (ProcessLookupError, subprocess.TimeoutExpired):
                    continue


def start_dask(programs: Programs, folder: Path) -> str:
    place = f"{HOST}:{free_port()}"
    local = ("--host", HOST, "--no-dashboard")
    # The scheduler repeats nothing, so that a lost worker is seen here.
    once = {"DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES": "0"}
    scheduler = ("dask", "scheduler", "--port", place.partition(":")[2], *local)
    programs.start(*scheduler, **once)
    size = ("--nworkers", "1", "--nthreads", "1", "--local-directory", str(folder))
    for _ in range(2):
        programs.start("dask", "worker", f"tcp://{place}", *local, *size)
    programs.wait_until(lambda: programs.log.read_text().count("Registered to") == 2)
    return f"dask://{place}"


def start_ray(programs: Programs, folder: Path) -> str:
    port, client_port = str(free_port()), str(free_port())
    node = ("ray.scripts.scripts", "start", "--block", "--num-cpus", "1", "--node-ip-address", HOST)
    any_port = ("--min-worker-port", "0", "--max-worker-port", "0")
    settings = dict([NO_TOKEN, ("RAY_USAGE_STATS_ENABLED", "0")])
    head = ("--head", "--port", port, "--ray-client-server-port", client_port)
    files = ("--include-dashboard=false", "--temp-dir", str(folder))
    programs.start(*node, *any_port, *head, *files, **settings)

    def is_listening() -> bool:
        with socket.socket() as probe:
            return probe.connect_ex((HOST, int(client_port))) == 0

    programs.wait_until(is_listening)
    programs.start(*node, *any_port, "--address", f"{HOST}:{port}", **settings)
    programs.wait_until(lambda: programs.log.read_text().count("Ray runtime started") == 2)
    return f"ray://{HOST}:{client_port}"


def skip_without(kind: str) -> None:
    """Skip a test that needs the client of a cluster."""
    if find_spec(executor.CLUSTERS[kind].library) is None:
        pytest.skip(f"needs the extra '{kind}': pip install 'consilience[{kind}]'")


@contextmanager
def started(kind: str, folder: Path) -> Iterator[tuple[str, Programs]]:
    """Start a cluster of two workers; give its address and its programs, the last a worker."""
    skip_without(kind)
    start = {"dask": start_dask, "ray": start_ray}[kind]
    programs = Programs(folder / "log.txt")
    try:
        yield start(programs, folder), programs
    finally:
        programs.end()


@pytest.fixture(scope="module", params=["dask", "ray"])
def address(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """Give the address of a cluster that its own programs started."""
    with started(request.param, tmp_path_factory.mktemp("c")) as (place, _):
        try:
            yield place
            executor._connected(place).cancel()
        finally:
            executor._connected.cache_clear()


@pytest.fixture
def cluster(address: str, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv(EXECUTOR, address)
    monkeypatch.setenv(*NO_TOKEN)
    return address


@pytest.mark.slow
def test_results_are_in_the_order_of_the_items(cluster: str) -> None:
    texts = [str(number) for number in range(20)]
    assert evaluate(texts) == list(range(20))
    assert parallel_map(eval, texts[:3], "test") == [0, 1, 2]
    assert parallel_map(eval, [], "test") == []


@pytest.mark.slow
def test_a_crash_affects_its_own_item_only(cluster: str) -> None:
    own = "(__import__('psutil').Process().parents()[1].pid, 1)[1]"
    crash = "__import__('ctypes').string_at(0)"
    first, lost, last = evaluate([own, crash, "2"])
    assert (first, last) == (1, 2)
    assert lost == "its reader crashed or exceeded the memory limit (export it again)"


@pytest.mark.slow
def test_an_exception_reaches_the_caller(cluster: str) -> None:
    with pytest.raises(ZeroDivisionError):
        evaluate(["1", "1 / 0"])
    assert evaluate(["2"]) == [2]  # by a new connection


@pytest.mark.slow
def test_items_of_a_lost_worker_are_repeated_once(
    cluster: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mark = str(tmp_path / "killed")
    once = f"3 if __import__('os').path.exists({mark!r}) else "
    once += f"(__import__('os').mkdir({mark!r}), {KILL_WORKER})"
    assert evaluate(["1", once]) == [1, 3]
    assert "test: a cluster worker was lost; 1 items are repeated" in capsys.readouterr().err
    assert evaluate([KILL_WORKER, "2"]) == ["the cluster's worker was lost twice with it", 2]
    with pytest.raises(ConsilienceError, match="twice"):
        parallel_map(eval, [KILL_WORKER], "test")


INTERRUPTED = """
import signal
signal.signal(signal.SIGINT, signal.default_int_handler)
from consilience.core.workers import parallel_map
mark = "open({mark!r} + str(__import__('os').getpid()), 'w') and __import__('time').sleep(300)"
parallel_map(eval, [mark] * 10, "test")
"""


@pytest.mark.slow
def test_an_interruption_cancels_the_tasks(
    cluster: str, tmp_path: Path, is_running: Callable[[int], bool]
) -> None:
    code = INTERRUPTED.replace("{mark!r}", repr(f"{tmp_path}/"))
    program = subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.DEVNULL)
    until_s = time.monotonic() + 120
    while len(list(tmp_path.iterdir())) < 2 and time.monotonic() < until_s:
        time.sleep(0.1)
    pids = [int(path.name) for path in tmp_path.iterdir()]
    assert len(pids) == 2
    program.send_signal(signal.SIGINT)
    assert program.wait(30) != 0
    until_s = time.monotonic() + 30
    while any(map(is_running, pids)) and time.monotonic() < until_s:
        time.sleep(0.1)
    assert not any(map(is_running, pids))
    assert len(list(tmp_path.iterdir())) == 2  # none of the others was begun
    assert evaluate(["1"]) == [1]


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give the demonstration corpus of a small project, not yet processed."""
    folder = tmp_path_factory.mktemp("corpus") / "project"
    folder.mkdir()
    content = params.defaults("demo", modalities=["eeg", "audio"])
    for section, values in SMALL.items():
        content[section] = {**content[section], **values}
    content["synthesis"] |= {"trials": 2}
    (folder / "params.yaml").write_text(params.document(content))
    synthesize(Project(folder), "demo")
    return folder


def prepared(corpus: Path, folder: Path) -> dict[str, bytes]:
    """Process a copy of the corpus; return the content of every result."""
    shutil.copytree(corpus, folder)
    recordings_to_windows(Project(folder), emit=lambda line: None)
    files = {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted((folder / "data").rglob("*"))
        # The cards of the store hold times of change.
        if path.is_file() and not (path.suffix == ".json" and ".store" in path.parts)
    }
    shutil.rmtree(folder)
    return files


@pytest.fixture(scope="module")
def local(corpus: Path) -> dict[str, bytes]:
    """Give the results of one worker process on this machine."""
    return prepared(corpus, corpus.with_name("local"))


@pytest.mark.slow
def test_two_local_workers_write_the_same(
    corpus: Path, local: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(build, "SERIAL", 0)
    monkeypatch.setenv("CONSILIENCE_WORKERS", "2")
    assert prepared(corpus, corpus.with_name("project_2")) == local


@pytest.mark.slow
def test_a_cluster_writes_the_same(
    corpus: Path, local: dict[str, bytes], monkeypatch: pytest.MonkeyPatch, cluster: str
) -> None:
    monkeypatch.setattr(build, "SERIAL", 0)
    titles: list[str] = []
    cluster_map = executor.cluster_map
    monkeypatch.setattr(
        executor, "cluster_map", lambda *call: titles.append(call[2]) or cluster_map(*call)
    )
    results = prepared(corpus, corpus.with_name(cluster.partition(":")[0]))
    assert set(titles) > {"catalog eeg", "ingest eeg", "ingest audio", "align", "window", "corrupt"}
    assert results.keys() == local.keys()
    assert [name for name in local if results[name] != local[name]] == []


class WithoutWorkers:
    """A cluster whose workers have all ended, and that computes nothing."""

    lost: tuple[type[Exception], ...] = ()
    is_cancelled = False

    def n_slots(self) -> int:
        return 0

    def submit(self, request: bytes) -> Future[bytes | None]:
        return Future()

    def cancel(self) -> None:
        self.is_cancelled = True


def test_a_cluster_that_stays_without_a_worker_is_an_error(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    cluster = WithoutWorkers()
    monkeypatch.setenv(EXECUTOR, "dask://host:1")
    connected = cache(lambda setting: cluster)
    monkeypatch.setattr(executor, "_connected", connected)
    monkeypatch.setattr(executor, "LOG_EVERY_S", 0.05)
    monkeypatch.setattr(executor, "ABSENT_S", 0.12)
    with pytest.raises(ConsilienceError, match=r"no worker for 0\.12 s"):
        evaluate(["1"])
    assert cluster.is_cancelled
    assert "test: waiting, the cluster has no worker" in capsys.readouterr().err


@pytest.mark.parametrize("setting", ["dask", "dask://host", "dask://:1", "spark://host:1"])
def test_an_invalid_setting_is_an_error(monkeypatch: pytest.MonkeyPatch, setting: str) -> None:
    monkeypatch.setenv(EXECUTOR, setting)
    with pytest.raises(ConsilienceError, match=f"invalid executor: '{setting}'"):
        evaluate(["1"])


def test_the_client_of_ray_connects_again_if_its_process_ends_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    attempts: list[str] = []

    def connect(address: str, **_: object) -> None:
        attempts.append(address)
        if len(attempts) == 1:
            raise ConnectionAbortedError("Starting Ray client server failed.")

    errors = dict.fromkeys(("WorkerCrashedError", "NodeDiedError", "OutOfMemoryError"), OSError)
    library = SimpleNamespace(
        init=connect,
        remote=lambda **_: lambda function: function,
        exceptions=SimpleNamespace(**errors),
    )
    monkeypatch.setattr(executor.importlib, "import_module", lambda name: library)
    executor.RayCluster("host:1")
    assert attempts == ["ray://host:1", "ray://host:1"]


def test_an_error_of_a_cluster_is_one_line() -> None:
    of_ray = RuntimeError("failure from server:\nTraceback:\n  line 1\nRuntimeError: no client\n")
    expected = "RuntimeError: failure from server: RuntimeError: no client"
    assert executor._described(of_ray) == expected
    assert executor._described(TimeoutError()) == "TimeoutError"
    assert executor._described(OSError("refused")) == "OSError: refused"


@pytest.mark.parametrize("setting", ["", "local"])
def test_local_is_this_machine(monkeypatch: pytest.MonkeyPatch, setting: str) -> None:
    monkeypatch.setenv(EXECUTOR, setting)
    assert not workers.on_cluster()
    assert evaluate(["1"]) == [1]


def test_an_infinite_limit_means_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(EXECUTOR, "dask://nowhere:1")
    assert evaluate(["__import__('os').getpid()"], limit_s=float("inf")) == [os.getpid()]


@pytest.mark.parametrize("extra", ["dask", "ray"])
def test_a_missing_client_is_an_error(monkeypatch: pytest.MonkeyPatch, extra: str) -> None:
    monkeypatch.setattr(executor.CLUSTERS[extra], "library", "not_a_library")
    monkeypatch.setenv(EXECUTOR, f"{extra}://{HOST}:1")
    with pytest.raises(ConsilienceError, match=rf"pip install 'consilience\[{extra}\]'"):
        evaluate(["1"])


@pytest.mark.parametrize("extra", ["dask", "ray"])
@pytest.mark.parametrize("listening", [False, True])
def test_a_wrong_address_is_an_error_in_time(
    monkeypatch: pytest.MonkeyPatch, extra: str, listening: bool
) -> None:
    if listening:
        skip_without(extra)
    else:
        monkeypatch.setattr(executor.CLUSTERS[extra], "library", "json")
    monkeypatch.setattr(executor.CLUSTERS[extra], "connect_s", 5.0)
    with socket.socket() as other:
        other.bind((HOST, 0))
        if listening:
            other.listen()
        monkeypatch.setenv(EXECUTOR, f"{extra}://{HOST}:{other.getsockname()[1]}")
        start_s = time.monotonic()
        with pytest.raises(ConsilienceError, match="does not answer"):
            evaluate(["1"])
        assert time.monotonic() - start_s < 15

"""A real server: recordings that are copied slowly trigger a run, once they are complete.

One server, one worker and one project serve all tests of this file, on either database.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from consilience.core.dvc import ENVIRONMENT
from tests.flows.test_pipeline import initialise

ROOT = Path(__file__).parents[2]
START_S = 400.0  # on a busy machine the import of Prefect alone takes a minute
RUN_S = 400.0

# The second stage has a task that lasts, so that a run can be killed meanwhile.
GRAPH = """
stages:
  list:
    cmd: ls recordings > list.txt
    deps: [recordings]
    outs: [list.txt]
  wait:
    cmd: echo $$ > wait.pid && sleep $(cat sleep.txt) && touch waited.txt
    deps: [list.txt, sleep.txt]
    outs: [waited.txt]
"""

pytestmark = pytest.mark.slow


@dataclass
class Site:
    """A server, a worker, and a project whose deployments are registered."""

    folder: Path
    variables: dict[str, str]
    worker: subprocess.Popen[bytes] | None = None

    def start(self, *command: str, log: str) -> subprocess.Popen[bytes]:
        """Start a program of the environment in the project's folder."""
        with (self.folder.parent / log).open("ab") as file:
            return subprocess.Popen(
                [ENVIRONMENT / command[0], *command[1:]],
                cwd=self.folder,
                env=self.variables,
                stdout=file,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def call(self, *command: str) -> str:
        """Run a program to its end; return what it printed."""
        done = subprocess.run(
            [ENVIRONMENT / command[0], *command[1:]],
            cwd=self.folder,
            env=self.variables,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def api(self, path: str, content: Any) -> Any:
        request = urllib.request.Request(
            f"{self.variables['PREFECT_API_URL']}/{path}",
            json.dumps(content).encode(),
            {"content-type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=60) as response:
            return json.load(response)

    def runs(self) -> list[dict[str, Any]]:
        """Return the runs that have begun, the newest first."""
        begun = {"state": {"type": {"not_any_": ["SCHEDULED", "PENDING"]}}}
        sort = "EXPECTED_START_TIME_DESC"
        return list(self.api("flow_runs/filter", {"flow_runs": begun, "sort": sort}))

    def until(self, check: Callable[[], Any], limit_s: float = RUN_S) -> Any:
        """Return the first true result of a function."""
        end_s = time.monotonic() + limit_s
        while time.monotonic() < end_s:
            if result := check():
                return result
            time.sleep(0.5)
        logs = [path.read_text()[-3000:] for path in self.folder.parent.glob("*.log")]
        pytest.fail("\n".join(["timeout", *logs]))

    def start_worker(self) -> None:
        self.worker = self.start("prefect", "worker", "start", "--pool", "local", log="worker.log")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def database(kind: str) -> Iterator[dict[str, str]]:
    """Start a database; yield the variables by which the server finds it."""
    if kind == "sqlite":
        yield {}
        return
    programs = max(Path("/usr/lib/postgresql").glob("*/bin"), default=None)
    if programs is None:
        pytest.skip("PostgreSQL is not installed")
    folder, port = Path(tempfile.mkdtemp(prefix="postgresql-")), free_port()
    as_user: list[str] = []
    if os.geteuid() == 0:  # as which PostgreSQL does not run
        shutil.chown(folder, "postgres", "postgres")
        as_user = ["runuser", "-u", "postgres", "--"]

    def call(program: str, *arguments: str) -> None:
        command = [*as_user, str(programs / program), *arguments]
        # Its output would keep a pipe open as long as the server runs.
        subprocess.run(command, cwd=folder, check=True, stdout=subprocess.DEVNULL)

    cluster, options = str(folder / "cluster"), f"-p {port} -h 127.0.0.1 -k {folder}"
    try:
        call("initdb", "-D", cluster, "-U", "prefect", "-A", "trust")
        call("pg_ctl", "-D", cluster, "-o", options, "-l", f"{folder}/log", "-w", "start")
        call("createdb", "-h", "127.0.0.1", "-p", str(port), "-U", "prefect", "prefect")
        address = f"postgresql+asyncpg://prefect:x@127.0.0.1:{port}/prefect"
        yield {"PREFECT_SERVER_DATABASE_CONNECTION_URL": address}
    finally:
        call("pg_ctl", "-D", cluster, "-m", "fast", "stop")
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def site(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Site]:
    with database(request.param) as variables:
        yield from started(tmp_path_factory, variables)


def started(
    tmp_path_factory: pytest.TempPathFactory, database_variables: dict[str, str]
) -> Iterator[Site]:
    """Start server and worker on a database, and register the deployments."""
    base = tmp_path_factory.mktemp("site")
    folder = base / "study"
    (folder / "recordings").mkdir(parents=True)
    (folder / "sleep.txt").write_text("0\n")
    (folder / "recordings/first.edf").write_text("first")
    port = free_port()
    variables = {
        **os.environ,
        **database_variables,
        "PATH": f"{ENVIRONMENT}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": f"{ROOT / 'pipeline'}{os.pathsep}{ROOT}",
        "PWD": str(folder),
        "DVC_NO_ANALYTICS": "1",
        "DO_NOT_TRACK": "1",
        "PREFECT_HOME": str(base / "home"),
        "PREFECT_API_URL": f"http://127.0.0.1:{port}/api",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_WORKER_QUERY_SECONDS": "1",
    }
    for name in ("prefect.yaml", "prefect.toml"):
        shutil.copy(ROOT / name, folder / name)
    initialise(folder, GRAPH)
    site = Site(folder, variables)
    address = ("--host", "127.0.0.1", "--port", str(port), "--no-ui")
    server = site.start("prefect", "server", "start", *address, log="server.log")
    try:
        site.until(lambda: _answers(port), START_S)
        site.call("prefect", "work-pool", "create", "local", "--type", "process")
        site.call("prefect", "--no-prompt", "deploy", "--all")
        site.start_worker()
        yield site
    finally:
        for process in (site.worker, server):
            if process is not None:
                process.terminate()
                process.wait(60)


def _answers(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/health", timeout=5) as response:
            return bool(response.status == 200)
    except OSError:
        return False


@pytest.mark.timeout(1800)
def test_four_deployments_are_registered_with_their_forms(site: Site) -> None:
    deployments = {row["name"]: row for row in site.api("deployments/filter", {})}
    assert deployments.keys() == {"nightly", "rebuild", "on-new-recordings", "predict"}
    assert deployments["nightly"]["schedules"][0]["schedule"]["cron"] == "0 2 * * *"
    properties = deployments["nightly"]["parameter_openapi_schema"]["properties"]
    assert all(content["description"] for content in properties.values())
    assert site.api("automations/filter", {})[0]["enabled"]


@pytest.mark.timeout(1800)
def test_a_recording_that_is_copied_slowly_triggers_one_run_when_complete(site: Site) -> None:
    watcher = site.start(
        "consilience", "watch", "recordings", "--stable", "4", "--interval", "1", log="watch.log"
    )
    log = site.folder.parent / "watch.log"
    try:
        site.until(lambda: "reported 1 complete files: first.edf" in log.read_text())
        site.until(lambda: [run for run in site.runs() if run["state_type"] == "COMPLETED"])
        with (site.folder / "recordings/second.edf").open("wb") as file:
            for _ in range(5):
                file.write(b"x" * 1000)
                file.flush()
                time.sleep(2)
                assert "second.edf" not in log.read_text()
        site.until(lambda: "reported 1 complete files: second.edf" in log.read_text())
        run = site.until(
            lambda: [
                run
                for run in site.runs()
                if run["state_type"] == "COMPLETED"
                and run["parameters"]["reason"] == "1 complete files: second.edf"
            ]
        )[0]
        assert run["state"]["message"] == "2 ran"
        assert "changed:recordings" in run["tags"]
        assert (site.folder / "list.txt").read_text() == "first.edf\nsecond.edf\n"
    finally:
        watcher.terminate()
        assert watcher.wait(30) == 143
    assert "Traceback" not in log.read_text()


@pytest.mark.timeout(1800)
def test_after_the_death_of_worker_and_run_a_sweep_frees_the_slot(site: Site) -> None:
    (site.folder / "sleep.txt").write_text("600\n")
    site.call("prefect", "deployment", "run", "pipeline/nightly")
    pid_file = site.folder / "wait.pid"
    pid_file.unlink(missing_ok=True)
    site.until(pid_file.is_file)
    run = site.until(lambda: [run for run in site.runs() if run["state_type"] == "RUNNING"])[0]
    process = int(run["labels"]["consilience.process"].split(":")[1])
    assert site.worker is not None
    for victim in (site.worker.pid, process):
        os.kill(victim, 9)
    site.worker.wait()
    stage = int(pid_file.read_text())
    site.until(lambda: not Path(f"/proc/{stage}").exists(), 60)
    assert "crashed, its process has ended" in site.call("consilience", "sweep")

    (site.folder / "sleep.txt").write_text("0.1\n")  # a value without a cached result
    site.start_worker()
    site.call("prefect", "deployment", "run", "pipeline/nightly")
    site.until((site.folder / "waited.txt").is_file)
    done = site.until(lambda: site.runs()[0]["state_type"] == "COMPLETED" and site.runs()[0])
    assert done["state"]["message"] == "1 cached, 1 ran"
    states = {run["state_type"] for run in site.runs()}
    assert states == {"COMPLETED", "CRASHED"}

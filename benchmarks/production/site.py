"""A Prefect server, its worker and a watcher as services, and one small study that they run."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from benchmarks.faults.project import MARK, METHOD, PROGRAMS, SMALL, Sandbox
from benchmarks.new_project import ROOT, create_project
from consilience import params
from consilience.new_study import deployment_prefix

RESTART_S = 5.0  # as RestartSec of the services in docs/operations.md
START_S = 600.0
# Of the worker's descendants: Prefect's worker, the guard, and what Prefect does after a crash.
PARTS_OF_WORKER = ("prefect_worker worker start", "bootstrap.py hook")
POLL_S = 0.5
FINAL = ("COMPLETED", "FAILED", "CRASHED", "CANCELLED")
# Hold the times of acceptance, or the hash of a file that does.
DATED = ("data/registry/registry.json", "data/registry.dvc", "data/gate.json")
CHAINED = ("During handling of the above", "was the direct cause of the following")
TRACEBACK = "Traceback (most recent call last):"
PROCESS = "consilience.process"  # label of a run: HOST:PID:START


class NoAnswerError(Exception):
    """The server does not answer, or refuses a request."""


@dataclass
class Service:
    """A program that is started again `RESTART_S` after its end, as a service manager does."""

    command: tuple[str, ...]
    variables: dict[str, str] = field(default_factory=dict)
    is_enabled: bool = False
    process: subprocess.Popen[bytes] | None = None
    ended_s: float | None = None

    @property
    def is_running(self) -> bool:
        """Whether its process runs."""
        return self.process is not None and self.process.poll() is None


class Site:
    """Services and the study of a campaign, all below one folder.

    Parameters
    ----------
    folder : Path
        Receives the study, its recordings, the logs and the home of Prefect.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.study = Sandbox(folder / "study", f"production-{os.getpid()}")
        self.recordings = folder / "recordings"
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}/api"
        self.study.environment |= {
            "PREFECT_HOME": str(folder / "prefect"),
            "PREFECT_API_URL": self.url,
            "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
            "DO_NOT_TRACK": "1",
            "DVC_NO_ANALYTICS": "1",
            "PREFECT_WORKER_QUERY_SECONDS": "1",
            "PWD": str(self.study.folder),
            # Of the S3 server of the campaign, which accepts any.
            "AWS_ACCESS_KEY_ID": "a",
            "AWS_SECRET_ACCESS_KEY": "b",
            "AWS_DEFAULT_REGION": "us-east-1",
        }
        address = ("--host", "127.0.0.1", "--port", str(self.port), "--no-ui")
        watch = ("consilience", "watch", "--stable", "5", "--interval", "1")
        self.services = {
            "server": Service(("prefect", "server", "start", *address)),
            "worker": Service(("consilience", "worker")),
            "watcher": Service(watch),
        }
        self._lock = threading.RLock()
        self._ending = threading.Event()
        self._manager = threading.Thread(target=self._restart_ended, daemon=True)

    # Services

    def log(self, name: str) -> Path:
        """Return the file of what a service prints."""
        return self.folder / f"{name}.log"

    def enable(self, name: str) -> None:
        """Start a service, and again whenever it has ended."""
        with self._lock:
            service = self.services[name]
            service.is_enabled = True
            if not service.is_running:
                self._start(name)

    def disable(self, name: str, number: signal.Signals = signal.SIGTERM) -> None:
        """End a service by a signal, and do not start it again."""
        with self._lock:
            service = self.services[name]
            service.is_enabled = False
        if service.process is not None and service.is_running:
            service.process.send_signal(number)
            try:
                service.process.wait(120)
            except subprocess.TimeoutExpired:
                service.process.kill()
                raise AssertionError(f"{name} did not end") from None

    def _start(self, name: str) -> None:
        service = self.services[name]
        environment = {
            **os.environ,
            MARK: self.study.name,
            "PATH": f"{PROGRAMS}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": f"{ROOT / 'pipeline'}{os.pathsep}{ROOT}",
            "OMP_NUM_THREADS": "1",
            "CONSILIENCE_WORKERS": "1",
            **self.study.environment,
            **service.variables,
        }
        with self.log(name).open("ab") as log:
            service.process = subprocess.Popen(
                [PROGRAMS / service.command[0], *service.command[1:]],
                cwd=self.study.folder,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        service.ended_s = None

    def _restart_ended(self) -> None:
        while not self._ending.wait(POLL_S):
            with self._lock:
                for name, service in self.services.items():
                    if not service.is_enabled or service.is_running:
                        continue
                    now_s = time.monotonic()
                    service.ended_s = service.ended_s or now_s
                    if now_s - service.ended_s >= RESTART_S:
                        self._start(name)

    def start(self) -> None:
        """Bring up server, pool, deployments and worker by the documented commands."""
        self._manager.start()
        self.enable("server")
        self.until(self.is_healthy, START_S, "the server does not answer")
        self.call("prefect", "work-pool", "create", "local", "--type", "process", "--overwrite")
        self.call("prefect", "--no-prompt", "deploy", "--all")
        for run in self.runs(set()):  # of an earlier campaign
            if run["state_type"] not in FINAL:
                content = {"state": {"type": "CRASHED"}, "force": True}
                self.patient(f"flow_runs/{run['id']}/set_state", content)
        self.enable("worker")

    def ensure(self) -> None:
        """Bring up what a fault has left down, and wait until the server answers."""
        self.enable("server")
        self.until(self.is_healthy, START_S, "the server does not answer")
        self.enable("worker")
        self.until(lambda: self.tree("worker start"), START_S, "the worker does not start")

    def end(self) -> None:
        """End everything that was started."""
        self._ending.set()
        for service in self.services.values():
            service.is_enabled = False
        for process in self.study.processes():
            with suppress(psutil.NoSuchProcess):
                process.kill()
        for service in self.services.values():
            if service.process is not None:
                service.process.wait()

    # Processes

    def tree(self, words: str) -> list[psutil.Process]:
        """Return the processes whose command line has certain words."""
        matching = []
        for process in self.study.processes():
            with suppress(psutil.Error):
                if words in " ".join(process.cmdline()):
                    matching.append(process)
        return matching

    def work(self) -> list[psutil.Process]:
        """Return all processes but the services themselves: runs, stages, and what they started."""
        services = set()
        for name, service in self.services.items():
            if service.process is None:
                continue
            with suppress(psutil.NoSuchProcess):
                process = psutil.Process(service.process.pid)
                services.add(process)
                for child in process.children(recursive=True):
                    with suppress(psutil.Error):
                        line = " ".join(child.cmdline())
                        is_part = any(words in line for words in PARTS_OF_WORKER)
                        is_guard = line.endswith(f"consilience.core.processes {process.pid}")
                        if name == "server" or is_part or is_guard:
                            services.add(child)
        return [process for process in self.study.processes() if process not in services]

    def kill_all(self, processes: list[psutil.Process], number: signal.Signals) -> None:
        """Send a signal to several processes; SIGKILL arrives while all of them are stopped."""
        numbers = (signal.SIGSTOP, number) if number == signal.SIGKILL else (number,)
        for each in numbers:
            for process in processes:
                with suppress(psutil.NoSuchProcess):
                    process.send_signal(each)

    # Commands and the API

    def call(self, *command: str) -> str:
        """Run a program to its end; return what it printed."""
        environment = {
            **os.environ,
            MARK: self.study.name,
            "PATH": f"{PROGRAMS}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": f"{ROOT / 'pipeline'}{os.pathsep}{ROOT}",
            "OMP_NUM_THREADS": "1",
            **self.study.environment,
        }
        done = subprocess.run(
            command,
            cwd=self.study.folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=600,
        )
        assert done.returncode == 0, f"{command}: {done.stdout[-3000:]}"
        return done.stdout

    def api(self, path: str, content: Any = None, method: str = "POST") -> Any:
        """Send a request to the server; raise `NoAnswerError` if it fails."""
        request = urllib.request.Request(
            f"{self.url}/{path}",
            json.dumps(content).encode() if method != "GET" else None,
            {"content-type": "application/json"},
            method=method,
        )
        try:
            with urllib.request.urlopen(request, timeout=20) as response:
                text = response.read()
        except OSError as error:
            raise NoAnswerError(f"{path}: {error}") from None
        return json.loads(text) if text else None

    def patient(self, path: str, content: Any = None, method: str = "POST") -> Any:
        """Send a request until it is answered."""
        end_s = time.monotonic() + START_S
        while True:
            try:
                return self.api(path, content, method)
            except NoAnswerError:
                if time.monotonic() > end_s:
                    raise
                time.sleep(POLL_S)

    def is_healthy(self) -> bool:
        """Return whether the server answers."""
        try:
            return self.api("health", method="GET") is True
        except (NoAnswerError, ValueError):
            return False

    def deployment(self, name: str) -> dict[str, Any]:
        """Return a deployment by its name without that of the study."""
        full_name = f"{deployment_prefix(self.study.folder.name)}-{name}"
        rows = self.patient("deployments/filter", {})
        return next(row for row in rows if row["name"] == full_name)

    def start_run(self, name: str = "nightly", **parameters: Any) -> str:
        """Start a run of a deployment; return its id."""
        content = {"parameters": parameters, "state": {"type": "SCHEDULED"}}
        path = f"deployments/{self.deployment(name)['id']}/create_flow_run"
        return str(self.patient(path, content)["id"])

    def run(self, run_id: str) -> dict[str, Any]:
        """Return a run."""
        return dict(self.patient(f"flow_runs/{run_id}", method="GET"))

    def runs(self, former: set[str]) -> list[dict[str, Any]]:
        """Return all runs but the former ones, in the order of their creation."""
        rows = self.patient("flow_runs/filter", {"sort": "START_TIME_ASC"})
        return sorted((r for r in rows if r["id"] not in former), key=lambda r: r["created"])

    def slots(self) -> int:
        """Return how many concurrency slots of all deployments are taken."""
        rows = self.api("deployments/filter", {})
        limits = (row.get("global_concurrency_limit") or {} for row in rows)
        return sum(limit.get("active_slots", 0) for limit in limits)

    def run_logs(self, run_ids: list[str]) -> list[str]:
        """Return the messages of the logs of runs."""
        messages: list[str] = []
        while True:
            content = {
                "logs": {"flow_run_id": {"any_": run_ids}},
                "limit": 200,
                "offset": len(messages),
                "sort": "TIMESTAMP_ASC",
            }
            rows = self.patient("logs/filter", content)
            messages += [row["message"] for row in rows]
            if len(rows) < 200:
                return messages

    def process_of(self, run: dict[str, Any]) -> psutil.Process | None:
        """Return the process of a run, if it still runs."""
        host, _, rest = str(run.get("labels", {}).get(PROCESS, "")).partition(":")
        if host == socket.gethostname():
            with suppress(psutil.Error, ValueError):
                process = psutil.Process(int(rest.partition(":")[0]))
                if process.environ().get(MARK) == self.study.name:
                    return process
        return None

    def until(self, check: Callable[[], Any], limit_s: float, failure: str) -> Any:
        """Return the first true result of a function."""
        end_s = time.monotonic() + limit_s
        while time.monotonic() < end_s:
            if result := check():
                return result
            time.sleep(0.2)
        raise AssertionError(f"{failure} within {limit_s:g} s")

    # The study

    def create(self) -> None:
        """Create the study and its recordings, without a stage but that of the recordings."""
        create_project(self.study.folder)
        values = params.defaults("demo", modalities=["eeg", "audio"])
        _write_params(self.study.folder, values)
        done = self.study.run("dvc", "repro", "code", "synthesize")
        assert done.status == 0, done.printed
        shutil.copytree(self.study.folder / "data/raw/demo", self.recordings)
        shutil.rmtree(self.study.folder)
        create_project(self.study.folder)
        values = params.defaults("demo", str(self.recordings), modalities=["eeg", "audio"])
        _write_params(self.study.folder, values)
        file = self.study.folder / "prefect.yaml"
        file.write_text(_without_schedules(file.read_text()))

    def remove(self, *names: str) -> None:
        """Remove files and folders of the study."""
        for name in names:
            path = self.study.folder / name
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)

    def start_repro(self) -> subprocess.Popen[str]:
        """Start 'dvc repro' by hand."""
        return self.study.start("dvc", "repro")

    def save(self) -> None:
        """Keep study and recordings as the state that every fault starts from."""
        for command in (("add", "-A"), ("commit", "-qm", "Undisturbed run")):
            author = ("-c", "user.name=campaign", "-c", "user.email=campaign@localhost")
            subprocess.run(["git", *author, *command], cwd=self.study.folder, check=True)
        for name in ("study", "recordings"):
            source, target = self.folder / name, self.folder / "original" / name
            target.parent.mkdir(exist_ok=True)
            subprocess.run(["cp", "-a", str(source), str(target)], check=True)

    def restore(self) -> None:
        """Bring study and recordings back to that state; folders in use stay the same."""
        for name in ("study", "recordings"):
            source, target = self.folder / "original" / name, self.folder / name
            if name == "recordings" and _files(source) == _files(target):
                continue  # complete
            for path in target.iterdir():
                if path.is_dir() and not path.is_symlink():
                    shutil.rmtree(path)
                else:
                    path.unlink()
            subprocess.run(["cp", "-a", f"{source}/.", str(target)], check=True)

    def outputs(self) -> dict[str, str]:
        """Return the hash of every result and of ``dvc.lock``, by path."""
        return {path: content for path, content in self.study.state().items() if path not in DATED}

    def tracebacks(self, offsets: dict[str, int], run_ids: list[str]) -> dict[str, int]:
        """Return how many tracebacks each service and the runs have logged since some offsets."""
        counts = {
            name: tracebacks(self.log(name).read_bytes()[offset:].decode(errors="replace"))
            for name, offset in offsets.items()
            if self.log(name).is_file()
        }
        if run_ids:
            counts["run"] = tracebacks("\n".join(self.run_logs(run_ids)))
        return {name: count for name, count in counts.items() if count}

    def offsets(self) -> dict[str, int]:
        """Return the present size of the log of each service."""
        logs = {name: self.log(name) for name in self.services}
        return {name: log.stat().st_size if log.is_file() else 0 for name, log in logs.items()}


def _files(folder: Path) -> set[tuple[str, int]]:
    """Return the path and size of every file below a folder."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return {(str(path.relative_to(folder)), path.stat().st_size) for path in files}


def tracebacks(text: str) -> int:
    """Return how many tracebacks a log has, a chain of causes being one."""
    parts = text.split(TRACEBACK)
    return sum(not any(words in before for words in CHAINED) for before in parts[:-1])


def _write_params(folder: Path, content: dict[str, Any]) -> None:
    for section, values in SMALL.items():
        if section in content:
            content[section] = {**content[section], **values}
    content["methods"] = {METHOD: content["methods"][METHOD]}
    (folder / "params.yaml").write_text(params.document(content))


def _without_schedules(text: str) -> str:
    """Return ``prefect.yaml`` without schedules, which would start runs among the faults."""
    lines, skipped = [], False
    for line in text.splitlines():
        if line.startswith("    schedules:"):
            skipped = True
        elif not line.startswith("      "):
            skipped = False
        if not skipped:
            lines.append(line)
    return "\n".join(lines) + "\n"


def free_port() -> int:
    """Return a port on which nothing listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def is_linux_root() -> bool:
    """Return whether file systems can be mounted."""
    return sys.platform == "linux" and os.geteuid() == 0

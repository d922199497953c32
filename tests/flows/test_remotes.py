"""Push, pull and reproduction with a folder, an SSH server and an S3-compatible server as remote.

The SSH server is that of Debian's openssh-server; without it its part is skipped.
"""

from __future__ import annotations

import asyncio
import getpass
import os
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import make_server

from consilience.core.dvc import ENVIRONMENT, call
from consilience.core.errors import ConsilienceError
from consilience.flows.remote import is_passing, missing_outputs
from tests.flows.test_pipeline import initialise

pytestmark = pytest.mark.slow

N_FILES = 40
GRAPH = f"""
stages:
  many:
    cmd: mkdir many && for i in $(seq {N_FILES}); do echo content $i > many/$i.txt; done
    outs: [many]
  count:
    cmd: ls many | wc -l > count.txt
    deps: [many]
    outs: [count.txt]
"""
N_OBJECTS = N_FILES + 2  # the list of the folder, and count.txt
REFUSED = {
    "503 Service Unavailable": "<Error><Code>SlowDown</Code><Message>Reduce</Message></Error>",
    "403 Forbidden": "<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>",
}


def run(folder: Path, *arguments: str) -> list[str]:
    return asyncio.run(call(folder, *arguments, report=lambda line: None))


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def study(tmp_path: Path) -> Path:
    """Give a reproduced study whose remote is not yet set."""
    folder = tmp_path / "study"
    folder.mkdir()
    initialise(folder, GRAPH)
    run(folder, "repro")
    return folder


def clone_of(study: Path) -> Path:
    """Give what a clone by git has: no results and no cache."""
    clone = study.with_name("clone")
    (clone / ".dvc").mkdir(parents=True)
    for name in ("dvc.yaml", "dvc.lock", ".dvc/config"):
        shutil.copy(study / name, clone / name)
    return clone


class Gate:
    """An application of WSGI in front of moto's, which counts, delays and refuses requests."""

    def __init__(self, application: Callable[..., Iterable[bytes]]) -> None:
        self._application, self._lock = application, threading.Lock()
        self.refuse: Callable[[int], str] = lambda number: ""  # status by number of the request
        self.put_s = 0.0
        self.reset()

    def reset(self) -> None:
        """Forget what was counted."""
        self.n_requests = 0
        self.puts: list[str] = []

    def __call__(self, environ: dict[str, Any], start: Any) -> Iterable[bytes]:
        with self._lock:
            self.n_requests += 1
            status = self.refuse(self.n_requests)
        is_put = environ["REQUEST_METHOD"] == "PUT"
        if status:
            environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
            start(status, [("Content-Type", "application/xml")])
            return [] if environ["REQUEST_METHOD"] == "HEAD" else [REFUSED[status].encode()]
        if is_put:
            time.sleep(self.put_s)

        def count_and_start(status: str, *headers: Any) -> Any:
            # The request of a client that was killed meanwhile is refused.
            if is_put and status.startswith("200"):
                self.puts.append(environ["PATH_INFO"])
            return start(status, *headers)

        return self._application(environ, count_and_start)


@pytest.fixture
def s3(study: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Gate]:
    """Start a server of the S3 interface, and make it the remote of the study."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    gate = Gate(DomainDispatcherApplication(create_backend_app))
    server = make_server("127.0.0.1", 0, gate, threaded=True)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    url = f"http://127.0.0.1:{server.server_port}"
    client = boto3.client("s3", endpoint_url=url)
    if not any(bucket["Name"] == "studies" for bucket in client.list_buckets()["Buckets"]):
        client.create_bucket(Bucket="studies")
    run(study, "remote", "add", "--default", "store", f"s3://studies/{study.parent.name}")
    run(study, "remote", "modify", "store", "endpointurl", url)
    gate.reset()
    yield gate
    server.shutdown()
    server.server_close()


@pytest.fixture
def ssh(study: Path, tmp_path: Path) -> Iterator[None]:
    """Start an SSH server with keys of its own, and make it the remote of the study."""
    program = shutil.which("sshd", path=f"{os.environ['PATH']}{os.pathsep}/usr/sbin")
    if program is None:
        pytest.skip("needs openssh-server")
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(exist_ok=True)
    for name in ("host", "user"):
        key = str(tmp_path / name)
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
    port = free_port()
    settings = {
        "Port": port,
        "ListenAddress": "127.0.0.1",
        "HostKey": tmp_path / "host",
        "AuthorizedKeysFile": tmp_path / "user.pub",
        "PasswordAuthentication": "no",
        "PidFile": "none",
        "StrictModes": "no",
        "Subsystem": "sftp internal-sftp",
    }
    config = tmp_path / "sshd_config"
    config.write_text("".join(f"{name} {value}\n" for name, value in settings.items()))
    log = (tmp_path / "sshd.log").open("w")
    server = subprocess.Popen([program, "-D", "-e", "-f", str(config)], stderr=log)
    until_s = time.monotonic() + 60
    while "listening" not in (tmp_path / "sshd.log").read_text():
        assert server.poll() is None, (tmp_path / "sshd.log").read_text()
        assert time.monotonic() < until_s
        time.sleep(0.1)
    address = f"ssh://{getpass.getuser()}@127.0.0.1:{port}{tmp_path}/store"
    run(study, "remote", "add", "--default", "store", address)
    run(study, "remote", "modify", "store", "keyfile", str(tmp_path / "user"))
    yield
    server.terminate()
    server.wait(20)
    log.close()


@pytest.fixture(params=["folder", "ssh", "s3"])
def remote(request: pytest.FixtureRequest, study: Path) -> str:
    kind = str(request.param)
    if kind == "folder":
        run(study, "remote", "add", "--default", "store", str(study.with_name("store")))
    else:
        request.getfixturevalue(kind)
    return kind


def test_a_clone_pulls_everything_and_reruns_nothing(study: Path, remote: str) -> None:
    run(study, "push")
    clone = clone_of(study)
    run(clone, "pull")
    assert missing_outputs(clone, ["many", "count"]) == []
    assert not [line for line in run(clone, "repro") if line.startswith("Running stage")]
    assert (clone / "count.txt").read_text().strip() == str(N_FILES)
    assert (clone / "dvc.lock").read_bytes() == (study / "dvc.lock").read_bytes()


def test_a_server_that_refuses_half_of_the_requests_gets_and_gives_all(
    study: Path, s3: Gate
) -> None:
    s3.refuse = lambda number: "503 Service Unavailable" if number % 2 else ""
    run(study, "push")
    assert len(set(s3.puts)) == N_OBJECTS
    clone = clone_of(study)
    run(clone, "pull")
    assert len(list((clone / "many").iterdir())) == N_FILES
    assert s3.n_requests > 2 * N_OBJECTS


@pytest.mark.parametrize(
    ("status", "passing", "words"),
    [("403 Forbidden", False, "403"), ("503 Service Unavailable", True, "503")],
)
@pytest.mark.parametrize("command", ["push", "pull"])
def test_a_server_that_refuses_all_is_one_line(
    study: Path, s3: Gate, status: str, passing: bool, words: str, command: str
) -> None:
    s3.refuse = lambda number: status
    with pytest.raises(ConsilienceError, match=words) as caught:
        run(study if command == "push" else clone_of(study), command)
    assert "\n" not in str(caught.value)
    assert is_passing(str(caught.value)) == passing


def test_a_dead_server_is_one_line(study: Path, s3: Gate) -> None:
    url = f"http://127.0.0.1:{free_port()}"
    run(study, "remote", "modify", "store", "endpointurl", url)
    with pytest.raises(ConsilienceError, match="Could not connect to the endpoint URL") as caught:
        run(study, "push")
    assert "\n" not in str(caught.value)
    assert is_passing(str(caught.value))


def test_a_killed_upload_goes_on_where_it_ended(study: Path, s3: Gate) -> None:
    s3.put_s = 0.3
    command = [str(ENVIRONMENT / "dvc"), "push", "--jobs", "2"]
    first = subprocess.Popen(command, cwd=study, start_new_session=True, stdout=subprocess.DEVNULL)
    until_s = time.monotonic() + 120
    while len(s3.puts) < N_FILES // 4 and time.monotonic() < until_s:
        time.sleep(0.05)
    os.killpg(first.pid, signal.SIGKILL)
    assert first.wait() == -signal.SIGKILL
    time.sleep(2 * s3.put_s)  # the server completes what it has received
    uploaded = set(s3.puts)
    assert N_FILES // 4 <= len(uploaded) < N_FILES
    s3.reset()
    s3.put_s = 0.0
    run(study, "push")
    assert not uploaded & set(s3.puts)
    assert len(uploaded) + len(s3.puts) == N_OBJECTS
    s3.reset()
    run(study, "push")
    assert s3.puts == []
    clone = clone_of(study)
    run(clone, "pull")
    assert missing_outputs(clone, ["many", "count"]) == []


def git(folder: Path, *arguments: str) -> None:
    author = ("-c", "user.name=a", "-c", "user.email=a@localhost")
    subprocess.run(["git", *author, *arguments], cwd=folder, check=True)


def cached(folder: Path) -> set[str]:
    """Return the contents of the objects in a cache or a remote, but for lists of folders."""
    objects = folder.rglob("files/md5/*/*")
    return {path.read_text().strip() for path in objects if path.suffix != ".dir"}


def test_collection_keeps_every_registered_model(tmp_path: Path) -> None:
    study, store = tmp_path / "study", tmp_path / "store"
    registry = study / "data/registry"
    registry.mkdir(parents=True)
    git(study, "init", "--quiet")
    subprocess.run([ENVIRONMENT / "dvc", "init", "--quiet"], cwd=study, check=True)
    (study / "dvc.yaml").write_text(
        "stages:\n  a:\n    cmd: cp in.txt out.txt\n    deps: [in.txt]\n    outs: [out.txt]\n"
    )
    run(study, "remote", "add", "--default", "store", str(store))
    for number in (1, 2):  # the second is not committed
        (study / "in.txt").write_text(f"result {number}")
        (registry / f"v{number}.txt").write_text(f"model {number}")
        run(study, "repro")
        run(study, "add", "data/registry")
        run(study, "push")
        if number == 1:
            git(study, "add", ".")
            git(study, "commit", "--quiet", "--message=one")
    everything = {"result 1", "result 2", "model 1", "model 2"}
    run(study, "gc", "--all-commits", "--cloud", "--force")
    assert cached(study / ".dvc/cache") == cached(store) == everything
    run(study, "gc", "--workspace", "--force")
    assert cached(study / ".dvc/cache") == everything - {"result 1"}
    assert cached(store) == everything

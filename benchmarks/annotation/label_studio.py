"""Round trip through a real Label Studio: ``python -m benchmarks.annotation.label_studio STUDY``.

Installs Label Studio from its package into an environment of its own (about 1 GB), starts the
server on the loopback interface, and by its API creates a project with the exported configuration,
imports the tasks, fetches their clips, answers them, and exports the answers. Those are imported
twice into a copy of the study and enter its labels. STUDY is a study with ``data/query``; a second
argument names a file for a screenshot of a task, which needs playwright and chromium; a third one
the folder of an environment in which Label Studio is kept for the next time.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import venv
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple
from urllib.error import URLError
from urllib.request import Request, urlopen

import polars as pl

from consilience.annotation.label import label
from consilience.core.errors import ConsilienceError
from consilience.core.files import read_json
from consilience.label_studio.answers import import_answers
from consilience.label_studio.config import AUDIO, EMOTION, QUESTION, VIDEO
from consilience.label_studio.tasks import export_tasks
from consilience.project import Project
from consilience.schema.tables import Labels, read_table

PACKAGE = "label-studio==1.23.2"
START_S = 900.0  # until the server answers; its first start migrates a database, 40 s if idle
STOP_S = 20.0
PICTURE_S = 600.0  # until a task is drawn
DRAWING_MS = 30_000  # until curves and sound are drawn
EMAIL, PASSWORD, TOKEN = "rater@localhost.local", "round-trip", "0123456789abcdef0123456789abcdef"
COPIED = ("catalog", "alignment", "labels")  # of the study, in data/


class Server(NamedTuple):
    """Running Label Studio."""

    address: str

    def call(self, path: str, content: object = None) -> Any:
        """Return what the API answers: to GET, or to POST with JSON."""
        body = None if content is None else json.dumps(content).encode()
        headers = {"Authorization": f"Token {TOKEN}", "Content-Type": "application/json"}
        with urlopen(Request(self.address + path, body, headers), timeout=60) as answer:
            return json.loads(answer.read())

    def size(self, path: str) -> int:
        """Return the number of bytes of a file that the server serves."""
        headers = {"Authorization": f"Token {TOKEN}"}
        with urlopen(Request(self.address + path, headers=headers), timeout=60) as answer:
            return len(answer.read())


def inherited() -> dict[str, str]:
    """Return the environment without PYTHONPATH, which would mix the libraries of two."""
    removed = ("PYTHONPATH", "VIRTUAL_ENV")
    return {name: text for name, text in os.environ.items() if name not in removed}


def install(folder: Path) -> Path:
    """Install Label Studio into an environment, unless it has it; return its program."""
    program = folder / "bin/label-studio"
    if not program.is_file():
        venv.create(folder, with_pip=True)
        subprocess.run(
            [str(folder / "bin/pip"), "install", "--quiet", "--quiet", PACKAGE],
            check=True,
            timeout=1800,
            env=inherited(),
        )
    return program


@contextmanager
def running(program: Path, folder: Path, documents: Path) -> Iterator[Server]:
    """Start the server with an empty database; stop it at the end.

    Parameters
    ----------
    program : Path
    folder : Path
        Of its database.
    documents : Path
        Root of the files that it serves.
    """
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    settings = {
        "LABEL_STUDIO_BASE_DATA_DIR": str(folder),
        "LABEL_STUDIO_USERNAME": EMAIL,
        "LABEL_STUDIO_PASSWORD": PASSWORD,
        "LABEL_STUDIO_USER_TOKEN": TOKEN,
        "LABEL_STUDIO_ENABLE_LEGACY_API_TOKEN": "true",
        "LABEL_STUDIO_LOCAL_FILES_SERVING_ENABLED": "true",
        "LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT": str(documents),
        "COLLECT_ANALYTICS": "false",
        "SENTRY_DSN": "",
        "LATEST_VERSION_CHECK": "false",
    }
    words = [str(program), "start", "--no-browser", "--internal-host", "127.0.0.1"]
    with (folder / "server.log").open("w") as log:
        process = subprocess.Popen(
            [*words, "--port", str(port)], env=inherited() | settings, stdout=log, stderr=log
        )
        try:
            server = Server(f"http://127.0.0.1:{port}")
            _wait(server, process, folder / "server.log")
            yield server
        finally:
            process.terminate()
            try:
                process.wait(STOP_S)
            except subprocess.TimeoutExpired:
                process.kill()


def _wait(server: Server, process: subprocess.Popen[bytes], log: Path) -> None:
    """Wait until the API answers."""
    end = time.monotonic() + START_S
    while time.monotonic() < end:
        if process.poll() is not None:
            break
        try:
            server.call("/api/projects")
            return
        except (URLError, OSError, ValueError):
            time.sleep(1)
    lines = log.read_text().splitlines()
    raise ConsilienceError(
        "Label Studio does not answer", str(log), lines[-1][:200] if lines else ""
    )


def copy_of(study: Project, folder: Path) -> Project:
    """Copy what an import and the stage ``label`` read, without annotations collected before."""
    copy = Project(folder)
    for name in COPIED:
        shutil.copytree(study.data / name, copy.data / name)
    shutil.copy(study.params_file, copy.params_file)
    return copy


def answered(server: Server, exported: Path, config: str) -> tuple[list[Any], int, dict[str, str]]:
    """Create a project, import the tasks, and answer each with another class in turn.

    Returns
    -------
    export : list
        Export of the project as JSON.
    project : int
        Its number.
    answers : dict of str to str
        Class by window.
    """
    tasks = read_json(exported)
    project = server.call("/api/projects", {"title": "round trip", "label_config": config})["id"]
    media = exported.with_name(f"{exported.stem}_media")
    storage = {"project": project, "path": str(media), "title": "clips", "use_blob_urls": False}
    server.call("/api/storages/localfiles", storage)
    server.call(f"/api/projects/{project}/import", tasks)
    classes = [
        line.split('"')[1] for line in config.splitlines() if line.strip().startswith("<Choice ")
    ]
    answers = {}
    listed = server.call(f"/api/tasks?project={project}&page_size=1000&fields=all")["tasks"]
    for number, task in enumerate(sorted(listed, key=lambda task: task["id"])):
        for key in (AUDIO, VIDEO):
            if key in task["data"]:
                clip = media / task["data"][key].rpartition("/")[2]
                assert server.size(task["data"][key]) == clip.stat().st_size, clip
        name = classes[number % len(classes)]
        value = {"choices": [name]}
        result = {"from_name": EMOTION, "to_name": QUESTION, "type": "choices", "value": value}
        server.call(f"/api/tasks/{task['id']}/annotations/", {"result": [result]})
        answers[task["data"]["window"]] = name
    export = server.call(f"/api/projects/{project}/export?exportType=JSON")
    return export, project, answers


def check(study: Project, export: Path, answers: dict[str, str]) -> list[str]:
    """Import an export twice and label again; return what was found.

    Raises
    ------
    AssertionError
        If an answer is lost, or the second import differs.
    """
    labels = study.labels / "labels.parquet"
    before = read_table(labels, Labels)
    done = import_answers(study, export)
    content = done.path.read_bytes()
    assert import_answers(study, export).path.read_bytes() == content
    label(study, lambda line: None)
    after = read_table(labels, Labels)
    table = pl.read_csv(done.path)
    windows = after.select("window", "session", "start_s")
    returned = dict(
        table.join(windows, on=["session", "start_s"]).select("window", "label").iter_rows()
    )
    assert returned == answers, (returned, answers)
    added = after["n_annotators"] - before["n_annotators"]
    assert added.max() == 1
    return [
        f"{done.n_answers} answers of {done.n_tasks} tasks returned unchanged, a second import "
        "gave the same bytes",
        f"{int((added == 1).sum())} of {after.height} windows have one more annotator",
    ]


def screenshot(server: Server, project: int, file: Path) -> list[str]:
    """Save a picture of the first task in a browser; return the errors of the page."""
    from playwright.sync_api import sync_playwright  # type: ignore[import-not-found]

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path="/usr/bin/chromium", args=["--no-sandbox"]
        )
        page = browser.new_page(viewport={"width": 1440, "height": 1300})
        errors: list[str] = []
        page.on("pageerror", lambda error: errors.append(str(error).partition("\n")[0]))
        page.goto(f"{server.address}/user/login/")
        page.fill("input[name=email]", EMAIL)
        page.fill("input[name=password]", PASSWORD)
        page.click("button[type=submit]")
        page.wait_for_url(lambda address: "/login" not in address)
        # By its number: 'labeling=1' opens tasks without an answer, and all have one.
        task = server.call(f"/api/tasks?project={project}&page_size=1")["tasks"][0]["id"]
        page.goto(f"{server.address}/projects/{project}/data?task={task}")
        # The first of the elements may be hidden; curves and sound are drawn after it.
        page.wait_for_selector("video, canvas", timeout=1e3 * PICTURE_S, state="attached")
        page.wait_for_timeout(DRAWING_MS)
        page.screenshot(path=str(file))
        browser.close()
    return errors


def main(study: str, picture: str | None = None, environment: str | None = None) -> None:
    """Print the outcome of each step with its time."""
    begun = time.monotonic()

    def emit(line: str) -> None:
        print(f"{time.monotonic() - begun:6.1f} s  {line}", flush=True)

    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        exported = export_tasks(Project(study), folder / "files/tasks.json", lambda line: None)
        emit(f"{exported.n_tasks} tasks exported")
        program = install(Path(environment or folder / "environment"))
        emit(f"{PACKAGE} installed")
        (folder / "server").mkdir()
        with running(program, folder / "server", exported.tasks.parent) as server:
            emit("server started")
            config = exported.config.read_text()
            export, project, answers = answered(server, exported.tasks, config)
            emit("tasks imported, clips fetched, tasks answered and exported by the API")
            if picture:
                errors = screenshot(server, project, Path(picture))
                emit(f"task drawn in a browser; errors of the page: {'; '.join(errors) or 'none'}")
        (folder / "export.json").write_text(json.dumps(export))
        copy = copy_of(Project(study), folder / "study")
        for line in check(copy, folder / "export.json", answers):
            emit(line)


if __name__ == "__main__":
    main(*sys.argv[1:])

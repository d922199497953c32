"""Parameters of one run, checked before anything starts."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from consilience.core.dvc import Graph
from consilience.core.errors import ConsilienceError
from consilience.core.files import write_bytes
from consilience.core.workers import EXECUTOR
from consilience.project import Project
from consilience.run import upstream

PREFIXES = ("dask://", "ray://")


@dataclass(frozen=True)
class Request:
    """Parameters of one run; see `pipeline.pipeline` for their meaning."""

    folder: Path
    only: Sequence[str]
    until: Sequence[str]
    dataset_root: str
    on_problem: Literal["quarantine", "fail"] | None
    force: bool
    workers: int | None
    executor: str
    stage_timeout_s: float | None
    pull: bool
    push: bool
    gate: bool
    commit_branch: str
    notification_block: str
    wait_s: float
    min_free_gib: float
    reason: str

    def check(self) -> None:
        """Raise if a parameter is invalid, without looking at the project.

        Raises
        ------
        ConsilienceError
            With the name of the parameter and what it may be.
        """
        if self.only and self.until:
            raise ConsilienceError("only and until exclude each other", "only", "leave one empty")
        if self.executor != "local" and not self.executor.startswith(PREFIXES):
            raise ConsilienceError(
                f"invalid executor: '{self.executor}'",
                "executor",
                "use local, dask://HOST:PORT or ray://HOST:PORT",
            )
        numbers = {"workers": self.workers, "stage_timeout_s": self.stage_timeout_s}
        for name, number in numbers.items():
            if number is not None and number <= 0:
                raise ConsilienceError(f"not above 0: {number}", name, "leave it empty for all")
        for name, limit in {"wait_s": self.wait_s, "min_free_gib": self.min_free_gib}.items():
            if limit < 0:
                raise ConsilienceError(f"negative: {limit}", name)
        if not self.folder.is_dir():
            raise ConsilienceError(
                "not a directory", f"folder {self.folder}", "name the folder of a study"
            )


def selected(graph: Graph, request: Request) -> set[str]:
    """Return the stages that a run may start.

    Raises
    ------
    ConsilienceError
        If no stage has one of the names.
    """
    if not request.only:
        return set(upstream(graph, request.until))
    names = set(request.only)
    upstream(graph, request.only)  # raises for an unknown name
    return {stage for stage in graph if names & {stage, stage.partition("@")[0]}}


def write_overrides(project: Project, request: Request) -> None:
    """Write the dataset's folder and problem policy of a request into ``params.yaml``, atomically.

    They stay there: the results in the project are always those of its ``params.yaml``, and the
    next run without overrides repeats nothing.
    """
    values = {"root": request.dataset_root, "on_problem": request.on_problem}
    changes = {key: value for key, value in values.items() if value}
    content = _with_values(project.params_file.read_text(), changes) if changes else None
    if content is not None:
        write_bytes(project.params_file, content.encode())


def _with_values(text: str, changes: Mapping[str, str]) -> str | None:
    """Return a document with values of its section ``dataset`` replaced; None if it has them."""
    from io import StringIO

    from ruamel.yaml import YAML  # slow to import

    yaml = YAML()
    yaml.preserve_quotes, yaml.width = True, 4096
    content = yaml.load(text)
    section = content["dataset"]
    if all(section.get(key) == value for key, value in changes.items()):
        return None
    section.update(changes)
    stream = StringIO()
    yaml.dump(content, stream)
    return stream.getvalue()


@contextmanager
def environment(request: Request) -> Iterator[None]:
    """Set the number of workers and the executor for the stages of a run."""
    values = {
        "CONSILIENCE_WORKERS": str(request.workers) if request.workers else "",
        EXECUTOR: request.executor if request.executor != "local" else "",
    }
    values = {name: value for name, value in values.items() if value}
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name)
            else:
                os.environ[name] = value

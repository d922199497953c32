"""Answers of annotators, from the JSON that Label Studio exports, as annotations of the study.

The file comes from other people and other software: everything in it is typed and bounded.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import polars as pl
from pydantic import BaseModel, ConfigDict, Field, StrictBool, ValidationError

from consilience.annotation.collected import read_collected
from consilience.core.errors import ConsilienceError
from consilience.core.files import read_json, write_bytes
from consilience.datasets.tables import annotation as statement
from consilience.label_studio.config import EMOTION
from consilience.project import Project
from consilience.schema.constants import AFFECT
from consilience.schema.params.base import check_name
from consilience.schema.tables import Annotations, Labels, csv_text, frame_of, read_table

MAX_BYTES = 2**28
MAX_TASKS = 100_000
MAX_ANNOTATIONS = 1000  # of a task
MAX_RESULTS = 1000  # of an annotation
MAX_TEXT = 500  # characters of a name
SAME_S = 1e-3  # by which the times of a task may differ from the window's
ANNOTATOR = "label_studio"  # begins the names of annotators
WINDOW = ("window", "session", "start_s", "end_s")
KEY = ["session", "start_s", "end_s", "target", "annotator"]
REMEDY = "export the project as JSON from Label Studio, not as JSON-MIN or CSV"

Text = Annotated[str, Field(strict=True, min_length=1, max_length=MAX_TEXT)]
Number = Annotated[float, Field(strict=True, allow_inf_nan=False)]
Identifier = Annotated[int, Field(strict=True, ge=0, le=2**53)]


class _Part(BaseModel):
    """Part of an export; Label Studio adds keys that are not read."""

    model_config = ConfigDict(extra="ignore", frozen=True)


class _Person(_Part):
    id: Identifier


class _Data(_Part):
    window: Text
    start_s: Number
    end_s: Number


class _Result(_Part):
    from_name: Text
    type: Text
    value: dict[Text, Any] = Field(max_length=100)


class _Annotation(_Part):
    id: Identifier
    completed_by: Identifier | _Person
    was_cancelled: StrictBool = False
    result: list[_Result] = Field(max_length=MAX_RESULTS)

    @property
    def person(self) -> int:
        """Number of the annotator."""
        by = self.completed_by
        return by.id if isinstance(by, _Person) else by


class _Task(_Part):
    id: Identifier
    data: _Data
    annotations: list[_Annotation] = Field(max_length=MAX_ANNOTATIONS)


class Imported(NamedTuple):
    """Result of an import.

    Attributes
    ----------
    path : Path
        Table in ``data/annotations``.
    n_tasks, n_answers, n_skipped : int
        Tasks with an answer, their answers, and annotations that were skipped by the annotator.
    n_rows : int
        Annotations in the table, those of earlier imports included.
    """

    path: Path
    n_tasks: int
    n_answers: int
    n_skipped: int
    n_rows: int


def import_answers(project: Project, file: Path, annotator: str = ANNOTATOR) -> Imported:
    """Write the answers of an export into ``data/annotations/<annotator>.csv``.

    Annotator 7 of Label Studio becomes ``<annotator>_7``. Answers that the table has already are
    replaced by those of the same annotator for the same time; a second import changes nothing.

    Parameters
    ----------
    project : Project
        With labels.
    file : Path
        Export of Label Studio in its format JSON.
    annotator : str
        Name of the table and beginning of the annotators' names.

    Raises
    ------
    ConsilienceError
        If the file is not such an export, or names a task or class that the study does not have.
    """
    check_name(annotator, "--annotator")
    if annotator.startswith("self"):
        raise ConsilienceError(
            "names that begin with 'self' are the subjects' own", "--annotator", "use another name"
        )
    classes = tuple(read_json(project.catalog / "dataset.json")["classes"])
    labels = read_table(project.labels / "labels.parquet", Labels)
    windows = {row[0]: row[1:] for row in labels.select(*WINDOW).iter_rows()}
    tasks = read_tasks(file)
    rows, n_skipped = [], 0
    for task in tasks:
        session, start_s, end_s = _window(task, windows, file)
        # In the order of their numbers: of two answers by one person the later one counts.
        for annotation in sorted(task.annotations, key=lambda a: a.id):
            if annotation.was_cancelled:
                n_skipped += 1
                continue
            where = f"{file}: task {task.id}"
            for target, answer in _answers(annotation.result, classes, where):
                name = f"{annotator}_{annotation.person}"
                rows.append(statement(session, name, target, answer, start_s, end_s))
    answers = frame_of(rows, Annotations)
    path = project.annotations / f"{annotator}.csv"
    merged = _merged(path, answers)
    write_bytes(path, csv_text(merged).encode())
    n_tasks = len({task.data.window for task in tasks if task.annotations})
    return Imported(path, n_tasks, answers.unique(KEY).height, n_skipped, merged.height)


def _merged(path: Path, answers: pl.DataFrame) -> pl.DataFrame:
    """Return the rows of a table with new answers, sorted; of equal keys the last one counts."""
    before = frame_of([], Annotations)
    if path.is_file():
        before = read_collected(path)
    both = pl.concat([before, answers])
    return both.unique(KEY, keep="last", maintain_order=True).sort(KEY)


def read_tasks(file: Path) -> list[_Task]:
    """Read the tasks of an export.

    Raises
    ------
    ConsilienceError
        If the file is missing, too large, not JSON, or not an export of tasks.
    """
    content = _json(file)
    if not isinstance(content, list):
        raise ConsilienceError("not a list of tasks", str(file), REMEDY)
    if len(content) > MAX_TASKS:
        raise ConsilienceError(f"more than {MAX_TASKS} tasks", str(file), "export it in parts")
    tasks = []
    for number, task in enumerate(content, 1):
        try:
            tasks.append(_Task.model_validate(task))
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            place = ".".join(map(str, first["loc"])) or "task"
            raise ConsilienceError(
                f"entry {number}: {place[:MAX_TEXT]}: {first['msg']}", str(file), REMEDY
            ) from None
    return tasks


def _json(file: Path) -> Any:
    if not file.is_file():
        raise ConsilienceError("not a file", str(file), "name the JSON that Label Studio exported")
    if file.stat().st_size > MAX_BYTES:
        raise ConsilienceError(f"more than {MAX_BYTES} bytes", str(file), "export it in parts")

    def refuse(constant: str) -> Any:
        raise ValueError(f"the number {constant}")

    try:
        return json.loads(file.read_text("utf-8-sig"), parse_constant=refuse)
    except (ValueError, RecursionError) as error:
        line = " ".join(str(error).split())[:150]
        raise ConsilienceError(f"not valid JSON: {line}", str(file), REMEDY) from None


def _window(
    task: _Task, windows: Mapping[str, tuple[str, float, float]], file: Path
) -> tuple[str, float, float]:
    """Return session, start and end of a task's window."""
    where, data = f"{file}: task {task.id}", task.data
    if data.window not in windows:
        raise ConsilienceError(
            f"unknown window '{data.window}'", where, "the study has no such window"
        )
    session, start_s, end_s = windows[data.window]
    if not (
        math.isclose(start_s, data.start_s, rel_tol=0, abs_tol=SAME_S)
        and math.isclose(end_s, data.end_s, rel_tol=0, abs_tol=SAME_S)
    ):
        raise ConsilienceError(
            f"window '{data.window}' from {data.start_s:g} s to {data.end_s:g} s, which is now "
            f"from {start_s:g} s to {end_s:g} s",
            where,
            "export the tasks again after a change of windows",
        )
    return session, start_s, end_s


def _answers(
    results: Sequence[_Result], classes: Sequence[str], where: str
) -> Iterator[tuple[str, str | float]]:
    """Yield the target and the class or rating of each result; other controls are not read."""
    readers: dict[str, Callable[[_Result], str | float]] = {
        EMOTION: lambda result: _class(result, classes, where),
        **{name: lambda result: _rating(result, where) for name in AFFECT},
    }
    for result in results:
        if result.from_name in readers:
            yield result.from_name, readers[result.from_name](result)


def _class(result: _Result, classes: Sequence[str], where: str) -> str:
    chosen = result.value.get("choices")
    if result.type != "choices" or not isinstance(chosen, list) or len(chosen) != 1:
        raise ConsilienceError("not one choice of a class", where, REMEDY)
    name = chosen[0]
    if not isinstance(name, str) or name not in classes:
        raise ConsilienceError(
            f"unknown class {str(name)[:MAX_TEXT]!r}",
            where,
            f"the study's classes are {', '.join(classes)}",
        )
    return name


def _rating(result: _Result, where: str) -> float:
    value = result.value.get("number")
    is_number = result.type == "number" and not isinstance(value, bool)
    if is_number and isinstance(value, int | float) and -1 <= value <= 1:
        return float(value)
    raise ConsilienceError(
        f"{result.from_name} {str(value)[:50]} is not a number from -1 to 1", where, REMEDY
    )

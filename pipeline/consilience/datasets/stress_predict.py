"""Stress-Predict: a wrist recorder under stress and at rest (Iqbal et al. 2022, MIT).

::

    Raw_data/S05/BVP.csv, EDA.csv, TEMP.csv, ACC.csv   Empatica E4: the start (Unix time), the rate
    Raw_data/S05/tags_S05.csv                          marks, in Unix time
    labels.csv                                         subject, task, start_s, end_s: optional

or the folders ``S05`` anywhere below the root. A folder is a session; its files share the clock of
the recorder and must begin together. Its first seven marks are the borders of the Stroop test,
rest, interview, rest, hyperventilation and rest. Rows of ``labels.csv``, in seconds from the start
of the recorder, replace the marks of their subject.

Stroop test and interview are labelled stress; the pauses, and the seven minutes before the test
less its last 30 s, rest. Hyperventilation is neither and left out. The label is the task.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from typing import Any, ClassVar

import polars as pl

from consilience.core.errors import ConsilienceError
from consilience.core.wording import counted
from consilience.datasets.base import Entry, Listing
from consilience.datasets.tables import annotation, annotations_of, check_trials
from consilience.readers.text_table import Problem, filter_rows, read_small_text, read_text
from consilience.schema.tables import Pulses, Trials, frame_of

SUBJECT = re.compile(r"S\d{2}")
FILES = {
    "ppg": ("BVP.csv", 64.0),
    "gsr": ("EDA.csv", 4.0),
    "temperature": ("TEMP.csv", 4.0),
    "acceleration": ("ACC.csv", 32.0),
}
LABELS, ARCHIVE = "labels.csv", "raw_data.tar.xz"
PROTOCOL = ("stroop", "relax", "interview", "relax", "hyperventilation", "relax")
CLASS_OF = {"baseline": "rest", "stroop": "stress", "relax": "rest", "interview": "stress"}
BEFORE_S, PAUSE_S, LEAST_S = 420.0, 30.0, 60.0  # of the rest before the Stroop test
HALF_DAY_S = 43_200.0  # by which some marks are off
TOGETHER_S = 1.0  # within which the files of a session begin

Task = tuple[str, float, float]  # name, start_s, end_s


class StressPredict:
    """Adapter of Stress-Predict."""

    name: ClassVar[str] = "stress_predict"
    modalities: ClassVar[tuple[str, ...]] = tuple(FILES)
    classes: ClassVar[tuple[str, ...]] = ("rest", "stress")
    clock: ClassVar[str] = "shared"
    preset: ClassVar[dict[str, Any]] = {
        "windows": {"length_s": 60.0, "hop_s": 30.0},
        "splits": {"folds": 6, "validation_subjects": 4},
        # Validation loss of the hybrid .61 without a baseline, .60 with the person's, .58 running;
        # accuracy of the concatenation .77 by standard deviations, .79 with heavy tails cut.
        "training": {"baseline": "running", "scale": "robust", "clip": 2.0},
    }

    def list(self, root: Path) -> Listing:
        """List the sessions below `root`; see the module for the layout.

        Raises
        ------
        ConsilienceError
            If the folder of a subject is missing, or only the packed archive exists.
        """
        problems: list[Problem] = []
        folders = _folders(root, problems)
        from_table = _table_tasks(root, folders, problems)
        entries: list[Entry] = []
        trials: list[dict[str, object]] = []
        annotations: list[dict[str, object]] = []
        for subject, folder in folders.items():
            starts_s = {name: _start_s(folder / FILES[name][0]) for name in FILES}
            start_s = _common_start_s(starts_s)
            for name, (file, rate_hz) in FILES.items():
                path = (folder / file).relative_to(root).as_posix()
                late_s = (starts_s[name] or start_s) - start_s
                if abs(late_s) > TOGETHER_S:
                    what = f"it begins {late_s:+.0f} s from the session's other files"
                    problems.append((path, what, "it belongs to another session; left out"))
                    continue
                entries.append(Entry(subject, subject, name, path, declared_rate_hz=rate_hz))
            tasks = _marked_tasks(folder, root, start_s, subject in from_table, problems)
            rows = _rows(subject, from_table.get(subject, tasks))
            trials += rows[0]
            annotations += rows[1]
        return Listing(
            entries,
            frame_of(trials, Trials),
            frame_of([], Pulses),
            annotations_of(annotations),
            problems,
        )


def _folders(root: Path, problems: list[Problem]) -> dict[str, Path]:
    """Return the folder of each subject, in order. Raises ConsilienceError without any."""
    names = {file for file, _ in FILES.values()}
    parents = sorted(
        {path.parent for path in root.rglob("*.csv") if path.name in names},
        key=lambda folder: (folder.name, folder.as_posix()),
    )
    folders: dict[str, Path] = {}
    for folder in parents:
        where = folder.relative_to(root).as_posix()
        if not SUBJECT.fullmatch(folder.name):
            problems.append((where, "not named after a subject", "rename the folder, as S05"))
        elif folder.name in folders:
            problems.append((where, "a second folder of its subject", "remove one; left out"))
        else:
            folders[folder.name] = folder
    if folders:
        return folders
    if (root / ARCHIVE).is_file():
        raise ConsilienceError(
            "the recordings are packed", str(root / ARCHIVE), f"unpack them: tar xf {ARCHIVE}"
        )
    raise ConsilienceError(
        "no recording of Stress-Predict found", str(root), "expected files as Raw_data/S05/BVP.csv"
    )


def _start_s(path: Path) -> float | None:
    """Return the start in the first row of a file; None for a file that ingest will quarantine."""
    with suppress(OSError, ValueError), path.open("rb") as file:
        return float(file.readline(100).split(b",")[0])
    return None


def _common_start_s(starts_s: Mapping[str, float | None]) -> float:
    """Return the start of most files of a session, of equally many the earliest; 0 without any."""
    counts = Counter(start_s for start_s in starts_s.values() if start_s is not None)
    most = max(counts.values(), default=0)
    return min((start_s for start_s, n in counts.items() if n == most), default=0.0)


def _marked_tasks(
    folder: Path, root: Path, start_s: float, replaced: bool, problems: list[Problem]
) -> list[Task]:
    """Return the tasks between the marks of a session; empty if they do not fit the protocol.

    Parameters
    ----------
    folder, root : Path
    start_s : float
        Of the recorder, in Unix time.
    replaced : bool
        Whether ``labels.csv`` states the tasks, so that the marks are checked only.
    problems : list of (where, what, remedy)
        Marks that are missing or off are appended.
    """
    path = folder / f"tags_{folder.name}.csv"
    where = path.relative_to(root).as_posix()
    remedy = f"the tasks are those of {LABELS}" if replaced else f"state its tasks in {LABELS}"
    try:
        marks_s = [float(row) - start_s for row in read_small_text(path, root).split()]
    except (ConsilienceError, ValueError):
        problems.append((where, "not readable as marks", remedy))
        return []
    for number, mark_s in enumerate(marks_s):
        if mark_s < 0:
            marks_s[number] += HALF_DAY_S
            what = f"mark {number + 1} lies {-mark_s / 3600:.1f} h before the recording"
            problems.append((where, what, "its clock was set 12 h off; it is read as 12 h later"))
    borders_s = marks_s[: len(PROTOCOL) + 1]
    if not _fits(borders_s):
        listed = ", ".join(f"{mark_s:.0f}" for mark_s in marks_s[:12])
        what = f"{counted(len(marks_s), 'mark does', 'marks do')} not fit the protocol: {listed} s"
        problems.append((where, what, remedy))
        return []
    first_s = borders_s[0]
    before = ("baseline", max(first_s - BEFORE_S, 0.0), first_s - PAUSE_S)
    tasks = [(task, *span) for task, span in zip(PROTOCOL, pairwise(borders_s), strict=True)]
    return [before, *tasks] if before[2] - before[1] >= LEAST_S else tasks


def _fits(borders_s: Sequence[float]) -> bool:
    """Return whether seven marks rise, with the interview longest and hyperventilation shortest."""
    if len(borders_s) != len(PROTOCOL) + 1 or borders_s[0] < 0:
        return False
    lengths_s = [end - start for start, end in pairwise(borders_s)]
    length_s = dict(zip(PROTOCOL, lengths_s, strict=True))
    longest = length_s["interview"] >= max(lengths_s)
    return longest and 0 < length_s["hyperventilation"] <= min(lengths_s)


def _table_tasks(
    root: Path, folders: Mapping[str, Path], problems: list[Problem]
) -> dict[str, list[Task]]:
    """Return the tasks that ``labels.csv`` states, by subject; empty without the file."""
    if not (root / LABELS).is_file():
        return {}
    columns = ("subject", "task", "start_s", "end_s")
    try:
        text = read_text(root / LABELS, root, columns, problems)
    except ConsilienceError as error:
        problems.append((error.where, error.what, f"{error.remedy}; the marks are used"))
        return {}
    table = text.with_columns(
        pl.col(name).cast(pl.Float64, strict=False) for name in ("start_s", "end_s")
    )
    tasks = ("baseline", *PROTOCOL)
    what = f"task is not one of {', '.join(dict.fromkeys(tasks))}"
    table = filter_rows(table, pl.col("task").is_in(tasks), LABELS, what, problems)
    table = check_trials(table, LABELS, problems)
    has_folder = pl.col("subject").is_in(list(folders))
    table = filter_rows(table, has_folder, LABELS, "no folder of the subject", problems)
    rows: dict[str, list[Task]] = {}
    for subject, *task in table.sort("start_s", maintain_order=True).select(columns).iter_rows():
        rows.setdefault(subject, []).append((task[0], task[1], task[2]))
    return rows


def _rows(
    session: str, tasks: Sequence[Task]
) -> tuple[list[dict[str, object]], list[dict[str, object]]]:
    """Return the trials of a session's tasks, and their labels."""
    trials: list[dict[str, object]] = []
    labels: list[dict[str, object]] = []
    n_of: Counter[str] = Counter()
    for task, start_s, end_s in tasks:
        if task not in CLASS_OF:
            continue
        n_of[task] += 1
        trial = task if n_of[task] == 1 else f"{task}-{n_of[task]}"
        trials.append({"session": session, "trial": trial, "start_s": start_s, "end_s": end_s})
        labels.append(annotation(session, "task", "emotion", CLASS_OF[task], start_s, end_s))
    return trials, labels


dataset = StressPredict()

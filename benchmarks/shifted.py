"""Shifted recordings: ``python -m benchmarks.shifted STUDY [EVERY [SENSOR ...]]``.

Every recording of a reproduced study is read again with one sensor shifted: by each kind of
corruption of that sensor at severity 5, and by another gain. Its deviation, as ``consilience
predict`` computes it, is compared with that of unchanged recordings. The references come from the
other people: groups of people are left out in turn, so that each recording is new. With EVERY, only
every n-th session counts, for a corpus of many clips; with names of sensors, only these. Prints a
table in Markdown; nothing is written into the study.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.stats import mannwhitneyu

from consilience.core import registry
from consilience.core.errors import RecordingError, unreadable
from consilience.core.files import write_arrays
from consilience.core.isolation import isolated_map
from consilience.core.seeds import generator
from consilience.ingest.signal import read_signal
from consilience.project import Project
from consilience.schema.constants import DIFFERENT, SEVERITIES
from consilience.schema.params.windows import WindowParams
from consilience.schema.tables import Labels, Levels, Recordings, frame_of, read_table
from consilience.signals.types import LEVEL_DB, Signal
from consilience.training.probes import subject_groups
from consilience.training.reference import deviations, fit_references
from consilience.windows.cutting import Cutter, Session
from consilience.windows.layout import coverage, cut, recording_names
from consilience.windows.sessions import cutters_of, sessions_of
from consilience.windows.store import SESSIONS, Corpus, load_corpus

SEVERITY = SEVERITIES[-1]
GAINS = (0.25, 4.0)
GAIN = "gain "  # begins the name of such a shift
RESAMPLES = 500  # of the people, for an interval
LIMIT_S = 6 * 3600.0  # for one recording

Array = NDArray[np.float64]


class Task(NamedTuple):
    """A recording that is read again."""

    session: Session
    cutter: Cutter
    row: dict[str, Any]
    shifts: tuple[str, ...]


class Outcome(NamedTuple):
    """Deviations of one sensor's recordings, unchanged and with one shift.

    Attributes
    ----------
    sensor, shift : str
    clean, shifted : polars.DataFrame
        ``recording``, ``subject`` and ``deviation``; recordings of which the shift has left no
        usable window are missing.
    """

    sensor: str
    shift: str
    clean: pl.DataFrame
    shifted: pl.DataFrame


def shifts_of(cutter: Cutter) -> tuple[str, ...]:
    """Return the names of a sensor's shifts; the gain of a table of features has no meaning."""
    gains = GAINS if cutter.grid.rate_hz is not None else ()
    return (*type(cutter.params).CORRUPTION_KINDS, *(f"{GAIN}{gain:g}" for gain in gains))


def shifted_signal(signal: Signal, shift: str, cutter: Cutter, recording: str) -> Signal:
    """Return a signal as another device or setting would have recorded it."""
    if shift.startswith(GAIN):
        gain = float(shift.removeprefix(GAIN))
        scaled = np.asarray(signal.values) * np.float32(gain)
        if np.issubdtype(signal.values.dtype, np.integer):
            scaled = np.clip(np.rint(scaled), 0, np.iinfo(signal.values.dtype).max)
        return replace(signal, values=scaled.astype(signal.values.dtype))
    corruption = type(cutter.params).CORRUPTION_KINDS[shift]
    params = cutter.params.model_copy(update={"corruptions": {shift: corruption.severities}})
    modality = registry.get("modalities", cutter.name)
    rng = generator(shift, recording, SEVERITY)
    changed: Signal = modality.corrupt(signal, shift, SEVERITY, params, rng)
    return changed


def read_shifted(task: Task, root: Path, least: float, folder: Path) -> str:
    """Write the model inputs of all shifts of a recording; return why it cannot be read, or "".

    Parameters
    ----------
    task : Task
    root : Path
        Of the dataset.
    least : float
        Share of an available window that frames cover.
    folder : Path
        In which ``SHIFT/sessions/SESSION.npz`` is written.
    """
    session, cutter, row, shifts = task
    modality = registry.get("modalities", cutter.name)
    try:
        signal = read_signal(row, root, modality, cutter.params)
        for shift in shifts:
            changed = shifted_signal(signal, shift, cutter, row["recording"])
            try:
                features = modality.features(changed, cutter.params)
            except RecordingError:
                continue
            clock = session.sources[cutter.name].clock
            frames = cut(features.values, features.times_s, clock, session.windows, cutter.grid)
            available = coverage(frames, session.windows, cutter.grid) >= least
            arrays = {cutter.name: cutter.inputs(frames, available), "available": available}
            arrays[LEVEL_DB] = np.array(features.quality.get(LEVEL_DB, np.nan))
            write_arrays(folder / cutter.name / shift / SESSIONS / f"{session.name}.npz", arrays)
    except Exception as error:
        return f"{row['path']}: {unreadable(error)}"
    return ""


def read_all(
    project: Project, corpus: Corpus, folder: Path, sensors: Sequence[str]
) -> dict[str, tuple[str, ...]]:
    """Write the shifted inputs of all recordings of some sensors; return the shifts of each.

    Raises
    ------
    RuntimeError
        If a recording cannot be read again.
    """
    settings = project.section(WindowParams)
    cutters = cutters_of(project)
    index = read_table(project.windows / "index.parquet", Labels)
    used = {*corpus.index["session"].to_numpy()[corpus.available.any(1)]}
    tasks = []
    chosen = [cutter for cutter in cutters if cutter.name in sensors]
    for cutter in chosen:
        table = read_table(project.recordings_table(cutter.name), Recordings)
        rows = {row["recording"]: row for row in table.iter_rows(named=True)}
        for session in sessions_of(project, index, cutters):
            source = session.sources.get(cutter.name)
            if source and session.name in used:
                tasks.append(Task(session, cutter, rows[source.arrays.stem], shifts_of(cutter)))
    work = partial(
        read_shifted, root=project.dataset_root, least=settings.min_coverage, folder=folder
    )
    reasons = isolated_map(work, tasks, "shifted", LIMIT_S, lambda task, reason: reason)
    if problems := [reason for reason in reasons if reason]:
        raise RuntimeError("; ".join(problems[:3]))
    return {cutter.name: shifts_of(cutter) for cutter in chosen}


def shifted_corpus(corpus: Corpus, folder: Path, sensor: str) -> Corpus:
    """Return a corpus with the inputs and levels of one shift in place of a sensor's."""
    column = corpus.modalities.index(sensor)
    available = np.zeros_like(corpus.available)
    sessions = corpus.index["session"].to_numpy()
    level_db: list[dict[str, object]] = []
    for path in (folder / SESSIONS).glob("*.npz"):
        rows = np.flatnonzero(sessions == path.stem)
        with np.load(path) as arrays:
            available[rows, column] = arrays["available"]
            level = float(arrays[LEVEL_DB])
        level_db.append({"session": path.stem, "modality": sensor, "level_db": level})
    levels = frame_of(level_db, Levels).filter(pl.col("level_db").is_finite())
    return replace(corpus, folder=folder, available=available & corpus.available, levels=levels)


def of_rows(corpus: Corpus, inside: NDArray[np.bool_]) -> Corpus:
    """Return a corpus in which the windows outside of a selection (N,) have no sensor."""
    return replace(corpus, available=corpus.available & inside[:, None])


def compare(corpus: Corpus, folder: Path, shifts: Mapping[str, Sequence[str]]) -> Iterator[Outcome]:
    """Yield the deviations of every sensor and shift from references of other people."""
    groups = subject_groups(corpus.index["subject"].to_numpy())
    selections = [groups == group for group in np.unique(groups)]
    references = [fit_references(of_rows(corpus, ~inside)) for inside in selections]
    recordings = pl.Series("recording", recording_names(corpus.index))
    people = corpus.index.select(recordings, "subject").unique()

    def measured(of: Corpus, sensor: str) -> pl.DataFrame:
        tables = [
            deviations({sensor: of_others[sensor]}, of_rows(of, inside))
            for of_others, inside in zip(references, selections, strict=True)
            if sensor in of_others
        ]
        return pl.concat(tables).join(people, on="recording") if tables else pl.DataFrame()

    for sensor, names in shifts.items():
        clean = measured(corpus, sensor)
        for shift in names:
            changed = shifted_corpus(corpus, folder / sensor / shift, sensor)
            outcome = measured(changed, sensor)
            if not clean.is_empty() and not outcome.is_empty():
                yield Outcome(sensor, shift, clean, outcome)


def auroc(clean: Array, shifted: Array) -> float:
    """Return the probability that a shifted recording deviates more than a clean one."""
    return float(mannwhitneyu(shifted, clean).statistic / (len(shifted) * len(clean)))


def interval(outcomes: Sequence[Outcome]) -> tuple[float, float, float]:
    """Return AUROC over the recordings of some outcomes with its 95 % interval over people.

    The clean recordings of a sensor count once for all of its shifts.
    """
    clean = pl.concat({outcome.sensor: outcome.clean for outcome in outcomes}.values())
    shifted = pl.concat([outcome.shifted for outcome in outcomes])
    people = clean["subject"].unique().sort().to_list()

    def by_person(table: pl.DataFrame) -> list[Array]:
        return [table.filter(subject=name)["deviation"].to_numpy() for name in people]

    of_clean, of_shifted = by_person(clean), by_person(shifted)
    rng = generator("shifted", *[f"{o.sensor} {o.shift}" for o in outcomes])
    drawn = []
    for _ in range(RESAMPLES):
        chosen = rng.integers(len(people), size=len(people))
        negatives, positives = (
            np.concatenate([of[n] for n in chosen]) for of in (of_clean, of_shifted)
        )
        if len(negatives) and len(positives):
            drawn.append(auroc(negatives, positives))
    low, high = np.quantile(drawn, [0.025, 0.975])
    return auroc(clean["deviation"].to_numpy(), shifted["deviation"].to_numpy()), low, high


def row(title: str, shift: str, outcomes: Sequence[Outcome]) -> str:
    """Return a line of the table."""
    value, low, high = interval(outcomes)
    shifted = pl.concat([outcome.shifted for outcome in outcomes])["deviation"]
    clean = pl.concat({outcome.sensor: outcome.clean for outcome in outcomes}.values())["deviation"]
    above = [float(np.mean(values.to_numpy() > DIFFERENT)) for values in (clean, shifted)]
    cells = (
        title,
        shift,
        f"{len(clean)}",
        *(f"{share:.2f}" for share in above),
        f"{value:.3f} [{low:.3f}, {high:.3f}]",
    )
    return "| " + " | ".join(cells) + " |"


def table(outcomes: Sequence[Outcome]) -> list[str]:
    """Return a Markdown table: every shift, every sensor, and all."""
    lines = [
        f"| sensor | shift | recordings | unchanged above {DIFFERENT:g} | shifted above "
        f"{DIFFERENT:g} | AUROC |",
        "|---|---|---|---|---|---|",
        *(row(outcome.sensor, outcome.shift, [outcome]) for outcome in outcomes),
    ]
    for sensor in dict.fromkeys(outcome.sensor for outcome in outcomes):
        lines.append(row(sensor, "all", [each for each in outcomes if each.sensor == sensor]))
    return [*lines, row("all", "all", outcomes)] if outcomes else lines


def main(study: str, every: str = "1", *sensors: str) -> None:
    """Print the table of a study."""
    project = Project(study)
    corpus = load_corpus(project.windows)
    chosen = corpus.index["session"].unique(maintain_order=True).gather_every(int(every))
    corpus = of_rows(corpus, corpus.index["session"].is_in(chosen.implode()).to_numpy())
    with tempfile.TemporaryDirectory() as temporary:
        shifts = read_all(project, corpus, Path(temporary), sensors or corpus.modalities)
        print("\n".join(table(list(compare(corpus, Path(temporary), shifts)))))


if __name__ == "__main__":
    main(*sys.argv[1:])

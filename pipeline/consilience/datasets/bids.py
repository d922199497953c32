"""EEG-BIDS (Pernet et al. 2019), with sound and video of the same runs beside it.

::

    sub-01/[ses-1/]eeg/sub-01[_ses-1]_task-film[_run-1]_eeg.edf     or .bdf, .vhdr, .set
    sub-01/[ses-1/]eeg/…_events.tsv      onset, duration, trial_type [, valence, arousal]
    sub-01/[ses-1/]eeg/…_channels.tsv    name, …, units, status
    sub-01/[ses-1/]eeg/…_eeg.json        PowerLineFrequency, SamplingFrequency
    sub-01/[ses-1/]beh/sub-01[_ses-1]_task-film[_run-1]_audio.wav   and …_video.mp4
    classes.txt                          one emotion class per line

Sidecars are located by the inheritance principle of BIDS (mne-bids). BIDS has no sound or video
of the subject: files ending in ``_audio`` and ``_video`` are assumed to belong to the run with the
same other entities, in any folder of the subject.

A run is a session, with the clock of the EEG: onsets count from its first sample. Sound and video
are aligned to it; events called ``sync`` are the pulses. Every other event with a duration is a
trial; one without labels nothing, which is reported. Its ``trial_type`` is the intended emotion;
``valence`` and ``arousal`` are the subject's own ratings, from -1 to 1. Without ``classes.txt``
every such ``trial_type`` is a class. Channels whose status is bad are masked, in addition to those
that the quality check of the EEG rejects. The ``SamplingFrequency`` is compared with the recording;
a ``PowerLineFrequency`` that all runs share is the preset of ``mains_hz``.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from pathlib import Path
from typing import Any, ClassVar

import polars as pl
from mne_bids import BIDSPath, get_bids_path_from_fname

from consilience.core.errors import ConsilienceError
from consilience.core.file_names import is_side_file
from consilience.core.wording import counted
from consilience.datasets.base import Entry, Listing
from consilience.datasets.folder import classes_of, declared_classes, preset_of
from consilience.datasets.harmonised import harmonised
from consilience.datasets.tables import (
    RATINGS,
    check_annotations,
    check_trials,
    spelling,
    validated,
)
from consilience.readers.recording import units_item
from consilience.readers.text_table import LINE, Problem, filter_rows, read_text
from consilience.schema.tables import Annotations, Pulses, Trials, frame_of
from consilience.signals.montage import standard_names

EEG = (".edf", ".bdf", ".vhdr", ".set")
MEDIA = {
    "audio": (
        *(".wav", ".flac", ".mp3", ".ogg", ".opus", ".m4a", ".aac", ".aiff"),
        *(".mp4", ".avi", ".mov", ".mkv", ".webm"),
    ),
    "video": (".mp4", ".avi", ".mov", ".mkv", ".mpg", ".mpeg", ".webm"),
}
SYNC = "sync"
NO_VALUE = "n/a"  # an empty cell in BIDS
MAINS, RATE = "PowerLineFrequency", "SamplingFrequency"  # fields of eeg.json
ONSET = pl.col("onset").cast(pl.Float64, strict=False)  # in seconds, of events
DURATION = pl.col("duration").cast(pl.Float64, strict=False).fill_null(0.0)
MAX_JSON_BYTES = 2**20
MOST_LISTED = 5  # kinds of events named in a problem
DERIVED = {"derivatives", "sourcedata", "code"}


class Bids:
    """Adapter of EEG-BIDS; modalities and classes are those of the folder."""

    name: ClassVar[str] = "bids"
    clock: ClassVar[str] = "shared"

    def __init__(
        self,
        modalities: tuple[str, ...] = ("eeg", "audio", "video"),
        classes: tuple[str, ...] = (),
        preset: dict[str, Any] | None = None,
    ) -> None:
        self.modalities, self.classes, self.preset = modalities, classes, preset or {}

    def at(self, root: Path) -> Bids:
        """Return the adapter with the modalities and classes of a folder.

        Raises
        ------
        ConsilienceError
            If no EEG file has a BIDS name, or there are too many classes.
        """
        listing = Bids(classes=declared_classes(root)).list(root)
        listed = {entry.modality for entry in listing.entries}
        modalities = tuple(name for name in self.modalities if name in listed)
        preset = preset_of(listing)
        mains_hz = {_number(_stated(run, MAINS)) for _, run in _runs(root, []).values()} - {None}
        if len(mains_hz) == 1:
            eeg = {"mains_hz": mains_hz.pop()}
            preset["modalities"] = {name: eeg if name == "eeg" else {} for name in modalities}
        return Bids(modalities, classes_of(root, listing.annotations), preset)

    def list(self, root: Path) -> Listing:
        """List the runs below `root`; see the module for the layout.

        Raises
        ------
        ConsilienceError
            If no EEG file has a BIDS name.
        """
        problems: list[Problem] = []
        notes: list[tuple[str, str]] = []
        runs = _runs(root, problems)
        if not runs:
            raise ConsilienceError(
                "no EEG in BIDS found",
                str(root),
                "expected names such as sub-01/eeg/sub-01_task-film_eeg.edf",
            )
        entries, tables = _media_entries(root, set(runs), problems), []
        for session, (file, run) in runs.items():
            subject = f"sub-{run.subject}"
            bad, units, notes_on_bad = _channels(run, root, problems)
            path = file.relative_to(root).as_posix()
            rate_hz = _number(_stated(run, RATE))
            entries.append(Entry(session, subject, "eeg", path, units, rate_hz, bad_channels=bad))
            notes += notes_on_bad
            tables.append(_tables(run, session, root, self.classes, problems, notes))
        trials, pulses, annotations = (pl.concat(of_runs) for of_runs in zip(*tables, strict=True))
        _report_mains(runs, problems)
        annotations = harmonised(annotations, self.classes, "*_events.tsv", problems)
        return Listing(entries, trials, pulses, annotations, problems, notes)


def _runs(root: Path, problems: list[Problem]) -> dict[str, tuple[Path, BIDSPath]]:
    """Return every EEG file with a BIDS name, and its entities, by run."""
    runs: dict[str, tuple[Path, BIDSPath]] = {}
    for path in _files(root, "eeg", EEG):
        try:
            run = get_bids_path_from_fname(path, verbose="error")
        except (ValueError, RuntimeError, KeyError) as error:
            what = f"not a BIDS name: {' '.join(str(error).split())[:100]}"
            problems.append((path.relative_to(root).as_posix(), what, "rename or remove it"))
            continue
        if run.subject is None or run.basename != path.name:
            remedy = "name it sub-<label>[_ses-<label>]_task-<label>[_run-<index>]_eeg"
            problems.append((path.relative_to(root).as_posix(), "not a BIDS name", remedy))
            continue
        session = path.stem.removesuffix("_eeg")
        if session in runs:
            what = f"duplicate run, also in {runs[session][0].relative_to(root)}"
            problems.append((path.relative_to(root).as_posix(), what, "remove one"))
            continue
        runs[session] = (path, run)
    return runs


def _files(root: Path, ending: str, suffixes: tuple[str, ...]) -> list[Path]:
    return [
        path
        for path in sorted(root.glob(f"sub-*/**/*_{ending}.*"))
        if path.suffix.lower() in suffixes
        and not is_side_file(path)
        and not DERIVED & set(path.relative_to(root).parts)
    ]


def _media_entries(root: Path, runs: set[str], problems: list[Problem]) -> list[Entry]:
    """Return the sound and video files of runs; a file that belongs to no run is a problem."""
    entries = []
    for modality, suffixes in MEDIA.items():
        for file in _files(root, modality, suffixes):
            path = file.relative_to(root).as_posix()
            session = file.stem.removesuffix(f"_{modality}")
            if session in runs:
                subject = session.split("_")[0]
                entries.append(Entry(session, subject, modality, path, clock="anchors"))
            else:
                problems.append((path, "no EEG of this run", "rename it after its run"))
    return entries


def _sidecar(run: BIDSPath, suffix: str, extension: str = ".tsv") -> Path | None:
    sidecar = run.find_matching_sidecar(suffix=suffix, extension=extension, on_error="ignore")
    return None if sidecar is None else Path(sidecar)


def _stated(run: BIDSPath, field: str) -> Any:
    """Return a field of the run's ``eeg.json``; None without a readable one."""
    path = _sidecar(run, "eeg", ".json")
    try:
        if path is None or path.stat().st_size > MAX_JSON_BYTES:
            return None
        content = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return None
    return content.get(field) if isinstance(content, dict) else None


def _number(value: Any) -> float | None:
    """Return a stated frequency; None for ``n/a`` and what is not a frequency."""
    valid = isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < math.inf
    return float(value) if valid else None


def _report_mains(runs: dict[str, tuple[Path, BIDSPath]], problems: list[Problem]) -> None:
    """Report runs with different mains frequencies: the parameters have one for all."""
    sessions: dict[float, list[str]] = {}
    for session, (_, run) in runs.items():
        mains_hz = _number(_stated(run, MAINS))
        if mains_hz is not None:
            sessions.setdefault(mains_hz, []).append(session)
    if len(sessions) > 1:
        counts = ", ".join(
            f"{hz:g} Hz in {counted(len(names), 'run')} such as {names[0]}"
            for hz, names in sessions.items()
        )
        remedy = "modalities.eeg.mains_hz is one for all: use the runs of one frequency"
        problems.append(("*_eeg.json", f"different {MAINS}: {counts}", remedy))


def _read(path: Path, root: Path, columns: tuple[str, ...], problems: list[Problem]) -> Any:
    """Read a sidecar; return None, and report a problem, if it is not such a table."""
    try:
        table = read_text(path, root, columns, problems, delimiter="\t")
    except ConsilienceError as error:
        problems.append((path.relative_to(root).as_posix(), error.what, f"{error.remedy}; unused"))
        return None
    cells = pl.exclude(LINE)
    return table.with_columns(pl.when(cells == NO_VALUE).then(None).otherwise(cells).name.keep())


def _channels(
    run: BIDSPath, root: Path, problems: list[Problem]
) -> tuple[tuple[str, ...], str | None, list[tuple[str, str]]]:
    """Return the bad EEG channels of a run, the item with its units, and a note on bad channels."""
    path = _sidecar(run, "channels")
    table = None if path is None else _read(path, root, ("name",), problems)
    if path is None or table is None:
        return (), None, []
    named = table.drop_nulls("name")
    units = {}
    if "units" in named.columns:
        units = dict(named.select("name", pl.col("units").fill_null("")).iter_rows())
    if "status" not in named.columns:
        return (), units_item(units), []
    bad = named.filter(pl.col("status").str.to_lowercase() == "bad")["name"].to_list()
    standard = standard_names(named["name"])
    note = (path.relative_to(root).as_posix(), f"marked as bad: {', '.join(bad)}")
    masked = tuple(standard[name] for name in bad if name in standard)
    return masked, units_item(units), [note] if bad else []


def _tables(
    run: BIDSPath,
    session: str,
    root: Path,
    classes: tuple[str, ...],
    problems: list[Problem],
    notes: list[tuple[str, str]],
) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]:
    """Return the tables `Trials`, `Pulses` and `Annotations` of a run, from its events."""
    path = _sidecar(run, "events")
    events = None if path is None else _read(path, root, ("onset", "duration"), problems)
    if path is None or events is None:
        if path is None:
            what, remedy = "the run has no events.tsv", "add it; without it nothing is labelled"
            problems.append((f"{session}_eeg", what, remedy))
        return frame_of([], Trials), frame_of([], Pulses), frame_of([], Annotations)
    name = path.relative_to(root).as_posix()
    finite = ONSET.is_finite() & DURATION.is_finite()
    what = "onset or duration is not a number"
    timed = _timed(filter_rows(events, finite, name, what, problems), session)
    is_sync = pl.col("trial_type").fill_null("") == SYNC
    lasting = timed.filter(~is_sync & (pl.col("end_s") > pl.col("start_s")))
    dropped = timed.filter(~is_sync & (pl.col("end_s") <= pl.col("start_s")))
    _report_dropped(dropped, name, classes, problems, notes)
    trial = ("line-" + pl.col(LINE).cast(pl.String)).alias("trial")
    trials = lasting.select(LINE, "session", trial, "start_s", "end_s")
    pulses = timed.filter(is_sync).select("session", time_s="start_s")
    annotations = check_annotations(_annotations(lasting), name, classes, problems)
    return (
        validated(check_trials(trials, name, problems), Trials),
        Pulses.validate(pulses),
        validated(annotations, Annotations),
    )


def _report_dropped(
    dropped: pl.DataFrame,
    name: str,
    classes: tuple[str, ...],
    problems: list[Problem],
    notes: list[tuple[str, str]],
) -> None:
    """Report the events without a duration, which label nothing; those of no class as a note."""
    counts = Counter(str(kind) for kind in dropped["trial_type"].fill_null(NO_VALUE))
    spellings = {spelling(label) for label in classes}
    labels = {kind: n for kind, n in counts.items() if spelling(kind) in spellings or not classes}
    others = {kind: n for kind, n in counts.items() if kind not in labels}
    for kinds in (labels, others):
        listed = ", ".join(f"{kind} ({n})" for kind, n in sorted(kinds.items())[:MOST_LISTED])
        what = (
            f"no label from {counted(sum(kinds.values()), 'event')} without a "
            f"duration above 0: {listed}"
        )
        if kinds is labels and kinds:
            problems.append((name, what, "state how long each lasts; they are left out"))
        elif kinds:
            notes.append((name, what))


def _timed(events: pl.DataFrame, session: str) -> pl.DataFrame:
    """Return events with `session`, `start_s`, `end_s`, and null for missing optional columns."""
    absent = [name for name in ("trial_type", *RATINGS) if name not in events.columns]
    return events.with_columns(
        *(pl.lit(None, pl.String).alias(name) for name in absent),
        session=pl.lit(session),
        start_s=ONSET,
        end_s=ONSET + DURATION,
    )


def _annotations(events: pl.DataFrame) -> pl.DataFrame:
    """Return annotations and the column ``line``: the intended emotion, the subject's ratings."""
    null = pl.lit(None, pl.String)
    targets = [("emotion", "intended", pl.col("trial_type"), null)] + [
        (target, "self", null, pl.col(target)) for target in RATINGS
    ]
    return pl.concat(
        events.filter(pl.coalesce(label, value).is_not_null()).select(
            LINE,
            "session",
            pl.lit(annotator).alias("annotator"),
            pl.lit(target).alias("target"),
            "start_s",
            "end_s",
            label.alias("label"),
            value.cast(pl.Float64, strict=False).alias("value"),
        )
        for target, annotator, label, value in targets
    )


dataset = Bids()

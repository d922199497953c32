"""EEG-BIDS (Pernet et al. 2019), with sound and video of the same runs beside it.

::

    sub-01/[ses-1/]eeg/sub-01[_ses-1]_task-film[_run-1]_eeg.edf     or .bdf, .vhdr, .set
    sub-01/[ses-1/]eeg/…_events.tsv      onset, duration, trial_type [, valence, arousal]
    sub-01/[ses-1/]eeg/…_channels.tsv    name, …, status
    sub-01/[ses-1/]beh/sub-01[_ses-1]_task-film[_run-1]_audio.wav   and …_video.mp4
    classes.txt                          one emotion class a line

Sidecars are found by BIDS's inheritance principle (mne-bids). BIDS has no sound or video of the
subject: files ending in ``_audio`` and ``_video`` are taken to belong to the run whose other
entities they share, in any folder of the subject.

A run is a session, its clock the EEG's: onsets count from its first sample. Sound and video are to
be aligned, for which events called ``sync`` are the pulses. Every other event that lasts is a
trial, its ``trial_type`` the intended emotion; ``valence`` and ``arousal`` are the subject's own
ratings, from -1 to 1. Without ``classes.txt`` every such ``trial_type`` is a class. Channels whose
status is bad are masked, beside those that the EEG's own quality check finds.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import polars as pl
from mne_bids import BIDSPath, get_bids_path_from_fname

from consilience.core.errors import ConsilienceError
from consilience.datasets._tables import (
    LINE,
    RATED,
    Problem,
    check_annotations,
    check_trials,
    keep,
    of_schema,
    read_text,
)
from consilience.datasets.base import Entry, Listing
from consilience.datasets.folder import classes_in, stated_classes
from consilience.schema.tables import Annotations, Pulses, Trials, frame_of
from consilience.signals.montage import standard_names

EEG = (".edf", ".bdf", ".vhdr", ".set")
BESIDE = {
    "audio": (".wav", ".flac", ".mp3", ".mp4", ".avi", ".mov", ".mkv"),
    "video": (".mp4", ".avi", ".mov", ".mkv", ".mpg", ".mpeg"),
}
SYNC = "sync"
NO_VALUE = "n/a"  # how BIDS writes an empty cell
DERIVED = {"derivatives", "sourcedata", "code"}


class Bids:
    """Adapter of EEG-BIDS; modalities and classes are those found."""

    name: ClassVar[str] = "bids"
    clock: ClassVar[str] = "shared"
    preset: ClassVar[dict[str, Any]] = {}

    def __init__(
        self,
        modalities: tuple[str, ...] = ("eeg", "audio", "video"),
        classes: tuple[str, ...] = (),
    ) -> None:
        self.modalities, self.classes = modalities, classes

    def at(self, root: Path) -> Bids:
        """Return the adapter with the modalities and classes of a folder.

        Raises
        ------
        ConsilienceError
            If there is no EEG in BIDS, or too many classes.
        """
        listing = Bids(classes=stated_classes(root)).list(root)
        found = {entry.modality for entry in listing.entries}
        modalities = tuple(name for name in self.modalities if name in found)
        return Bids(modalities, classes_in(root, listing.annotations))

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
        entries, tables = _beside(root, set(runs), problems), []
        for session, (path, run) in runs.items():
            subject = f"sub-{run.subject}"
            bad, notes_on_bad = _bad_channels(run, root, problems)
            place = path.relative_to(root).as_posix()
            entries.append(Entry(session, subject, "eeg", place, bad_channels=bad))
            notes += notes_on_bad
            tables.append(_tables(run, session, root, self.classes, problems))
        trials, pulses, annotations = (pl.concat(parts) for parts in zip(*tables, strict=True))
        return Listing(entries, trials, pulses, annotations, problems, notes)


def _runs(root: Path, problems: list[Problem]) -> dict[str, tuple[Path, BIDSPath]]:
    """Return every EEG file with a BIDS name by its run."""
    runs: dict[str, tuple[Path, BIDSPath]] = {}
    for path in _files(root, "eeg", EEG):
        try:
            run = get_bids_path_from_fname(path, verbose="error")
        except (ValueError, RuntimeError, KeyError) as error:
            what = f"no BIDS name: {' '.join(str(error).split())[:100]}"
            problems.append((path.relative_to(root).as_posix(), what, "rename or remove it"))
            continue
        if run.subject is None or run.basename != path.name:
            remedy = "name it sub-<label>[_ses-<label>]_task-<label>[_run-<index>]_eeg"
            problems.append((path.relative_to(root).as_posix(), "no BIDS name", remedy))
            continue
        session = path.stem.removesuffix("_eeg")
        if session in runs:
            what = f"the run is there twice, also as {runs[session][0].relative_to(root)}"
            problems.append((path.relative_to(root).as_posix(), what, "remove one"))
            continue
        runs[session] = (path, run)
    return runs


def _files(root: Path, ending: str, suffixes: tuple[str, ...]) -> list[Path]:
    return [
        path
        for path in sorted(root.glob(f"sub-*/**/*_{ending}.*"))
        if path.suffix.lower() in suffixes and not DERIVED & set(path.relative_to(root).parts)
    ]


def _beside(root: Path, runs: set[str], problems: list[Problem]) -> list[Entry]:
    """Return sound and video files of runs; one that belongs to no run is a problem."""
    entries = []
    for modality, suffixes in BESIDE.items():
        for path in _files(root, modality, suffixes):
            place = path.relative_to(root).as_posix()
            session = path.stem.removesuffix(f"_{modality}")
            if session in runs:
                subject = session.split("_")[0]
                entries.append(Entry(session, subject, modality, place, clock="anchors"))
            else:
                problems.append((place, "no EEG of this run", "rename it after its run"))
    return entries


def _sidecar(run: BIDSPath, suffix: str) -> Path | None:
    found = run.find_matching_sidecar(suffix=suffix, extension=".tsv", on_error="ignore")
    return None if found is None else Path(found)


def _read(path: Path, root: Path, columns: tuple[str, ...], problems: list[Problem]) -> Any:
    """Read a sidecar; one that is no such table is a problem."""
    try:
        table = read_text(path, root, columns, problems, delimiter="\t")
    except ConsilienceError as error:
        problems.append((path.relative_to(root).as_posix(), error.what, f"{error.remedy}; unused"))
        return None
    cells = pl.exclude(LINE)
    return table.with_columns(pl.when(cells == NO_VALUE).then(None).otherwise(cells).name.keep())


def _bad_channels(
    run: BIDSPath, root: Path, problems: list[Problem]
) -> tuple[tuple[str, ...], list[tuple[str, str]]]:
    """Return the EEG channels of a run whose status is bad, and a note on all such channels."""
    path = _sidecar(run, "channels")
    table = None if path is None else _read(path, root, ("name",), problems)
    if path is None or table is None or "status" not in table.columns:
        return (), []
    named = table.drop_nulls("name")
    bad = named.filter(pl.col("status").str.to_lowercase() == "bad")["name"].to_list()
    standard = standard_names(named["name"])
    note = (path.relative_to(root).as_posix(), f"the dataset calls bad: {', '.join(bad)}")
    return tuple(standard[name] for name in bad if name in standard), [note] if bad else []


def _tables(
    run: BIDSPath, session: str, root: Path, classes: tuple[str, ...], problems: list[Problem]
) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]:
    """Return the tables `Trials`, `Pulses` and `Annotations` of a run, from its events."""
    path = _sidecar(run, "events")
    events = None if path is None else _read(path, root, ("onset", "duration"), problems)
    if path is None or events is None:
        if path is None:
            told = (f"{session}_eeg", "the run has no events.tsv", "without it nothing is labelled")
            problems.append(told)
        return frame_of([], Trials), frame_of([], Pulses), frame_of([], Annotations)
    place = path.relative_to(root).as_posix()
    timed = keep(
        _timed(events, session),
        pl.col("start_s").is_finite() & pl.col("end_s").is_finite(),
        place,
        "onset or duration is no number",
        problems,
    )
    sync = pl.col("trial_type").fill_null("") == SYNC
    lasting = timed.filter(~sync & (pl.col("end_s") > pl.col("start_s")))
    trial = ("line-" + pl.col(LINE).cast(pl.String)).alias("trial")
    trials = lasting.select(LINE, "session", trial, "start_s", "end_s")
    pulses = timed.filter(sync).select("session", time_s="start_s")
    return (
        of_schema(check_trials(trials, place, problems), Trials),
        Pulses.validate(pulses),
        of_schema(check_annotations(_said(lasting), place, classes, problems), Annotations),
    )


def _timed(events: pl.DataFrame, session: str) -> pl.DataFrame:
    """Return events with `session`, `start_s` and `end_s`, and all columns that may be missing."""
    onset, duration = (
        pl.col(name).cast(pl.Float64, strict=False) for name in ("onset", "duration")
    )
    absent = [name for name in ("trial_type", *RATED) if name not in events.columns]
    return events.with_columns(
        *(pl.lit(None, pl.String).alias(name) for name in absent),
        session=pl.lit(session),
        start_s=onset,
        end_s=onset + duration.fill_null(0.0),
    )


def _said(events: pl.DataFrame) -> pl.DataFrame:
    """Return annotations and the column ``line``: the intended emotion, the subject's ratings."""
    none = pl.lit(None, pl.String)
    parts = [("emotion", "intended", pl.col("trial_type"), none)] + [
        (target, "self", none, pl.col(target)) for target in RATED
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
        for target, annotator, label, value in parts
    )


dataset = Bids()

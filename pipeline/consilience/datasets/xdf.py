"""XDF: sessions of LabRecorder, with any combination of streams in a file.

Expected below the root, in any folders: ``*.xdf`` or ``*.xdfz`` files, named as by LabRecorder
(``sub-P001_ses-S001_task-Default_run-001_eeg.xdf``). The part before the file's modality is the
session, ``sub-…`` the subject. A file with another name is a session and a subject of its own.

The kind of a stream is derived from its declared type, or else from its name: EEG, ECG, PPG, GSR.
Of several streams of a kind the first that is not empty is used. A stream whose time stamps and
clock offsets are of different clocks is reported, and not aligned by the offsets. A stream of text
holds markers. If it is called sync, trigger or pulse, they are the session's pulses; otherwise they
are annotations::

    calm                 this class until the next marker of the stream
    emotion=calm         the same
    valence=0.5          a rating from -1 to 1 until the next one; arousal likewise
    trial=7, trial_end   a span of time that windows must not cross

``trial_end`` also ends the class and the ratings. Other markers are ignored and counted. Markers
are in the session's time; the annotator is the name of the stream, and ``self…`` is the subject.
Classes are those of ``classes.txt`` at the root, one per line, or else the labels after
``emotion=``.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from consilience.core.errors import ConsilienceError, RecordingError
from consilience.core.file_names import is_side_file
from consilience.core.wording import counted
from consilience.datasets.base import Entry, Listing
from consilience.datasets.folder import classes_of, declared_classes, preset_of
from consilience.datasets.harmonised import harmonised
from consilience.datasets.tables import annotation, annotations_of, spelling
from consilience.readers import xdf
from consilience.readers.text_table import Problem
from consilience.schema.tables import Pulses, Trials, frame_of
from consilience.signals.montage import standard_names

KINDS = {
    "eeg": re.compile(r"(?<![a-z])eeg", re.IGNORECASE),
    "ecg": re.compile(r"(?<![a-z])(ecg|ekg)", re.IGNORECASE),
    "ppg": re.compile(r"(?<![a-z])(ppg|bvp|pleth)", re.IGNORECASE),
    "gsr": re.compile(r"(?<![a-z])((gsr|eda)(?![a-z])|skin)", re.IGNORECASE),
}
MARKER = re.compile(r"marker|stim|trigger", re.IGNORECASE)
SYNC = re.compile(r"sync|trigger|pulse", re.IGNORECASE)
SUBJECT = re.compile(r"sub-[A-Za-z0-9]+")
MODALITY = re.compile(r"_(eeg|beh|physio|multimodal)$")  # end of a file name, after the session
STATEMENT = re.compile(r"\s*(emotion|valence|arousal|trial)\s*[=:]\s*(\S.*?)\s*", re.IGNORECASE)
TRIAL_END = re.compile(r"\s*trial[ _]end\s*", re.IGNORECASE)
END, MARKERS = "end", "markers"
MAX_MARKERS = 100_000
MAX_REPORTED = 20  # problems of one stream of markers


@dataclass
class Content:
    """Content of the files of a dataset, file by file."""

    entries: list[Entry] = field(default_factory=list)
    trials: list[dict[str, object]] = field(default_factory=list)
    pulses: list[dict[str, object]] = field(default_factory=list)
    annotations: list[dict[str, object]] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    ignored: dict[str, set[str]] = field(default_factory=dict)  # files by type of their streams


class Xdf:
    """Adapter of LabRecorder's sessions; modalities and classes are those of the folder."""

    name: ClassVar[str] = "xdf"
    clock: ClassVar[str] = "anchors"

    def __init__(
        self,
        modalities: tuple[str, ...] = tuple(KINDS),
        classes: tuple[str, ...] = (),
        preset: dict[str, Any] | None = None,
    ) -> None:
        self.modalities, self.classes, self.preset = modalities, classes, preset or {}

    def at(self, root: Path) -> Xdf:
        """Return the adapter with the modalities, EEG channels and classes of a folder.

        Raises
        ------
        ConsilienceError
            As `list`; if no stream can be used, or there are too many classes.
        """
        listing = Xdf(classes=declared_classes(root)).list(root)
        present = {entry.modality for entry in listing.entries}
        if not present:
            where, what, remedy = next(iter(listing.problems), (str(root), "no supported kind", ""))
            raise ConsilienceError(f"no usable stream: {what}", where, remedy)
        modalities = tuple(kind for kind in KINDS if kind in present)
        preset: dict[str, Any] = {"modalities": {name: {} for name in modalities}}
        channels = _channels(root, listing.entries)
        if channels:
            preset["modalities"]["eeg"] = {"channels": channels}
        preset |= {key: value for key, value in preset_of(listing).items() if key == "annotation"}
        n_subjects = len({entry.subject for entry in listing.entries})
        if 2 <= n_subjects < 8:
            preset["splits"] = {"folds": n_subjects}
        return Xdf(modalities, classes_of(root, listing.annotations), preset)

    def list(self, root: Path) -> Listing:
        """List the streams below `root`; see the module for how each kind is read.

        Raises
        ------
        ConsilienceError
            If the folder contains no XDF file.
        """
        files = sorted(
            path
            for path in root.rglob("*")
            if path.suffix.lower() in xdf.SUFFIXES and not is_side_file(path)
        )
        if not files:
            raise ConsilienceError("no XDF file found", str(root), "expected LabRecorder's *.xdf")
        content = Content()
        for path in files:
            where = path.relative_to(root).as_posix()
            try:
                if path.suffix == ".xdfz" and path.with_suffix(".xdf") in files:
                    raise RecordingError("the unpacked file is beside it", where, "left out")
                if not path.resolve().is_relative_to(root.resolve()):
                    raise RecordingError("the path leads out of the dataset", where, "left out")
                _add(path, where, _session(where, content), self.classes, content)
            except RecordingError as error:
                content.problems.append((where, error.what, error.remedy))
            except OSError as error:
                content.problems.append((where, f"cannot be read: {error}", "left out"))
        return Listing(
            content.entries,
            frame_of(content.trials, Trials),
            frame_of(content.pulses, Pulses),
            harmonised(
                annotations_of(content.annotations), self.classes, "*.xdf", content.problems
            ),
            content.problems,
            [
                (
                    "*.xdf",
                    f"streams of kind '{kind}', in {counted(len(paths), 'file')}, are not read",
                )
                for kind, paths in sorted(content.ignored.items())
            ],
        )


def _channels(root: Path, entries: Iterable[Entry]) -> tuple[str, ...]:
    """Return the EEG channels of at least half of the streams that have standard names."""
    channels = [
        tuple(standard_names(xdf.find(root / entry.path, entry.item).channels).values())
        for entry in entries
        if entry.modality == "eeg"
    ]
    count = Counter(name for names in channels for name in names)
    required = sum(map(bool, channels)) / 2
    return tuple(name for name, n_streams in count.items() if n_streams >= required)


def _session(where: str, content: Content) -> str:
    """Return the session of a file, with its folders if the name alone is not unique."""
    stem = MODALITY.sub("", Path(where).stem)
    earlier = {entry.session for entry in content.entries}
    return (
        stem
        if stem not in earlier
        else MODALITY.sub("", str(Path(where).with_suffix(""))).replace("/", "_")
    )


def _add(path: Path, where: str, session: str, classes: tuple[str, ...], content: Content) -> None:
    """Add the streams of one file. Raises RecordingError."""
    streams = xdf.streams(path)
    if not streams:
        raise RecordingError("no streams", where, "choose streams in LabRecorder")
    read = xdf.contents(path)
    if read.damaged:
        remedy = "copy it again if the original is whole"
        content.problems += [(where, note, remedy) for note in read.notes]
    match = SUBJECT.search(session)
    subject = match[0] if match else session
    for stream in streams:
        kind = _kind(stream)
        label = f"stream {stream.item} ('{stream.name}')"
        if kind is None:
            content.ignored.setdefault(stream.type or stream.name, set()).add(where)
        elif stream.n_samples == 0:
            remedy = "check the device before the next recording; the stream is left out"
            content.problems.append((where, f"{label} is empty", remedy))
        elif stream.clock_fault and kind == MARKERS:
            remedy = "let the sender stamp with LSL's clock; the markers are left out"
            content.problems.append((where, f"{label}: {stream.clock_fault}", remedy))
        elif kind == MARKERS:
            _add_markers(xdf.read(path, stream.item), where, session, classes, content)
        elif any(entry.path == where and entry.modality == kind for entry in content.entries):
            remedy = "the first is used; this one is left out"
            content.problems.append((where, f"{label} is not the only one of {kind}", remedy))
        else:
            if stream.clock_fault:
                remedy = "let the sender stamp with LSL's clock; align this file by pulses"
                content.problems.append((where, f"{label}: {stream.clock_fault}", remedy))
            clock = None if stream.offsets or stream.clock_fault else "shared"
            content.entries.append(Entry(session, subject, kind, where, stream.item, None, clock))


def _kind(stream: xdf.Stream) -> str | None:
    if stream.format == xdf.TEXT or MARKER.search(stream.type):
        return MARKERS
    for text in (stream.type, stream.name):
        for kind, pattern in KINDS.items():
            if pattern.search(text):
                return kind
    return None


def _add_markers(
    samples: xdf.Samples, where: str, session: str, classes: tuple[str, ...], content: Content
) -> None:
    """Add the markers of a stream as pulses, or as annotations and trials."""
    name, n_markers = samples.stream.name, len(samples.stamps_s)
    if n_markers > MAX_MARKERS:
        raise RecordingError(f"{n_markers} markers in stream '{name}'", where, "left out")
    times_s = _session_s(samples)
    if SYNC.search(name):
        content.pulses += [{"session": session, "time_s": float(time_s)} for time_s in times_s]
        return
    statements = [_statement(str(text), classes) for text in samples.values[:, 0]]
    n_unknown = sum(statement is None for statement in statements)
    problems: list[Problem] = []
    if n_unknown:
        what = f"{n_unknown} of {n_markers} markers of stream '{name}' are not recognised"
        remedy = "write them as emotion=…, valence=…, arousal=… or trial=…, or name the classes"
        problems.append((where, what, f"{remedy} in classes.txt"))
    for target in ("emotion", "valence", "arousal", "trial"):
        of_target = [
            (float(time_s), statement[1])
            for time_s, statement in zip(times_s, statements, strict=True)
            if statement is not None and statement[0] in (target, END)
        ]
        # Each statement holds until the next one of its target, or the end of a trial.
        for (start_s, value), (end_s, _) in pairwise([*of_target, (math.inf, "")]):
            if value and end_s > start_s:
                span = (start_s, end_s)
                _add_statement(target, value, span, session, name, where, content, problems)
    content.problems += problems[:MAX_REPORTED]


def _add_statement(
    target: str,
    text: str,
    span_s: tuple[float, float],
    session: str,
    annotator: str,
    where: str,
    content: Content,
    problems: list[Problem],
) -> None:
    """Add one statement, from its marker to the next of its target."""
    start_s, end_s = span_s
    if target == "trial" and math.isfinite(end_s):
        row = {"session": session, "trial": text, "start_s": start_s, "end_s": end_s}
        content.trials.append(row)
    elif target == "trial":
        remedy = "end it by trial_end; windows may lie anywhere after it"
        problems.append((where, f"trial '{text}' has no end", remedy))
    elif target == "emotion":
        content.annotations.append(annotation(session, annotator, target, text, start_s, end_s))
    else:
        value = _number(text)
        if math.isfinite(value):
            content.annotations.append(annotation(session, annotator, target, value, *span_s))
        else:
            remedy = "write a number from -1 to 1; the marker is left out"
            problems.append((where, f"marker '{target}={text}'", remedy))


def _statement(text: str, classes: tuple[str, ...]) -> tuple[str, str] | None:
    """Return the target and the value of a marker; None if it is not recognised."""
    if TRIAL_END.fullmatch(text):
        return END, ""
    spellings = {spelling(name) for name in classes}
    match = STATEMENT.fullmatch(text)
    if match is None:
        return ("emotion", text.strip()) if spelling(text) in spellings else None
    target, value = match[1].lower(), match[2]
    permitted = target != "emotion" or not classes or spelling(value) in spellings
    return (target, value) if permitted else None


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan


def _session_s(samples: xdf.Samples) -> xdf.Array:
    """Return the times of markers on the session's clock, in seconds, shape (n_markers,)."""
    sender_s, session_s = samples.anchors_s.T
    if not len(sender_s):
        return samples.stamps_s
    # The offset is interpolated between its measurements, and constant beyond the first and last.
    order = np.argsort(sender_s, kind="stable")
    offset_s = np.interp(samples.stamps_s, sender_s[order], (session_s - sender_s)[order])
    times_s: xdf.Array = samples.stamps_s + offset_s
    return times_s


dataset = Xdf()

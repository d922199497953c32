"""XDF: sessions of LabRecorder, with any mix of streams in a file.

Expected below the root, in any folders: ``*.xdf`` files, named as LabRecorder names them
(``sub-P001_ses-S001_task-Default_run-001_eeg.xdf``); the part before the file's modality is the
session, ``sub-…`` the subject. A file named otherwise is a session and a subject of its own.

A stream's kind is its declared type, or else is told by its name: EEG, ECG, PPG, GSR. Of several
streams of one kind the first that is not empty is taken. A stream of text is of markers; one
called sync, trigger or pulse gives the session's pulses. Others give annotations::

    calm                 the class from here on, until the next marker of the stream
    emotion=calm         the same
    valence=0.5          a rating from -1 to 1, the same way; arousal likewise
    trial=7, trial_end   a stretch that windows may not leave

``trial_end`` also ends what was said. A marker that is none of these is left aside and counted.
Markers come in the session's time; the annotator is the stream's name, and ``self…`` is the
subject. Classes are those of ``classes.txt`` at the root, one a line, or else the labels that
stand behind ``emotion=``.
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
from consilience.datasets._tables import Problem, annotation, annotations_of
from consilience.datasets.base import Entry, Listing
from consilience.datasets.folder import classes_in, stated_classes
from consilience.readers import xdf
from consilience.schema.tables import Pulses, Trials, frame_of
from consilience.signals.montage import standard_names

KINDS = {
    "eeg": re.compile(r"(?<![a-z])eeg", re.IGNORECASE),
    "ecg": re.compile(r"(?<![a-z])(ecg|ekg)", re.IGNORECASE),
    "ppg": re.compile(r"(?<![a-z])(ppg|bvp|pleth)", re.IGNORECASE),
    "gsr": re.compile(r"(?<![a-z])(gsr|eda|skin)", re.IGNORECASE),
}
MARKER = re.compile(r"marker|stim|trigger", re.IGNORECASE)
SYNC = re.compile(r"sync|trigger|pulse", re.IGNORECASE)
SUBJECT = re.compile(r"sub-[A-Za-z0-9]+")
ENDING = re.compile(r"_(eeg|beh|physio|multimodal)$")  # of the file's name: no part of the session
SAID = re.compile(r"\s*(emotion|valence|arousal|trial)\s*[=:]\s*(\S.*?)\s*", re.IGNORECASE)
TRIAL_END = re.compile(r"\s*trial[ _]end\s*", re.IGNORECASE)
END, MARKERS = "end", "markers"
MAX_MARKERS = 100_000
MAX_TOLD = 20  # problems of one stream of markers


@dataclass
class Found:
    """What the files of a dataset hold, as it comes in."""

    entries: list[Entry] = field(default_factory=list)
    trials: list[dict[str, object]] = field(default_factory=list)
    pulses: list[dict[str, object]] = field(default_factory=list)
    annotations: list[dict[str, object]] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    unread: dict[str, set[str]] = field(default_factory=dict)  # kinds of streams: their files


class Xdf:
    """Adapter of LabRecorder's sessions; what they hold is found in the folder."""

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
        listing = Xdf(classes=stated_classes(root)).list(root)
        present = {entry.modality for entry in listing.entries}
        if not present:
            where, what, remedy = next(iter(listing.problems), (str(root), "nothing is read", ""))
            raise ConsilienceError(f"no stream can be used: {what}", where, remedy)
        modalities = tuple(kind for kind in KINDS if kind in present)
        preset: dict[str, Any] = {"modalities": {name: {} for name in modalities}}
        channels = _channels(root, listing.entries)
        if channels:
            preset["modalities"]["eeg"] = {"channels": channels}
        n_subjects = len({entry.subject for entry in listing.entries})
        if 2 <= n_subjects < 8:
            preset["splits"] = {"folds": n_subjects}
        return Xdf(modalities, classes_in(root, listing.annotations), preset)

    def list(self, root: Path) -> Listing:
        """List the streams below `root`; see the module for what each becomes.

        Raises
        ------
        ConsilienceError
            If there is no XDF file.
        """
        files = sorted(path for path in root.rglob("*") if path.suffix.lower() == ".xdf")
        if not files:
            raise ConsilienceError("no XDF file found", str(root), "expected LabRecorder's *.xdf")
        found = Found()
        for path in files:
            place = path.relative_to(root).as_posix()
            try:
                if not path.resolve().is_relative_to(root.resolve()):
                    raise RecordingError("the path leads out of the dataset", place, "left out")
                _add(path, place, _session(place, found), self.classes, found)
            except RecordingError as error:
                found.problems.append((place, error.what, error.remedy))
            except OSError as error:
                found.problems.append((place, f"cannot be read: {error}", "left out"))
        return Listing(
            found.entries,
            frame_of(found.trials, Trials),
            frame_of(found.pulses, Pulses),
            annotations_of(found.annotations),
            found.problems,
            [
                ("*.xdf", f"streams of kind '{kind}', in {len(places)} files, are not read")
                for kind, places in sorted(found.unread.items())
            ],
        )


def _channels(root: Path, entries: Iterable[Entry]) -> tuple[str, ...]:
    """Return the EEG channels that at least half of those streams have that name any."""
    named = [
        tuple(standard_names(xdf.find(root / entry.path, entry.item).channels).values())
        for entry in entries
        if entry.modality == "eeg"
    ]
    count = Counter(name for names in named for name in names)
    least = sum(map(bool, named)) / 2
    return tuple(name for name, times in count.items() if times >= least)


def _session(place: str, found: Found) -> str:
    """Return the name of a file's session, made unique by its folders where it must be."""
    stem = ENDING.sub("", Path(place).stem)
    taken = {entry.session for entry in found.entries}
    return stem if stem not in taken else ENDING.sub("", place[: -len(".xdf")]).replace("/", "_")


def _add(path: Path, place: str, session: str, classes: tuple[str, ...], found: Found) -> None:
    """Add what the streams of one file are. Raises RecordingError."""
    known = xdf.streams(path)
    if not known:
        raise RecordingError("there are no streams", place, "choose streams in LabRecorder")
    match = SUBJECT.search(session)
    subject = match[0] if match else session
    for stream in known:
        kind = _kind(stream)
        label = f"stream {stream.item} ('{stream.name}')"
        if kind is None:
            found.unread.setdefault(stream.type or stream.name, set()).add(place)
        elif stream.n_samples == 0:
            remedy = "check the device before the next recording; the stream is left out"
            found.problems.append((place, f"{label} is empty: nothing was received", remedy))
        elif kind == MARKERS:
            _add_markers(xdf.read(path, stream.item), place, session, classes, found)
        elif any(entry.path == place and entry.modality == kind for entry in found.entries):
            remedy = "the first is taken; this one is left out"
            found.problems.append((place, f"{label} is not the only one of {kind}", remedy))
        else:
            clock = None if stream.offsets else "shared"
            found.entries.append(Entry(session, subject, kind, place, stream.item, None, clock))


def _kind(stream: xdf.Stream) -> str | None:
    if stream.format == xdf.TEXT or MARKER.search(stream.type):
        return MARKERS
    for told in (stream.type, stream.name):
        for kind, usual in KINDS.items():
            if usual.search(told):
                return kind
    return None


def _add_markers(
    samples: xdf.Samples, place: str, session: str, classes: tuple[str, ...], found: Found
) -> None:
    """Add what a stream of markers says: pulses, or annotations and trials."""
    name, n_markers = samples.stream.name, len(samples.stamps_s)
    if n_markers > MAX_MARKERS:
        raise RecordingError(f"{n_markers} markers in stream '{name}'", place, "left out")
    times_s = _session_s(samples)
    if SYNC.search(name):
        found.pulses += [{"session": session, "time_s": float(time_s)} for time_s in times_s]
        return
    said = [_meaning(str(text), classes) for text in samples.values[:, 0]]
    idle = sum(meaning is None for meaning in said)
    problems: list[Problem] = []
    if idle:
        what = f"{idle} of {n_markers} markers of stream '{name}' say nothing that is known"
        remedy = "write them as emotion=…, valence=…, arousal=… or trial=…, or name the classes"
        problems.append((place, what, f"{remedy} in classes.txt"))
    for target in ("emotion", "valence", "arousal", "trial"):
        own = [
            (float(time_s), meaning[1])
            for time_s, meaning in zip(times_s, said, strict=True)
            if meaning is not None and meaning[0] in (target, END)
        ]
        for (start_s, it), (end_s, _) in pairwise([*own, (math.inf, "")]):
            if it and end_s > start_s:
                _say(target, it, start_s, end_s, session, name, place, found, problems)
    found.problems += problems[:MAX_TOLD]


def _say(
    target: str,
    said: str,
    start_s: float,
    end_s: float,
    session: str,
    annotator: str,
    place: str,
    found: Found,
    problems: list[Problem],
) -> None:
    """Add one statement, from one marker to the next of its kind."""
    if target == "trial" and math.isfinite(end_s):
        span = {"start_s": start_s, "end_s": end_s}
        found.trials.append({"session": session, "trial": said, **span})
    elif target == "trial":
        remedy = "end it by trial_end; windows may lie anywhere after it"
        problems.append((place, f"trial '{said}' has no end", remedy))
    elif target == "emotion":
        found.annotations.append(annotation(session, annotator, target, said, start_s, end_s))
    else:
        value = _number(said)
        if -1 <= value <= 1:
            row = annotation(session, annotator, target, value, start_s, end_s)
            found.annotations.append(row)
        else:
            remedy = "rate from -1 to 1; the marker is left out"
            problems.append((place, f"marker '{target}={said}'", remedy))


def _meaning(text: str, classes: tuple[str, ...]) -> tuple[str, str] | None:
    """Return what a marker speaks of and what it says; None if nothing that is known."""
    if TRIAL_END.fullmatch(text):
        return END, ""
    match = SAID.fullmatch(text)
    if match is None:
        return ("emotion", text.strip()) if text.strip() in classes else None
    target, said = match[1].lower(), match[2]
    return None if target == "emotion" and classes and said not in classes else (target, said)


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan


def _session_s(samples: xdf.Samples) -> xdf.Array:
    """Return markers' times on the session's clock."""
    own_s, session_s = samples.anchors_s.T
    if not len(own_s):
        return samples.stamps_s
    order = np.argsort(own_s, kind="stable")
    offset_s = np.interp(samples.stamps_s, own_s[order], (session_s - own_s)[order])
    moved: xdf.Array = samples.stamps_s + offset_s
    return moved


dataset = Xdf()

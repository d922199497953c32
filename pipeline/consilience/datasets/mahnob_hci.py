"""MAHNOB-HCI: people who watched film clips and reported what they felt (Soleymani et al. 2012).

::

    Sessions/10/session.xml                            feltEmo, feltVlnc, feltArsl, subject id
    Sessions/10/Part_1_S_Trial5_emotion.bdf            EEG and peripheral signals, 256 Hz, triggers
    Sessions/10/P1-Rec1-…_C1 trigger _C_Section_10.avi colour camera; others are not used
    Sessions/10/P1-Rec1-…_AUDIO….wav

or the numbered folders themselves. Only sessions of the emotion experiment are listed, whose
description states the felt emotion. Sessions of implicit tagging and without a clip (``isStim`` =
0) are noted.

The files of a session were cut together by its authors and are assumed to start together. The clip
lasts from the first to the second trigger on the ``Status`` channel of the BDF file. Emotion,
valence and arousal (1 to 9) are the subject's own report.
"""

from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any, ClassVar

from consilience.core.errors import ConsilienceError, RecordingError
from consilience.core.wording import counted
from consilience.datasets.base import Entry, Listing
from consilience.datasets.tables import annotation
from consilience.readers.status_channel import status_events
from consilience.readers.text_table import Problem
from consilience.schema.tables import Annotations, Pulses, Trials, frame_of

# Keywords of feltEmo; 7 to 10 were not used.
EMOTIONS = {
    0: "neutral",
    1: "anger",
    2: "disgust",
    3: "fear",
    4: "joy",
    5: "sadness",
    6: "surprise",
    11: "amusement",
    12: "anxiety",
}
DESCRIPTION = "session.xml"
MAX_BYTES = 1_000_000  # of a description; published ones have a few thousand
COLOUR = re.compile(r"_C1 ?trigger ?_C_", re.IGNORECASE)
Rows = list[dict[str, object]]


class MahnobHci:
    """Adapter of MAHNOB-HCI's emotion experiment."""

    name: ClassVar[str] = "mahnob_hci"
    modalities: ClassVar[tuple[str, ...]] = ("eeg", "audio", "video")
    classes: ClassVar[tuple[str, ...]] = tuple(EMOTIONS.values())
    clock: ClassVar[str] = "shared"
    preset: ClassVar[dict[str, Any]] = {"annotation": {"source": "self"}}

    def list(self, root: Path) -> Listing:
        """List the sessions below `root`; see the module for the layout.

        Raises
        ------
        ConsilienceError
            If the folder contains no session of the emotion experiment.
        """
        problems: list[Problem] = []
        entries: list[Entry] = []
        trials: Rows = []
        annotations: Rows = []
        n_others = 0
        for folder in _folders(root):
            where = folder.relative_to(root).as_posix()
            try:
                report = read_report(folder / DESCRIPTION)
            except RecordingError as error:
                problems.append((f"{where}/{DESCRIPTION}", error.what, "the session is left out"))
                continue
            if report is None:
                n_others += 1
                continue
            session = f"session-{int(folder.name):04d}"
            files = _files(folder)
            entries += [
                Entry(session, report["subject"], modality, path.relative_to(root).as_posix())
                for modality, path in files.items()
            ]
            rows = _clip(files.get("eeg"), where, session, report, problems)
            trials += rows[0]
            annotations += rows[1]
        if not entries:
            raise ConsilienceError(
                "no session of the emotion experiment found",
                str(root),
                f"expected folders such as Sessions/10 with {DESCRIPTION}",
            )
        what = f"not used: {counted(n_others, 'session')} of implicit tagging or without a clip"
        return Listing(
            entries,
            frame_of(trials, Trials),
            frame_of([], Pulses),
            frame_of(annotations, Annotations),
            problems,
            [("Sessions", what)] if n_others else [],
        )


def _folders(root: Path) -> list[Path]:
    parent = root / "Sessions" if (root / "Sessions").is_dir() else root
    numbered = [path for path in parent.iterdir() if path.name.isdecimal() and path.is_dir()]
    return sorted(numbered, key=lambda path: (int(path.name), path.name))


def read_report(path: Path) -> dict[str, Any] | None:
    """Return what the subject reported to have felt, from ``session.xml``.

    Returns
    -------
    dict or None
        ``subject``, ``emotion`` (a class), ``valence`` and ``arousal`` from -1 to 1; None if the
        session is not of the emotion experiment.

    Raises
    ------
    RecordingError
        If the file is missing, is not such XML, or has invalid values.
    """
    if not path.is_file():
        raise RecordingError("the file is missing", path.name)
    if path.stat().st_size > MAX_BYTES:
        raise RecordingError(f"more than {MAX_BYTES} bytes", path.name)
    try:
        session = ElementTree.fromstring(path.read_bytes())
    except (ElementTree.ParseError, ValueError, LookupError) as error:
        raise RecordingError(f"not XML: {' '.join(str(error).split())[:150]}", path.name) from None
    attributes = session.attrib
    if attributes.get("isStim") == "0" or "feltEmo" not in attributes:
        return None
    element = session.find("subject")
    subject = (element.get("id") or "") if element is not None else ""
    if not subject.isdecimal():
        raise RecordingError(f"the subject's id is '{subject[:20]}'", path.name)
    emotion = EMOTIONS.get(_number(attributes, "feltEmo", path))
    if emotion is None:
        raise RecordingError(f"feltEmo {attributes['feltEmo']} is not a keyword", path.name)
    ratings = {
        target: _number(attributes, name, path)
        for target, name in (("valence", "feltVlnc"), ("arousal", "feltArsl"))
    }
    if not all(1 <= rating <= 9 for rating in ratings.values()):
        raise RecordingError(f"a rating is not from 1 to 9: {ratings}", path.name)
    scaled = {target: (rating - 5) / 4 for target, rating in ratings.items()}
    return {"subject": f"subject-{int(subject):02d}", "emotion": emotion, **scaled}


def _number(attributes: dict[str, str], name: str, path: Path) -> int:
    text = attributes.get(name, "")
    if not re.fullmatch(r"\d{1,3}", text, re.ASCII):
        raise RecordingError(f"{name} is '{text[:20]}', not a number", path.name)
    return int(text)


def _files(folder: Path) -> dict[str, Path]:
    """Return the recordings of a session by modality; of several cameras, the colour camera."""
    paths = sorted(folder.iterdir())
    files = {}
    for modality, suffix in (("eeg", ".bdf"), ("audio", ".wav"), ("video", ".avi")):
        candidates = [path for path in paths if path.suffix.lower() == suffix]
        candidates = [path for path in candidates if COLOUR.search(path.name)] or candidates
        if candidates:
            files[modality] = candidates[0]
    return files


def _clip(
    path: Path | None, where: str, session: str, report: dict[str, Any], problems: list[Problem]
) -> tuple[Rows, Rows]:
    """Return the clip's trial, from the triggers of the EEG, and the report as annotations."""
    remedy = "the time of the clip is unknown; the report is left out"
    if path is None:
        problems.append((where, "no BDF file", remedy))
        return [], []
    try:
        times_s = [time_s for time_s, _ in status_events(path)]
    except RecordingError as error:
        problems.append((f"{where}/{path.name}", error.what, remedy))
        return [], []
    if len(times_s) < 2:
        what = f"{counted(len(times_s), 'trigger')} on its Status channel, not two"
        problems.append((f"{where}/{path.name}", what, remedy))
        return [], []
    start_s, end_s = times_s[:2]
    annotations = [
        annotation(session, "self", target, report[target], start_s, end_s)
        for target in ("emotion", "valence", "arousal")
    ]
    trial = {"session": session, "trial": "clip", "start_s": start_s, "end_s": end_s}
    return [trial], annotations


dataset = MahnobHci()

"""MAHNOB-HCI: people watching film clips and saying what they felt (Soleymani et al. 2012).

::

    Sessions/10/session.xml                            feltEmo, feltVlnc, feltArsl, subject id
    Sessions/10/Part_1_S_Trial5_emotion.bdf            EEG and peripheral signals, 256 Hz, triggers
    Sessions/10/P1-Rec1-…_C1 trigger _C_Section_10.avi colour camera; others are left aside
    Sessions/10/P1-Rec1-…_AUDIO….wav

or the numbered folders themselves. Only sessions of the emotion experiment, whose file states
what was felt, are listed; those of implicit tagging and without a clip (``isStim`` = 0) are noted.

A session's files are cut together by its authors and taken to begin together. The clip runs
between the first two triggers on the BDF's ``Status`` channel. Emotion, valence and arousal
(1 to 9) are the subject's own report.
"""

from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any, ClassVar

from consilience.core.errors import ConsilienceError, RecordingError
from consilience.datasets._tables import Problem, annotation
from consilience.datasets.base import Entry, Listing
from consilience.readers.status_channel import status_events
from consilience.schema.tables import Annotations, Pulses, Trials, frame_of

# The keywords of feltEmo that a clip could be given; 7 to 10 were none of them.
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
MAX_BYTES = 1_000_000  # of a description; a real one has a few thousand
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
            If no session of the emotion experiment is there.
        """
        problems: list[Problem] = []
        entries: list[Entry] = []
        trials: Rows = []
        said: Rows = []
        others = 0
        for folder in _folders(root):
            place = folder.relative_to(root).as_posix()
            try:
                felt = describe(folder / DESCRIPTION)
            except RecordingError as error:
                where = f"{place}/{DESCRIPTION}"
                problems.append((where, error.what, "the session is left out"))
                continue
            if felt is None:
                others += 1
                continue
            session = f"session-{int(folder.name):04d}"
            files = _files(folder)
            entries += [
                Entry(session, felt["subject"], modality, path.relative_to(root).as_posix())
                for modality, path in files.items()
            ]
            parts = _clip(files.get("eeg"), place, session, felt, problems)
            trials += parts[0]
            said += parts[1]
        if not entries:
            raise ConsilienceError(
                "no session of the emotion experiment found",
                str(root),
                f"expected folders such as Sessions/10 with {DESCRIPTION}",
            )
        what = f"{others} sessions of implicit tagging or without a clip are left aside"
        return Listing(
            entries,
            frame_of(trials, Trials),
            frame_of([], Pulses),
            frame_of(said, Annotations),
            problems,
            [("Sessions", what)] if others else [],
        )


def _folders(root: Path) -> list[Path]:
    base = root / "Sessions" if (root / "Sessions").is_dir() else root
    numbered = [path for path in base.iterdir() if path.name.isdecimal() and path.is_dir()]
    return sorted(numbered, key=lambda path: (int(path.name), path.name))


def describe(path: Path) -> dict[str, Any] | None:
    """Read what ``session.xml`` says was felt.

    Returns
    -------
    dict or None
        ``subject``, ``emotion`` (a class), ``valence`` and ``arousal`` from -1 to 1; None if the
        session is not of the emotion experiment.

    Raises
    ------
    RecordingError
        If it is missing, no such XML, or states what cannot be.
    """
    if not path.is_file():
        raise RecordingError("it is missing", path.name)
    if path.stat().st_size > MAX_BYTES:
        raise RecordingError(f"more than {MAX_BYTES} bytes", path.name)
    try:
        session = ElementTree.fromstring(path.read_bytes())
    except (ElementTree.ParseError, ValueError, LookupError) as error:
        raise RecordingError(f"not XML: {' '.join(str(error).split())[:150]}", path.name) from None
    stated = session.attrib
    if stated.get("isStim") == "0" or "feltEmo" not in stated:
        return None
    person = session.find("subject")
    subject = (person.get("id") or "") if person is not None else ""
    if not subject.isdecimal():
        raise RecordingError(f"the subject's id is '{subject[:20]}'", path.name)
    emotion = EMOTIONS.get(_number(stated, "feltEmo", path))
    if emotion is None:
        raise RecordingError(f"feltEmo {stated['feltEmo']} is no keyword", path.name)
    felt = {
        target: _number(stated, name, path)
        for target, name in (("valence", "feltVlnc"), ("arousal", "feltArsl"))
    }
    if not all(1 <= rating <= 9 for rating in felt.values()):
        raise RecordingError(f"a rating is not from 1 to 9: {felt}", path.name)
    scaled = {target: (rating - 5) / 4 for target, rating in felt.items()}
    return {"subject": f"subject-{int(subject):02d}", "emotion": emotion, **scaled}


def _number(stated: dict[str, str], name: str, path: Path) -> int:
    text = stated.get(name, "")
    if not re.fullmatch(r"\d{1,3}", text, re.ASCII):
        raise RecordingError(f"{name} is '{text[:20]}', no number", path.name)
    return int(text)


def _files(folder: Path) -> dict[str, Path]:
    """Return the recordings of a session; of several cameras the colour one."""
    paths = sorted(folder.iterdir())
    found = {}
    for modality, suffix in (("eeg", ".bdf"), ("audio", ".wav"), ("video", ".avi")):
        own = [path for path in paths if path.suffix.lower() == suffix]
        own = [path for path in own if COLOUR.search(path.name)] or own
        if own:
            found[modality] = own[0]
    return found


def _clip(
    path: Path | None, place: str, session: str, felt: dict[str, Any], problems: list[Problem]
) -> tuple[Rows, Rows]:
    """Return the trial in which the clip ran, by the EEG's triggers, and what was felt in it."""
    remedy = "when the clip ran is unknown; what was felt is left out"
    if path is None:
        problems.append((place, "no BDF file", remedy))
        return [], []
    try:
        times_s = [time_s for time_s, _ in status_events(path)]
    except RecordingError as error:
        problems.append((f"{place}/{path.name}", error.what, remedy))
        return [], []
    if len(times_s) < 2:
        what = f"{len(times_s)} triggers on its Status channel, not two"
        problems.append((f"{place}/{path.name}", what, remedy))
        return [], []
    start_s, end_s = times_s[:2]
    said = [
        annotation(session, "self", target, felt[target], start_s, end_s)
        for target in ("emotion", "valence", "arousal")
    ]
    trial = {"session": session, "trial": "clip", "start_s": start_s, "end_s": end_s}
    return [trial], said


dataset = MahnobHci()

"""EAV: conversations in which people listened and spoke with an emotion (Lee et al. 2024).

::

    subject1/EEG/subject1_eeg.mat         variable seg or seg1: samples, 30 channels, 200 trials
    subject1/EEG/subject1_eeg_label.mat   variable label: 10 rows, 200 trials, one of a column is 1
    subject1/Video/001_Trial_01_Listening_Neutral.mp4
    subject1/Audio/002_Trial_02_Speaking_Neutral_Aud.wav     speaking only

A trial of 20 s is a session. The three digits in front of a name are the trial's index, from 1, as
in the MAT file; the digits after ``Trial`` are not. Of the label's rows, row // 2 is the emotion
and odd rows are Speaking. The recordings are cut to their trials and carry nothing to align them
by: they are taken to begin together. The emotion is the one the cue asked for.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import scipy.io

from consilience.core.errors import ConsilienceError, RecordingError
from consilience.datasets._tables import Problem, annotation
from consilience.datasets.base import Entry, Listing
from consilience.readers import matlab
from consilience.schema.tables import Annotations, Pulses, Trials, frame_of

SUBJECT = re.compile(r"subject_?0*(\d{1,3})", re.IGNORECASE)
MEDIA = re.compile(r"(\d{3})_Trial_\d+_(Listening|Speaking)_([A-Za-z]+?)(_aud)?", re.IGNORECASE)
FOLDERS = {"audio": ("Audio", ".wav"), "video": ("Video", ".mp4")}
EMOTIONS = ("neutral", "sadness", "anger", "happiness", "calmness")  # in the order of the rows
TASKS = ("listening", "speaking")
MAX_LABEL_BYTES = 10_000_000
Said = tuple[str, str]  # task and emotion


class Eav:
    """Adapter of EAV."""

    name: ClassVar[str] = "eav"
    modalities: ClassVar[tuple[str, ...]] = ("eeg", "audio", "video")
    classes: ClassVar[tuple[str, ...]] = EMOTIONS
    clock: ClassVar[str] = "shared"
    preset: ClassVar[dict[str, Any]] = {"windows": {"length_s": 5.0, "hop_s": 5.0}}

    def list(self, root: Path) -> Listing:
        """List the trials of every subject; see the module for the layout.

        Raises
        ------
        ConsilienceError
            If there is no subject's folder with recordings.
        """
        problems: list[Problem] = []
        entries: list[Entry] = []
        said: dict[str, str] = {}
        for folder, subject in _subjects(root):
            trials = _labels(folder, root, problems)
            media = _media(folder, root, problems)
            for index, (_, told) in media.items():
                _compare(trials, index, told, folder.name, problems)
            eeg = _only(folder / "EEG", "*_eeg.mat")
            places = {} if eeg is None else {"eeg": eeg.relative_to(root).as_posix()}
            for index, (task, emotion) in sorted(trials.items()):
                session = f"{subject}_{index:03d}_{task}"
                said[session] = emotion
                own = {**places, **(media[index][0] if index in media else {})}
                entries += [
                    Entry(session, subject, modality, place, *_item(modality, index))
                    for modality, place in own.items()
                ]
        if not entries:
            raise ConsilienceError(
                "no EAV trial found",
                str(root),
                "expected files such as subject1/EEG/subject1_eeg.mat",
            )
        listed = {entry.session for entry in entries}
        rows = [
            annotation(session, "cue", "emotion", emotion)
            for session, emotion in said.items()
            if session in listed and emotion
        ]
        tables = (frame_of([], Trials), frame_of([], Pulses), frame_of(rows, Annotations))
        return Listing(entries, *tables, problems)


def _item(modality: str, index: int) -> tuple[str | None, float | None]:
    """Return a recording's item, for the EEG its number in the MAT file from 0, and its rate."""
    return (str(index - 1), 500.0) if modality == "eeg" else (None, None)


def _subjects(root: Path) -> Iterator[tuple[Path, str]]:
    """Yield every subject's folder and name, in the order of their numbers."""
    named = [(SUBJECT.fullmatch(path.name), path) for path in root.iterdir() if path.is_dir()]
    numbered = [(int(match[1]), path) for match, path in named if match]
    for number, path in sorted(numbered):
        yield path, f"subject-{number:02d}"


def _only(folder: Path, pattern: str) -> Path | None:
    return next(iter(sorted(folder.glob(pattern))), None)


def _labels(folder: Path, root: Path, problems: list[Problem]) -> dict[int, Said]:
    """Return task and emotion of every trial by its index from 1, as the label file has them."""
    path = _only(folder / "EEG", "*_eeg_label.mat")
    remedy = "labels are taken from the names of sound and video"
    if path is None:
        problems.append((f"{folder.name}/EEG", "no label file (…_eeg_label.mat)", remedy))
        return {}
    try:
        matrix = _label_matrix(path)
    except RecordingError as error:
        problems.append((path.relative_to(root).as_posix(), error.what, remedy))
        return {}
    trials = {}
    for index, column in enumerate(matrix.T.astype(bool), start=1):
        if column.sum() != 1:
            where = path.relative_to(root).as_posix()
            told = (where, f"trial {index} has {column.sum()} classes", "the trial is left out")
            problems.append(told)
            continue
        row = int(column.argmax())
        trials[index] = (TASKS[row % 2], EMOTIONS[row // 2])
    return trials


def _label_matrix(path: Path) -> np.ndarray:
    """Read the label, shape (10, n_trials)."""
    if path.stat().st_size > MAX_LABEL_BYTES:
        raise RecordingError(f"more than {MAX_LABEL_BYTES} bytes", path.name)
    try:
        matlab.check_head(path)
        matlab.check_unfolding(path)
        label = scipy.io.loadmat(path, variable_names=["label"]).get("label")
    except RecordingError:
        raise
    except Exception as error:  # SciPy raises whatever the bytes lead it to
        what = " ".join(str(error).split())[:150]
        raise RecordingError(f"not a readable MATLAB file: {what}", path.name) from None
    rows = len(TASKS) * len(EMOTIONS)
    if label is None or label.ndim != 2 or label.dtype.kind not in "biuf":
        raise RecordingError("no table of numbers called 'label'", path.name)
    if label.shape[0] != rows:
        raise RecordingError(f"label has the shape {label.shape}, not ({rows}, trials)", path.name)
    return np.asarray(label)


def _media(
    folder: Path, root: Path, problems: list[Problem]
) -> dict[int, tuple[dict[str, str], Said]]:
    """Return places by modality, and what the names say, of every trial by its index."""
    found: dict[int, tuple[dict[str, str], Said]] = {}
    for modality, (name, suffix) in FOLDERS.items():
        for path in sorted((folder / name).glob(f"*{suffix}")):
            place = path.relative_to(root).as_posix()
            match = MEDIA.fullmatch(path.stem)
            emotion = match[3].lower() if match else ""
            if match is None or emotion not in EMOTIONS:
                remedy = "expected names such as 001_Trial_01_Listening_Neutral; it is left out"
                problems.append((place, "not an EAV file name", remedy))
                continue
            places, said = found.setdefault(int(match[1]), ({}, (match[2].lower(), emotion)))
            if modality in places or said != (match[2].lower(), emotion):
                what = f"trial {match[1]} is also {', '.join(places.values())}"
                problems.append((place, what, "remove or rename one; it is left out"))
                continue
            places[modality] = place
    return found


def _compare(
    trials: dict[int, Said], index: int, told: Said, subject: str, problems: list[Problem]
) -> None:
    """Take a trial's label from its files' names if there is no other; a contradiction has none."""
    known = trials.setdefault(index, told)
    if known != told:
        what = f"trial {index} is {' '.join(known)} by its label, {' '.join(told)} by its files"
        problems.append((subject, what, "its emotion is left out"))
        trials[index] = (known[0], "")


dataset = Eav()

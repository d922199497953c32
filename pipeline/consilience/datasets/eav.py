"""EAV: conversations in which people listened and spoke with an emotion (Lee et al. 2024).

::

    subject1/EEG/subject1_eeg.mat         variable seg or seg1: samples, 30 channels, 200 trials
    subject1/EEG/subject1_eeg_label.mat   variable label: 10 rows, 200 trials, one-hot columns
    subject1/Video/001_Trial_01_Listening_Neutral.mp4
    subject1/Audio/002_Trial_02_Speaking_Neutral_Aud.wav     speaking only

Each trial of 20 s is a session. The first three digits of a name are the index of the trial from
1, as in the MATLAB file; the digits after ``Trial`` are not. In the label, row // 2 is the emotion
and odd rows are Speaking. The recordings are cut to their trials and contain nothing to align them
by, so they are assumed to start together. The emotion is the one that the cue asked for.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from consilience.core.errors import ConsilienceError, RecordingError
from consilience.datasets.base import Entry, Listing
from consilience.datasets.tables import annotation
from consilience.readers.matlab import MatlabLayout, read_array
from consilience.readers.text_table import Problem
from consilience.schema.tables import Annotations, Pulses, Trials, frame_of

SUBJECT = re.compile(r"subject_?0*(\d{1,3})", re.IGNORECASE)
MEDIA = re.compile(r"(\d{3})_Trial_\d+_(Listening|Speaking)_([A-Za-z]+?)(_aud)?", re.IGNORECASE)
FOLDERS = {"audio": ("Audio", ".wav"), "video": ("Video", ".mp4")}
EMOTIONS = ("neutral", "sadness", "anger", "happiness", "calmness")  # in the order of the rows
TASKS = ("listening", "speaking")
MAX_LABEL_BYTES = 10_000_000
LAYOUT = MatlabLayout(
    variables=("seg1", "seg"),  # the name differs between subjects
    axes=("samples", "channels", "trials"),
    rate_hz=500.0,
    channels=(
        *("Fp1", "Fp2", "F7", "F3", "Fz", "F4", "F8", "FC5", "FC1", "FC2", "FC6"),
        *("T7", "C3", "Cz", "C4", "T8", "CP5", "CP1", "CP2", "CP6"),
        *("P7", "P3", "Pz", "P4", "P8", "PO9", "O1", "Oz", "O2", "PO10"),
    ),
)
Label = tuple[str, str]  # task and emotion


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
            If no subject's folder contains recordings.
        """
        problems: list[Problem] = []
        entries: list[Entry] = []
        emotions: dict[str, str] = {}
        for folder, subject in _subjects(root):
            labels = _labels(folder, root, problems)
            media = _media(folder, root, problems)
            for index, (_, label) in media.items():
                _compare(labels, index, label, folder.name, problems)
            eeg = _first(folder / "EEG", "*_eeg.mat")
            eeg_path = {} if eeg is None else {"eeg": eeg.relative_to(root).as_posix()}
            for index, (task, emotion) in sorted(labels.items()):
                session = f"{subject}_{index:03d}_{task}"
                emotions[session] = emotion
                paths = {**eeg_path, **(media[index][0] if index in media else {})}
                entries += [
                    Entry(session, subject, modality, path, *_item(modality, index))
                    for modality, path in paths.items()
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
            for session, emotion in emotions.items()
            if session in listed and emotion
        ]
        tables = (frame_of([], Trials), frame_of([], Pulses), frame_of(rows, Annotations))
        return Listing(entries, *tables, problems)


def _item(modality: str, index: int) -> tuple[str | None, float | None]:
    """Return item and sampling rate of a recording: of the EEG, its trial in the MATLAB file."""
    return (LAYOUT.item(index - 1), LAYOUT.rate_hz) if modality == "eeg" else (None, None)


def _subjects(root: Path) -> Iterator[tuple[Path, str]]:
    """Yield the folder and the name of every subject, ordered by number."""
    matches = [(SUBJECT.fullmatch(path.name), path) for path in root.iterdir() if path.is_dir()]
    numbered = [(int(match[1]), path) for match, path in matches if match]
    for number, path in sorted(numbered):
        yield path, f"subject-{number:02d}"


def _first(folder: Path, pattern: str) -> Path | None:
    return next(iter(sorted(folder.glob(pattern))), None)


def _labels(folder: Path, root: Path, problems: list[Problem]) -> dict[int, Label]:
    """Return task and emotion by the index of the trial, from 1, as the label file states them."""
    path = _first(folder / "EEG", "*_eeg_label.mat")
    remedy = "labels are read from the names of sound and video files instead"
    if path is None:
        problems.append((f"{folder.name}/EEG", "no label file (…_eeg_label.mat)", remedy))
        return {}
    where = path.relative_to(root).as_posix()
    try:
        matrix = _label_matrix(path)
    except RecordingError as error:
        problems.append((where, error.what, remedy))
        return {}
    labels = {}
    for index, column in enumerate(matrix.T.astype(bool), start=1):
        if column.sum() != 1:
            what = f"trial {index} has {column.sum()} classes"
            problems.append((where, what, "correct the label; the trial is left out"))
            continue
        row = int(column.argmax())
        labels[index] = (TASKS[row % 2], EMOTIONS[row // 2])
    return labels


def _label_matrix(path: Path) -> NDArray[Any]:
    """Read the one-hot labels, shape (10, n_trials). Raises RecordingError."""
    if path.stat().st_size > MAX_LABEL_BYTES:
        raise RecordingError(f"more than {MAX_LABEL_BYTES} bytes", path.name)
    label = read_array(path, "label")
    n_rows = len(TASKS) * len(EMOTIONS)
    if label.ndim != 2 or label.shape[0] != n_rows:
        what = f"label has the shape {label.shape}, not ({n_rows}, trials)"
        raise RecordingError(what, path.name)
    return np.asarray(label)


def _media(
    folder: Path, root: Path, problems: list[Problem]
) -> dict[int, tuple[dict[str, str], Label]]:
    """Return the paths by modality and the label in the file names, by the index of the trial."""
    trials: dict[int, tuple[dict[str, str], Label]] = {}
    for modality, (name, suffix) in FOLDERS.items():
        for path in sorted((folder / name).glob(f"*{suffix}")):
            where = path.relative_to(root).as_posix()
            match = MEDIA.fullmatch(path.stem)
            emotion = match[3].lower() if match else ""
            if match is None or emotion not in EMOTIONS:
                remedy = "expected names such as 001_Trial_01_Listening_Neutral; it is left out"
                problems.append((where, "not an EAV file name", remedy))
                continue
            label = (match[2].lower(), emotion)
            paths, first_label = trials.setdefault(int(match[1]), ({}, label))
            if modality in paths or first_label != label:
                what = f"trial {match[1]} is also {', '.join(paths.values())}"
                problems.append((where, what, "remove or rename one; it is left out"))
                continue
            paths[modality] = where
    return trials


def _compare(
    labels: dict[int, Label], index: int, label: Label, subject: str, problems: list[Problem]
) -> None:
    """Add the label in the file names of a trial; a trial with two different ones gets none."""
    in_file = labels.setdefault(index, label)
    if in_file != label:
        what = f"trial {index} is {' '.join(in_file)} by its label, {' '.join(label)} by its files"
        problems.append((subject, what, "correct one of them; its emotion is left out"))
        labels[index] = (in_file[0], "")


dataset = Eav()

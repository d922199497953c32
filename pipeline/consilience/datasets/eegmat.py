"""EEGMAT: EEG and ECG at rest and during mental arithmetic (Zyma et al. 2019, PhysioNet, ODC-BY).

Expected below the root, in any folders: ``SubjectNN_1.edf`` (rest, eyes closed) and
``SubjectNN_2.edf`` (serial subtraction), EDF+C at 500 Hz with 19 channels of EEG and one of ECG.

A file is a session of one trial, ``rest`` or ``arithmetic``, and its condition is the label: a
state that was asked for, not an emotion. Rest was always recorded first, and sorts first.
``subject-info.csv`` at the root (Subject, Age, Gender) may be missing.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, ClassVar

import polars as pl

from consilience.core.errors import ConsilienceError, RecordingError
from consilience.core.file_names import is_side_file
from consilience.datasets.base import Entry, Listing
from consilience.datasets.tables import annotation, annotations_of
from consilience.readers.edf_header import read_edf_header
from consilience.readers.participants import people_of
from consilience.readers.text_table import Problem, read_text
from consilience.schema.tables import Pulses, Subjects, Trials, frame_of

NAME = re.compile(r"(Subject\d{2})_([12])")
CONDITIONS = {"1": "rest", "2": "arithmetic"}
INFORMATION = "subject-info.csv"
RATE_HZ = 500.0


class Eegmat:
    """Adapter of EEGMAT."""

    name: ClassVar[str] = "eegmat"
    modalities: ClassVar[tuple[str, ...]] = ("eeg", "ecg")
    classes: ClassVar[tuple[str, ...]] = tuple(CONDITIONS.values())
    clock: ClassVar[str] = "shared"
    preset: ClassVar[dict[str, Any]] = {
        "windows": {"length_s": 10.0, "hop_s": 5.0},
        "splits": {"folds": 6, "validation_subjects": 4},
        # Validation loss of the hybrid .35 running, .32 with 20 s of rest; accuracy of coherence
        # transfer .92 by standard deviations, .93 with heavy tails cut.
        "training": {
            "baseline": "enrolment",
            "enrolment": CONDITIONS["1"],
            "enrolment_s": 20.0,
            "scale": "robust",
            "clip": 2.0,
        },
    }

    def list(self, root: Path) -> Listing:
        """List the files below `root`; see the module for the layout.

        Raises
        ------
        ConsilienceError
            If the folder contains no file of the names above.
        """
        entries: list[Entry] = []
        trials: list[dict[str, object]] = []
        annotations: list[dict[str, object]] = []
        problems: list[Problem] = []
        for path in sorted(root.rglob("*.edf")):
            if is_side_file(path):
                continue
            where, match = path.relative_to(root).as_posix(), NAME.fullmatch(path.stem)
            if match is None:
                problems.append((where, "not an EEGMAT file name", "rename it, as Subject00_1.edf"))
                continue
            session, condition = path.stem, CONDITIONS[match[2]]
            entries += [
                Entry(session, match[1], modality, where, declared_rate_hz=RATE_HZ)
                for modality in self.modalities
            ]
            annotations.append(annotation(session, "condition", "emotion", condition))
            end_s = _duration_s(path)
            if end_s is not None:
                trials.append(
                    {"session": session, "trial": condition, "start_s": 0.0, "end_s": end_s}
                )
        if not entries:
            raise ConsilienceError(
                "no EEGMAT file found", str(root), "expected names such as Subject00_1.edf"
            )
        return Listing(
            entries,
            frame_of(trials, Trials),
            frame_of([], Pulses),
            annotations_of(annotations),
            problems,
            people=_people(root, problems),
        )


def _people(root: Path, problems: list[Problem]) -> pl.DataFrame:
    """Return sex and age of the people; empty without the table of subjects."""
    path = root / INFORMATION
    if not path.is_file():
        return frame_of([], Subjects)
    try:
        table = read_text(path, root, ("Subject",), problems)
    except ConsilienceError as error:
        problems.append((error.where, error.what, f"{error.remedy}; it is not used"))
        return frame_of([], Subjects)
    return people_of(table.rename({"Subject": "subject"}), INFORMATION, problems)


def _duration_s(path: Path) -> float | None:
    """Return the duration that the header states; None for a file that ingest will quarantine."""
    try:
        header = read_edf_header(path)
    except (RecordingError, OSError):
        return None
    return header.n_records * header.record_s


dataset = Eegmat()

"""DEAP: people who watched music videos and rated them (Koelstra et al. 2012).

::

    data_original/s01.bdf                    EEG and peripheral signals, 512 Hz, a whole session
    data_preprocessed_matlab/s01.mat         instead: 40 trials of 63 s, 128 Hz
    metadata_csv/participant_ratings.csv     Participant_id, Trial, Experiment_id, Valence, Arousal

in any folders below the root. The original files are preferred. Their ``Status`` channel marks the
trials: code 4 starts a video, code 5 ends it. They are rated in the order of presentation
(``Trial``). The preprocessed files hold a trial per video in the order of ``Experiment_id``, each
after 3 s of rest. The python files (``s01.dat``) are pickles, which run code when loaded: they are
never opened. Face videos are cut per trial, without a clock that relates them to the session, and
are not listed.

Ratings from 1 to 9 are the subjects' own. Above 5 counts as high, which makes four classes.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, ClassVar

import polars as pl

from consilience.core.errors import ConsilienceError, RecordingError
from consilience.core.wording import counted
from consilience.datasets.base import Entry, Listing
from consilience.datasets.tables import annotation
from consilience.readers.matlab import MatlabLayout
from consilience.readers.status_channel import status_events
from consilience.readers.text_table import LINE, Problem, filter_rows, read_text
from consilience.schema.tables import Annotations, Pulses, Trials, frame_of

SUBJECT = re.compile(r"s(\d\d)")
RATINGS = "participant_ratings.csv"
NUMBERS = ("Participant_id", "Trial", "Experiment_id", "Valence", "Arousal")
VIDEO_START, VIDEO_END = 4, 5
VIDEO_S, TOLERANCE_S = 60.0, 5.0
REST_S, N_VIDEOS = 3.0, 40  # of the preprocessed files
LAYOUT = MatlabLayout(  # of the preprocessed files
    variables=("data",),
    axes=("trials", "channels", "samples"),
    rate_hz=128.0,
    channels=(
        *("Fp1", "AF3", "F3", "F7", "FC5", "FC1", "C3", "T7", "CP5", "CP1", "P3", "P7"),
        *("PO3", "O1", "Oz", "Pz", "Fp2", "AF4", "Fz", "F4", "F8", "FC6", "FC2", "Cz"),
        *("C4", "T8", "CP6", "CP2", "P4", "P8", "PO4", "O2"),
        *("hEOG", "vEOG", "zEMG", "tEMG", "GSR", "Respiration", "Plethysmograph", "Temperature"),
    ),
)
Rows = list[dict[str, object]]


class Deap:
    """Adapter of DEAP."""

    name: ClassVar[str] = "deap"
    modalities: ClassVar[tuple[str, ...]] = ("eeg",)
    classes: ClassVar[tuple[str, ...]] = ("HVHA", "HVLA", "LVHA", "LVLA")
    clock: ClassVar[str] = "shared"
    preset: ClassVar[dict[str, Any]] = {"annotation": {"source": "self"}}

    def list(self, root: Path) -> Listing:
        """List the recordings below `root`; see the module for the layout.

        Raises
        ------
        ConsilienceError
            If the folder contains no recording, or only pickles.
        """
        problems: list[Problem] = []
        original, preprocessed, pickles = (
            _by_subject(root, suffix, problems) for suffix in (".bdf", ".mat", ".dat")
        )
        _report_pickles(root, pickles, bool(original or preprocessed), problems)
        ratings = _ratings(root, problems)
        entries: list[Entry] = []
        trials: Rows = []
        annotations: Rows = []
        for subject in sorted({**original, **preprocessed}):
            rated = ratings.filter(pl.col("Participant_id") == int(subject[1:]))
            if subject in original:
                file = original[subject]
                path = file.relative_to(root).as_posix()
                entries.append(Entry(subject, subject, "eeg", path, declared_rate_hz=512.0))
                rows = _original_trials(file, path, subject, rated, problems)
            else:
                path = preprocessed[subject].relative_to(root).as_posix()
                entries += [
                    Entry(f"{subject}_video-{video:02d}", subject, "eeg", path, LAYOUT.item(index))
                    for index, video in enumerate(range(1, N_VIDEOS + 1))
                ]
                rows = _preprocessed_trials(subject, rated)
            trials += rows[0]
            annotations += rows[1]
        return Listing(
            entries,
            frame_of(trials, Trials),
            frame_of([], Pulses),
            frame_of(annotations, Annotations),
            problems,
        )


def _by_subject(root: Path, suffix: str, problems: list[Problem]) -> dict[str, Path]:
    files: dict[str, Path] = {}
    for path in sorted(root.rglob(f"s*{suffix}")):
        if not SUBJECT.fullmatch(path.stem):
            continue
        if path.stem in files:
            where = path.relative_to(root).as_posix()
            problems.append((where, f"duplicate of {files[path.stem]}", "remove one"))
        else:
            files[path.stem] = path
    return files


def _report_pickles(
    root: Path, pickles: dict[str, Path], has_recordings: bool, problems: list[Problem]
) -> None:
    what = f"{len(pickles)} python files (.dat) are pickles, which run code when loaded"
    remedy = "get data_original.zip or data_preprocessed_matlab.zip instead"
    if pickles:
        where = next(iter(pickles.values())).parent.relative_to(root).as_posix()
        problems.append((where, f"{what}: never opened", remedy))
    if not has_recordings:
        what = what if pickles else "no DEAP recording found"
        expected = "expected names such as data_original/s01.bdf"
        raise ConsilienceError(what, str(root), remedy if pickles else expected)


def _ratings(root: Path, problems: list[Problem]) -> pl.DataFrame:
    """Return the valid ratings as numbers; rows that are not valid become problems."""
    path = next(iter(sorted(root.rglob(RATINGS))), root / RATINGS)
    schema = {LINE: pl.Int64, **dict.fromkeys(NUMBERS, pl.Float64)}
    try:
        text = read_text(path, root, NUMBERS, problems)
    except ConsilienceError as error:
        problems.append((error.where, error.what, f"{error.remedy}; nothing is labelled"))
        return pl.DataFrame(schema=schema)
    numbers = text.select(pl.col(name).cast(dtype, strict=False) for name, dtype in schema.items())
    finite = pl.all_horizontal(pl.col(name).is_finite() for name in NUMBERS)
    numbers = filter_rows(numbers, finite, RATINGS, "a cell is not a number", problems)
    counted = pl.all_horizontal(
        *(pl.col(name) % 1 == 0 for name in NUMBERS[:3]),
        *(pl.col(name).is_between(1, N_VIDEOS) for name in NUMBERS[1:3]),
    )
    what = f"a trial or video is not one of 1 to {N_VIDEOS}, or the participant not a whole number"
    numbers = filter_rows(numbers, counted, RATINGS, what, problems)
    in_scale = pl.all_horizontal(pl.col(name).is_between(1, 9) for name in NUMBERS[3:])
    numbers = filter_rows(numbers, in_scale, RATINGS, "a rating is not from 1 to 9", problems)
    for name, number in (("trial", "Trial"), ("video", "Experiment_id")):
        first = pl.struct("Participant_id", number).is_first_distinct()
        numbers = filter_rows(numbers, first, RATINGS, f"the {name} is rated twice", problems)
    return numbers


def _original_trials(
    file: Path, path: str, session: str, ratings: pl.DataFrame, problems: list[Problem]
) -> tuple[Rows, Rows]:
    """Return the trials and ratings of an original file, located by its trigger codes."""
    try:
        events = status_events(file)
    except RecordingError as error:
        problems.append((path, error.what, "its trials and ratings are left out"))
        return [], []
    starts = [time_s for time_s, code in events if code == VIDEO_START]
    # With a trigger lost, the trials after it would get the ratings of other videos.
    if len(starts) != N_VIDEOS:
        what = (
            f"{counted(len(starts), 'video starts', 'videos start')} on its Status "
            f"channel, not {N_VIDEOS}"
        )
        problems.append((path, what, "the order of videos is unknown; its ratings are left out"))
        return [], []
    ends = [time_s for time_s, code in events if code == VIDEO_END]
    by_trial = {int(row["Trial"]): row for row in ratings.iter_rows(named=True)}
    trials, annotations = [], []
    for number, start_s in enumerate(starts, start=1):
        near = [end_s for end_s in ends if abs(end_s - start_s - VIDEO_S) <= TOLERANCE_S]
        end_s = min(near, default=start_s + VIDEO_S)
        name = f"trial-{number:02d}"
        trials.append({"session": session, "trial": name, "start_s": start_s, "end_s": end_s})
        if number in by_trial:
            annotations += _annotations(session, by_trial[number], start_s, end_s)
    return trials, annotations


def _preprocessed_trials(subject: str, ratings: pl.DataFrame) -> tuple[Rows, Rows]:
    """Return the trials and ratings of a preprocessed file, with a session per video."""
    by_video = {int(row["Experiment_id"]): row for row in ratings.iter_rows(named=True)}
    end_s = REST_S + VIDEO_S
    trials, annotations = [], []
    for video in range(1, N_VIDEOS + 1):
        session = f"{subject}_video-{video:02d}"
        trials.append({"session": session, "trial": "video", "start_s": REST_S, "end_s": end_s})
        if video in by_video:
            annotations += _annotations(session, by_video[video], REST_S, end_s)
    return trials, annotations


def _annotations(session: str, row: dict[str, Any], start_s: float, end_s: float) -> Rows:
    """Return a trial's quadrant, and its valence and arousal on the scale from -1 to 1."""
    high = {name: row[name] > 5 for name in ("Valence", "Arousal")}
    quadrant = f"{'H' if high['Valence'] else 'L'}V{'H' if high['Arousal'] else 'L'}A"
    return [
        annotation(session, "self", "emotion", quadrant, start_s, end_s),
        *(
            annotation(session, "self", name.lower(), (row[name] - 5) / 4, start_s, end_s)
            for name in ("Valence", "Arousal")
        ),
    ]


dataset = Deap()

"""CREMA-D: acted emotions, rated by a crowd (Cao et al. 2014).

::

    AudioWAV/1001_DFA_ANG_XX.wav      or AudioMP3/….mp3: actor, sentence, emotion, intensity
    VideoFlash/1001_DFA_ANG_XX.flv
    processedResults/tabulatedVotes.csv      or .csv.gz
    VideoDemographics.csv             ActorID, Age, Sex; may be missing

in any folders below the root. A clip is its own session. The voice is read from the WAV file, else
from the MP3 file, else from the sound track of the FLV file.

About ten people each named the emotion of a clip from its sound, its picture, or both; thirty in
all, whose votes are counted in ``tabulatedVotes.csv``. Every vote is an annotator (``voice-1``,
``face-3``, ``both-10``). The table does not identify the voters: the numbers are assigned anew for
each clip, and do not identify a person. The intended emotion, which the majority of listeners
missed in most clips, is not an annotator.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, ClassVar

import polars as pl

from consilience.core.errors import ConsilienceError
from consilience.core.file_names import is_side_file
from consilience.core.seeds import generator
from consilience.datasets.base import Entry, Listing
from consilience.datasets.tables import annotation
from consilience.readers.participants import people_of
from consilience.readers.text_table import LINE, Problem, filter_rows, read_text
from consilience.schema.tables import Annotations, Pulses, Subjects, Trials, frame_of

NAME = re.compile(r"(\d{4})_[A-Z]{3}_(?:ANG|DIS|FEA|HAP|NEU|SAD)_(?:LO|MD|HI|XX|X)")
EMOTIONS = {
    "A": "angry",
    "D": "disgust",
    "F": "fearful",
    "H": "happy",
    "N": "neutral",
    "S": "sad",
}
VOICES = ("audio", "voice_embedding")  # modalities that read the same sound
SOUND = (".wav", ".mp3", ".flv")  # in order of preference: the least compressed first
PICTURE = (".flv", ".mp4")
VOTES = ("tabulatedVotes.csv", "tabulatedVotes.csv.gz")
DEMOGRAPHICS = "VideoDemographics.csv"
ROW_NUMBER = ""  # R writes this column without a name
PRESENTATIONS = {1: "voice", 2: "face", 3: "both"}  # by the first digit of a row's number
MAX_VOTES = 1000  # for a class on a clip; the published table has at most about twenty


class CremaD:
    """Adapter of CREMA-D."""

    name: ClassVar[str] = "crema_d"
    modalities: ClassVar[tuple[str, ...]] = (*VOICES, "video")
    classes: ClassVar[tuple[str, ...]] = tuple(EMOTIONS.values())
    clock: ClassVar[str] = "shared"
    preset: ClassVar[dict[str, Any]] = {
        "modalities": {"voice_embedding": {}, "video": {}},
        "windows": {"length_s": None, "max_length_s": 5.5, "min_coverage": 0.1},
    }

    def list(self, root: Path) -> Listing:
        """List the clips below `root`; see the module for the layout.

        Raises
        ------
        ConsilienceError
            If the folder contains no clip.
        """
        problems: list[Problem] = []
        clips = _clips(root, problems)
        if not clips:
            raise ConsilienceError(
                "no CREMA-D clip found", str(root), "expected names such as 1001_DFA_ANG_XX.wav"
            )
        entries = []
        for clip, paths in sorted(clips.items()):
            sound = next((paths[suffix] for suffix in SOUND if suffix in paths), None)
            picture = next((paths[suffix] for suffix in PICTURE if suffix in paths), None)
            files = {**dict.fromkeys(VOICES, sound), "video": picture}
            entries += [
                Entry(clip, clip[:4], modality, path)
                for modality, path in files.items()
                if path is not None
            ]
        votes = _votes(root, set(clips), problems)
        tables = (frame_of([], Trials), frame_of([], Pulses), frame_of(votes, Annotations))
        return Listing(entries, *tables, problems, people=_actors(root, problems))


def _actors(root: Path, problems: list[Problem]) -> pl.DataFrame:
    """Return sex and age of the actors; empty without the table of demographics."""
    path = next(iter(sorted(root.rglob(DEMOGRAPHICS))), None)
    if path is None:
        return frame_of([], Subjects)
    try:
        table = read_text(path, root, ("ActorID",), problems)
    except ConsilienceError as error:
        problems.append((error.where, error.what, f"{error.remedy}; it is not used"))
        return frame_of([], Subjects)
    return people_of(table.rename({"ActorID": "subject"}), path.name, problems)


def _clips(root: Path, problems: list[Problem]) -> dict[str, dict[str, str]]:
    """Return the paths of every clip, by file extension."""
    clips: dict[str, dict[str, str]] = {}
    for path in sorted(root.rglob("*")):
        suffix = path.suffix.lower()
        if suffix not in (*SOUND, *PICTURE) or is_side_file(path):
            continue
        relative = path.relative_to(root).as_posix()
        if not NAME.fullmatch(path.stem):
            problems.append((relative, "not a CREMA-D file name", "rename or remove it"))
        elif suffix in clips.setdefault(path.stem, {}):
            problems.append((relative, f"duplicate of {clips[path.stem][suffix]}", "remove one"))
        else:
            clips[path.stem][suffix] = relative
    return clips


def _votes(root: Path, clips: set[str], problems: list[Problem]) -> list[dict[str, object]]:
    """Return a row of `Annotations` for every vote on a listed clip."""
    path = next((path for name in VOTES for path in sorted(root.rglob(name))), root / VOTES[0])
    try:
        text = read_text(path, root, (ROW_NUMBER, "fileName", *EMOTIONS), problems)
    except ConsilienceError as error:
        problems.append((error.where, error.what, f"{error.remedy}; nothing is labelled"))
        return []
    counts = _counts(text, clips, path.name, problems)
    rows = []
    for clip, presentation, *n_votes in counts.iter_rows():
        votes = [
            emotion for emotion, n in zip(EMOTIONS.values(), n_votes, strict=True) for _ in range(n)
        ]
        # In order of the table, the first voters of every clip would always be the angriest.
        order = generator("crema_d", clip, presentation).permutation(len(votes))
        rows += [
            annotation(clip, f"{presentation}-{voter}", "emotion", votes[index])
            for voter, index in enumerate(order, start=1)
        ]
    for clip in sorted(clips - set(counts["clip"])):
        problems.append((clip, f"{path.name} has no votes on it", "it has no label"))
    return rows


def _counts(
    text: pl.DataFrame, clips: set[str], name: str, problems: list[Problem]
) -> pl.DataFrame:
    """Return the clip, its presentation and the votes for each emotion, for the listed clips."""
    listed = text.filter(pl.col("fileName").is_in(sorted(clips)))
    group = pl.col(ROW_NUMBER).cast(pl.Int64, strict=False) // 100_000
    typed = listed.select(
        LINE,
        pl.col("fileName").alias("clip"),
        group.replace_strict(PRESENTATIONS, default=None, return_dtype=pl.String).alias(
            "presentation"
        ),
        *(pl.col(key).cast(pl.Int64, strict=False) for key in EMOTIONS),
    )
    counted = pl.all_horizontal(pl.col(key).is_between(0, MAX_VOTES) for key in EMOTIONS)
    has_votes = pl.sum_horizontal(pl.col(key) for key in EMOTIONS) > 0
    valid = pl.col("presentation").is_not_null() & counted & has_votes
    typed = filter_rows(typed, valid, name, "the numbers of votes are invalid", problems)
    first = pl.struct("clip", "presentation").is_first_distinct()
    return filter_rows(typed, first, name, "duplicate votes of a clip", problems).drop(LINE)


dataset = CremaD()

"""CREMA-D: acted emotions, and what a crowd made of them (Cao et al. 2014).

::

    AudioWAV/1001_DFA_ANG_XX.wav      or AudioMP3/….mp3: actor, sentence, emotion, intensity
    VideoFlash/1001_DFA_ANG_XX.flv
    processedResults/tabulatedVotes.csv      or .csv.gz

in any folders below the root. A clip is its own session. The voice is taken from the WAV, else the
MP3, else the sound track of the FLV.

Some ten people each named the emotion of a clip they only heard, only saw, or did both; thirty in
all, whose votes are counted in ``tabulatedVotes.csv``. Every vote is an annotator (``voice-1``,
``face-3``, ``both-10``). Who gave a vote is not in that table: the numbers are dealt out anew for
each clip, and say nothing of a person. The intended emotion, which a majority of listeners missed
in most clips, is no annotator.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, ClassVar

import polars as pl

from consilience.core.errors import ConsilienceError
from consilience.core.seeds import generator
from consilience.datasets._tables import LINE, Problem, annotation, keep, read_text
from consilience.datasets.base import Entry, Listing
from consilience.schema.tables import Annotations, Pulses, Trials, frame_of

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
SOUND = (".wav", ".mp3", ".flv")  # the least compressed first
PICTURE = (".flv", ".mp4")
VOTES = ("tabulatedVotes.csv", "tabulatedVotes.csv.gz")
ROW_NUMBER = ""  # as R writes it, without a name
SHOWN = {1: "voice", 2: "face", 3: "both"}  # by the first digit of a row's number
MAX_VOTES = 1000  # of a class on a clip; the real ones have at most some twenty


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
            If there is no clip.
        """
        problems: list[Problem] = []
        clips = _clips(root, problems)
        if not clips:
            raise ConsilienceError(
                "no CREMA-D clip found", str(root), "expected names such as 1001_DFA_ANG_XX.wav"
            )
        entries = []
        for clip, places in sorted(clips.items()):
            sound = next((places[suffix] for suffix in SOUND if suffix in places), None)
            picture = next((places[suffix] for suffix in PICTURE if suffix in places), None)
            files = {**dict.fromkeys(VOICES, sound), "video": picture}
            entries += [
                Entry(clip, clip[:4], modality, place)
                for modality, place in files.items()
                if place is not None
            ]
        said = _votes(root, set(clips), problems)
        tables = (frame_of([], Trials), frame_of([], Pulses), frame_of(said, Annotations))
        return Listing(entries, *tables, problems)


def _clips(root: Path, problems: list[Problem]) -> dict[str, dict[str, str]]:
    """Return the files of every clip by their ending."""
    clips: dict[str, dict[str, str]] = {}
    for path in sorted(root.rglob("*")):
        suffix = path.suffix.lower()
        if suffix not in (*SOUND, *PICTURE):
            continue
        place = path.relative_to(root).as_posix()
        if not NAME.fullmatch(path.stem):
            problems.append((place, "not a CREMA-D file name", "rename or remove it"))
        elif suffix in clips.setdefault(path.stem, {}):
            problems.append((place, f"also there as {clips[path.stem][suffix]}", "remove one"))
        else:
            clips[path.stem][suffix] = place
    return clips


def _votes(root: Path, clips: set[str], problems: list[Problem]) -> list[dict[str, object]]:
    """Return a row of `Annotations` for every vote on a clip that is there."""
    path = next((path for name in VOTES for path in sorted(root.rglob(name))), root / VOTES[0])
    try:
        text = read_text(path, root, (ROW_NUMBER, "fileName", *EMOTIONS), problems)
    except ConsilienceError as error:
        problems.append((error.where, error.what, f"{error.remedy}; nothing is labelled"))
        return []
    counts = _counts(text, clips, path.name, problems)
    rows = []
    for clip, shown, *votes in counts.iter_rows():
        cast = [
            emotion for emotion, n in zip(EMOTIONS.values(), votes, strict=True) for _ in range(n)
        ]
        dealt = generator("crema_d", clip, shown).permutation(len(cast))
        rows += [
            annotation(clip, f"{shown}-{voter}", "emotion", cast[place])
            for voter, place in enumerate(dealt, start=1)
        ]
    for clip in sorted(clips - set(counts["clip"])):
        problems.append((clip, f"{path.name} has no votes on it", "it stays without a label"))
    return rows


def _counts(
    text: pl.DataFrame, clips: set[str], name: str, problems: list[Problem]
) -> pl.DataFrame:
    """Return clip, what was shown, and the votes for each emotion, of the clips that are there."""
    own = text.filter(pl.col("fileName").is_in(sorted(clips)))
    group = pl.col(ROW_NUMBER).cast(pl.Int64, strict=False) // 100_000
    typed = own.select(
        LINE,
        pl.col("fileName").alias("clip"),
        group.replace_strict(SHOWN, default=None, return_dtype=pl.String).alias("shown"),
        *(pl.col(key).cast(pl.Int64, strict=False) for key in EMOTIONS),
    )
    counted = pl.all_horizontal(pl.col(key).is_between(0, MAX_VOTES) for key in EMOTIONS)
    some = pl.sum_horizontal(pl.col(key) for key in EMOTIONS) > 0
    good = pl.col("shown").is_not_null() & counted & some
    typed = keep(typed, good, name, "no numbers of votes", problems)
    first = pl.struct("clip", "shown").is_first_distinct()
    return keep(typed, first, name, "the clip's votes are there twice", problems).drop(LINE)


dataset = CremaD()

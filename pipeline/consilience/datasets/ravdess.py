"""RAVDESS: acted emotions in voice and face, one clip per recording (Livingstone & Russo 2018).

Expected below the root, in any folders, under the official names
``MM-VV-EE-II-SS-RR-AA`` (modality, vocal channel, emotion, intensity, statement, repetition,
actor): audio-only ``03-…`` as WAV or FLAC, video-only ``02-…`` and full ``01-…`` as MP4. At the
root, ``openface_au35_clipmean.csv`` with OpenFace action units: a row per clip, whose key ``clip``
is the name without the modality code. They are read as the whole face, and as its upper and its
lower part. Only speech (``VV`` = 01) is listed.

A clip is its own session. Its emotion is the intended one: acted, not felt. Actors with an odd
number are men, those with an even number women.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import polars as pl

from consilience.core.errors import ConsilienceError
from consilience.core.file_names import is_side_file
from consilience.datasets.base import Entry, Listing
from consilience.datasets.tables import annotation, annotations_of
from consilience.readers.text_table import LINE, Problem, filter_rows, read_text
from consilience.schema.tables import Pulses, Subjects, Trials, frame_of

CLIP = "(01|02)-(0[1-8])-0[12]-0[12]-0[12]-([0-9][0-9])"
NAME = re.compile(f"(0[123])-({CLIP})")
FULL, VIDEO_ONLY, AUDIO_ONLY = "01", "02", "03"
ACTION_UNITS = "openface_au35_clipmean.csv"
FACES = ("face_au", "upper_face_au", "lower_face_au")  # modalities that read the same table
VOICES = ("audio", "voice_embedding")  # modalities that read the same sound
MEDIA = {".wav", ".flac", ".mp4"}


class Ravdess:
    """Adapter of the RAVDESS speech clips."""

    name: ClassVar[str] = "ravdess"
    modalities: ClassVar[tuple[str, ...]] = (*VOICES, "video", *FACES)
    classes: ClassVar[tuple[str, ...]] = (
        "neutral",
        "calm",
        "happy",
        "sad",
        "angry",
        "fearful",
        "disgust",
        "surprised",
    )
    clock: ClassVar[str] = "shared"
    preset: ClassVar[dict[str, Any]] = {
        "modalities": {"voice_embedding": {}, "face_au": {}},
        # Half of a clip is silence before and after the words.
        "windows": {"length_s": None, "max_length_s": 5.5, "min_coverage": 0.1},
        "splits": {"folds": 6, "validation_subjects": 3},
        # Validation loss of the hybrid .90 without a baseline, .66 with it.
        "training": {"head": "linear", "baseline": "running"},
    }

    def list(self, root: Path) -> Listing:
        """List clips and action units below `root`; see the module for the layout.

        Raises
        ------
        ConsilienceError
            If the folder contains no clip.
        """
        files = sorted(
            path
            for path in root.rglob("*")
            if path.suffix.lower() in MEDIA and not is_side_file(path)
        )
        named = {path: NAME.fullmatch(path.stem) for path in files}
        problems = [
            (path.relative_to(root).as_posix(), "not a RAVDESS file name", "rename or remove it")
            for path, match in named.items()
            if match is None
        ]
        entries = [
            entry
            for path, match in named.items()
            if match is not None
            for entry in _entries(path.relative_to(root).as_posix(), match)
        ]
        entries = _prefer_audio_only(entries) + list(_action_units(root, problems))
        if not entries:
            raise ConsilienceError(
                "no RAVDESS clip found",
                str(root),
                "expected names such as 03-01-06-02-01-01-17.wav",
            )
        return Listing(
            entries,
            frame_of([], Trials),
            frame_of([], Pulses),
            _intended(entries),
            problems,
            people=_actors(entries),
        )


def _entries(path: str, name: re.Match[str]) -> Iterator[Entry]:
    kind, clip, channel, _, actor = name.groups()
    if channel != "01":  # song
        return
    subject = f"Actor_{actor}"
    if kind in (FULL, AUDIO_ONLY):
        yield from (Entry(clip, subject, voice, path) for voice in VOICES)
    if kind in (FULL, VIDEO_ONLY):
        yield Entry(clip, subject, "video", path)


def _prefer_audio_only(entries: list[Entry]) -> list[Entry]:
    """Drop sound or pictures of a full file where a file of the sound or pictures alone exists."""
    in_single_file = {
        (entry.session, entry.modality)
        for entry in entries
        if not Path(entry.path).name.startswith(f"{FULL}-")
    }
    return [
        entry
        for entry in entries
        if not Path(entry.path).name.startswith(f"{FULL}-")
        or (entry.session, entry.modality) not in in_single_file
    ]


def _action_units(root: Path, problems: list[Problem]) -> Iterator[Entry]:
    path = root / ACTION_UNITS
    if not path.is_file():
        return
    try:
        table = read_text(path, root, ("clip",), problems)
    except ConsilienceError as error:
        problems.append((error.where, error.what, f"{error.remedy}; its clips are left out"))
        return
    is_clip = pl.col("clip").str.contains(f"^{CLIP}$")
    clips = table.select(LINE, "clip")
    table = filter_rows(clips, is_clip, ACTION_UNITS, "not a RAVDESS clip", problems)
    for clip in table["clip"]:
        for face in FACES:
            yield Entry(clip, f"Actor_{clip[-2:]}", face, ACTION_UNITS, item=clip)


def _actors(entries: list[Entry]) -> pl.DataFrame:
    """Return the sex of every actor, which follows from the number."""
    actors = sorted({entry.subject for entry in entries})
    return frame_of(
        [
            {"subject": actor, "sex": "male" if int(actor[-2:]) % 2 else "female"}
            for actor in actors
        ],
        Subjects,
    )


def _intended(entries: list[Entry]) -> pl.DataFrame:
    emotions = {session: int(session.split("-")[1]) for session in {e.session for e in entries}}
    return annotations_of(
        [
            annotation(session, "intended", "emotion", Ravdess.classes[emotion - 1])
            for session, emotion in sorted(emotions.items())
        ]
    )


dataset = Ravdess()

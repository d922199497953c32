"""DASPS: the EEG of people who recalled what makes them anxious (Baghdadi et al. 2019).

Expected at the root: ``events.csv``, a row per epoch (file, subject, situation, phase, onset_s,
duration_s, and the subject's own valence and arousal from 1 to 9), and the recordings it names, as
EDF files of the Emotiv EPOC with contact qualities ``CQ_…`` and a packet ``COUNTER``.

The only ratings are the subjects' own, so that the preset uses those as labels: aroused if arousal
is above 5, else calm. Both epochs of a situation, reciting and recalling it, have its one rating;
splits by subject keep them together. Onsets count the samples of a file as if none were missing;
here they are mapped to the time of the packet counter.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import polars as pl

from consilience.core.errors import ConsilienceError
from consilience.datasets.base import Entry, Listing
from consilience.datasets.tables import annotation, annotations_of, check_trials, validated
from consilience.readers.sample_times import true_times
from consilience.readers.text_table import Problem, filter_rows, read_text
from consilience.schema.tables import Pulses, Trials, frame_of

EVENTS = "events.csv"
NUMBERS = ("onset_s", "duration_s", "valence", "arousal")
COLUMNS = ("file", "subject", "situation", "phase", *NUMBERS)
RATE_HZ = 128.0
SPAN = ("start_s", "end_s")
NEUTRAL = 5  # the middle of the scale


class Dasps:
    """Adapter of DASPS."""

    name: ClassVar[str] = "dasps"
    modalities: ClassVar[tuple[str, ...]] = ("eeg",)
    classes: ClassVar[tuple[str, ...]] = ("calm", "aroused")
    clock: ClassVar[str] = "shared"
    preset: ClassVar[dict[str, Any]] = {
        "modalities": {
            "eeg": {
                "channels": (
                    *("AF3", "F7", "F3", "FC5", "T7", "P7", "O1"),
                    *("O2", "P8", "T8", "FC6", "F4", "F8", "AF4"),
                )
            }
        },
        "annotation": {"source": "self"},
        "windows": {"length_s": None, "max_length_s": 15.0},
        "splits": {"folds": 17, "validation_subjects": 3},
    }

    def list(self, root: Path) -> Listing:
        """List recordings, epochs and ratings; see the module for the layout.

        Raises
        ------
        ConsilienceError
            If ``events.csv`` is missing or lacks one of the columns above.
        """
        if not (root / EVENTS).is_file():
            raise ConsilienceError(
                "the table of epochs is missing", str(root / EVENTS), "not a DASPS dataset"
            )
        problems: list[Problem] = []
        events = _events(root, problems)
        subjects = dict(events.select("file", "subject").iter_rows())
        present = {path.name for path in root.glob("*.edf")}
        problems += [
            (name, f"not listed in {EVENTS}", "add its epochs; it is left out")
            for name in sorted(present - set(subjects))
        ]
        entries = [
            Entry(_session(name), subject, "eeg", name, declared_rate_hz=RATE_HZ)
            for name, subject in sorted(subjects.items())
        ]
        trials = events.select(
            "line", "session", pl.format("{}-{}", "situation", "phase").alias("trial"), *SPAN
        )
        return Listing(
            entries, validated(trials, Trials), frame_of([], Pulses), _ratings(events), problems
        )


def _events(root: Path, problems: list[Problem]) -> pl.DataFrame:
    """Return the valid epochs, with ``start_s`` and ``end_s`` on the recording's clock."""
    text = read_text(root / EVENTS, root, COLUMNS, problems)
    table = text.with_columns(pl.col(name).cast(pl.Float64, strict=False) for name in NUMBERS)
    named = pl.all_horizontal(pl.col("file", "subject", "situation", "phase").is_not_null())
    table = filter_rows(table, named, EVENTS, "a cell is empty", problems)
    is_name = ~pl.col("file").str.contains(r"[/\\]")
    table = filter_rows(table, is_name, EVENTS, "file is not a name in this folder", problems)
    rated = pl.all_horizontal(pl.col("valence", "arousal").is_between(1, 9))
    table = filter_rows(table, rated, EVENTS, "a rating is not a number from 1 to 9", problems)
    table = table.with_columns(
        pl.col("file").map_elements(_session, return_dtype=pl.String).alias("session"),
        pl.col("onset_s").alias("start_s"),
        (pl.col("onset_s") + pl.col("duration_s")).alias("end_s"),
    )
    table = check_trials(table, EVENTS, problems)
    once = pl.struct("file", "situation", "phase").is_first_distinct()
    table = filter_rows(table, once, EVENTS, "duplicate epoch", problems)
    mapped = [
        epochs.with_columns(
            pl.Series(name, true_times(root / file, epochs[name].to_numpy())) for name in SPAN
        )
        for (file,), epochs in table.group_by("file", maintain_order=True)
    ]
    return pl.concat([table.clear(), *mapped])


def _session(file: str) -> str:
    return Path(file).stem


def _ratings(events: pl.DataFrame) -> pl.DataFrame:
    rows = []
    for session, valence, arousal, start_s, end_s in events.select(
        "session", "valence", "arousal", *SPAN
    ).iter_rows():
        state = "aroused" if arousal > NEUTRAL else "calm"
        values: dict[str, str | float] = {
            "emotion": state,
            "valence": _centred(valence),
            "arousal": _centred(arousal),
        }
        rows += [
            annotation(session, "self", target, value, start_s, end_s)
            for target, value in values.items()
        ]
    return annotations_of(rows)


def _centred(rating: float) -> float:
    """Map a rating from 1 to 9 to the scale from -1 to 1."""
    return (rating - NEUTRAL) / 4


dataset = Dasps()

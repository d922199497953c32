"""Which clips are enrolled, and how accuracies are compared."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import polars as pl

from benchmarks.enrolment import drawn, enrolments, table
from tests.evaluation.test_recording_shifts import CORPUS

CLASSES = ("neutral", "happy", "sad")
N_PEOPLE, N_CLIPS = 3, 12  # clips of each person, as many of every class


def clips():
    subjects = np.repeat([f"p{number}" for number in range(N_PEOPLE)], N_CLIPS)
    labels = np.tile(np.arange(N_CLIPS) % len(CLASSES), N_PEOPLE)
    index = pl.DataFrame({"subject": subjects, "trial": [f"t{n}" for n in range(len(subjects))]})
    target = np.eye(len(CLASSES), dtype=np.float32)[labels]
    return replace(CORPUS, index=index, classes=CLASSES, target=target)


def test_enrolments_are_of_any_clips_of_one_class_and_of_both():
    rows = enrolments(clips(), ["neutral", "sad"])
    names = [row.name for row in rows]
    assert names == [
        *(
            "3 any",
            "5 any",
            "10 any",
            "3 neutral",
            "3 sad",
            "3 neutral and sad",
            "5 neutral and sad",
        )
    ]
    labels = clips().target.argmax(1)
    for row in rows:
        count, _, kind = row.name.partition(" ")
        assert len(row.enrolled) == int(count) * N_PEOPLE
        allowed = {"any": {0, 1, 2}, "neutral": {0}, "sad": {2}, "neutral and sad": {0, 2}}[kind]
        assert set(labels[row.enrolled]) <= allowed


def test_fewer_clips_of_a_person_are_a_part_of_more():
    subjects = clips().index["subject"].to_numpy()
    pool = np.arange(len(subjects))
    few, many = (drawn(subjects, pool, count) for count in (3, 10))
    assert set(few) < set(many)
    assert np.unique(subjects[few], return_counts=True)[1].tolist() == [3, 3, 3]


def test_the_table_states_the_difference_to_no_baseline():
    people = np.linspace(-0.1, 0.1, 11)
    lines = table({"none": 0.7 + people, "3 any": 0.8 + people}, N_PEOPLE)
    assert lines[-1].startswith("| 3 any | 0.700 | +0.100 [+0.100, +0.100]")

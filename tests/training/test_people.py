"""People of a training are recognised by their recordings, without names."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from consilience.project import Project
from consilience.schema.tables import Splits, read_table
from consilience.training.people import people_of, recordings_by_subject, seen_people

SPLITS = pl.DataFrame(
    {"fold": [0, 1, 0, 1], "subject": ["p1", "p1", "p2", "p2"], "role": ["train", "test"] * 2}
)
HASHES = {"p1": ["b", "c"], "p2": ["a"]}


def test_recordings_of_all_sensors_are_listed_by_subject(windows_folder: Path) -> None:
    project = Project(windows_folder.parent.parent)
    recordings = recordings_by_subject(project, ["audio", "face_au"])
    subjects = read_table(windows_folder / "splits.parquet", Splits)["subject"]
    assert set(recordings) == set(subjects)
    assert {len(hashes) for hashes in recordings.values()} == {2}
    assert {len(text) for hashes in recordings.values() for text in hashes} == {16}


def test_people_have_roles_and_no_name() -> None:
    roles = {"0": "train", "1": "test"}
    assert people_of(SPLITS, HASHES) == [
        {"recordings": ["a"], "roles": roles},
        {"recordings": ["b", "c"], "roles": roles},
    ]


def test_one_recording_of_the_training_is_enough_under_any_name() -> None:
    seen = seen_people(people_of(SPLITS, HASHES), {"x": ["z", "c"], "y": ["z"]})
    assert seen == {"x": {"0": "train", "1": "test"}}


def test_recordings_of_two_people_have_the_role_nearest_to_the_training() -> None:
    people = [
        {"recordings": ["a"], "roles": {"0": "test", "1": "validation"}},
        {"recordings": ["b"], "roles": {"0": "train"}},
    ]
    assert seen_people(people, {"x": ["a", "b"]}) == {"x": {"0": "train", "1": "validation"}}

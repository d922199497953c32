from __future__ import annotations

import json

import polars as pl

from consilience.readers.participants import (
    for_subjects,
    people_of,
    read_description,
    read_participants,
)
from consilience.schema.tables import Subjects

TABLE = (
    "participant_id\tsex\tAGE\tsite\thandedness\n"
    "sub-01\tF\t24\tGhent\tr\n"
    "sub-02\tM\t89+\tn/a\tl\n"
    "sub-03\tn/a\ttwenty\tLyon\tr\n"
)


def test_participants_of_bids_are_read_with_missing_values_as_null(tmp_path):
    (tmp_path / "participants.tsv").write_text(TABLE)
    problems: list[tuple[str, str, str]] = []
    people = Subjects.validate(read_participants(tmp_path, problems))
    assert people.rows() == [
        ("sub-01", "female", 24.0, "Ghent", None),
        ("sub-02", "male", 89.0, None, None),
        ("sub-03", None, None, "Lyon", None),
    ]
    assert [what for _, what, _ in problems] == ["1 age is not a number of years"]


def test_without_the_files_nothing_is_stated(tmp_path):
    problems: list[tuple[str, str, str]] = []
    assert read_participants(tmp_path, problems).is_empty()
    assert (read_description(tmp_path, problems), problems) == ({}, [])


def test_a_table_without_people_is_a_problem_and_not_used(tmp_path):
    (tmp_path / "participants.tsv").write_text("name\tage\nAnn\t20\n")
    problems: list[tuple[str, str, str]] = []
    assert read_participants(tmp_path, problems).is_empty()
    assert problems[0][:2] == ("participants.tsv", "no column with the people")


def test_the_rows_of_a_subject_are_joined():
    rows = pl.DataFrame(
        {"subject": ["a", "a", "b"], "device": ["Muse", "Emotiv", "Muse"]}
        | {"age": ["20", "22", None], "path": ["1", "2", "3"]}
    )
    assert people_of(rows, "recordings.csv", []).rows() == [
        ("a", None, 21.0, None, "Emotiv + Muse"),
        ("b", None, None, None, "Muse"),
    ]
    assert people_of(rows.select("subject", "path"), "recordings.csv", []).is_empty()


def test_the_first_table_that_states_something_counts(tmp_path):
    (tmp_path / "participants.tsv").write_text(TABLE)
    participants = read_participants(tmp_path, [])
    rows = pl.DataFrame({"subject": ["01", "03"], "sex": ["m", "m"], "age": ["30", "31"]})
    people = for_subjects(["01", "03", "new"], participants, people_of(rows, "r", []))
    assert Subjects.validate(people).rows() == [
        ("01", "female", 24.0, "Ghent", None),
        ("03", "male", 31.0, "Lyon", None),
        ("new", None, None, None, None),
    ]


def test_a_description_is_read_field_by_field(tmp_path):
    stated = {"Name": "Films", "Authors": ["A. One", "B. Two"], "Funding": [], "Unknown": "x"}
    stated |= {"License": "n/a", "Consent": " written,\nshared in anonymous form "}
    (tmp_path / "dataset_description.json").write_text(json.dumps(stated))
    assert read_description(tmp_path, []) == {
        "Name": "Films",
        "Authors": "A. One; B. Two",
        "Consent": "written, shared in anonymous form",
    }


def test_a_description_that_is_not_json_is_a_problem(tmp_path):
    (tmp_path / "dataset_description.json").write_text("{Name: Films}")
    problems: list[tuple[str, str, str]] = []
    assert read_description(tmp_path, problems) == {}
    assert problems[0][0] == "dataset_description.json"

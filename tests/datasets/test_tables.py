"""Tables of trials and annotations: invalid rows become problems, the others are kept."""

from __future__ import annotations

import math

import polars as pl
import pytest

from consilience.datasets.tables import (
    MAX_TRIAL_S,
    annotation,
    annotations_of,
    check_annotations,
    check_trials,
    read_table,
    validated,
)
from consilience.readers.text_table import LINE
from consilience.schema.tables import Annotations, Trials

TRIALS = "session,trial,start_s,end_s\n"


def test_a_table_has_the_types_of_its_schema_and_line_numbers(tmp_path):
    (tmp_path / "trials.csv").write_text(TRIALS + "a,1,0,1.5\nb,2,x,3\nc,3,nan,4\n")
    problems = []
    table = read_table(tmp_path / "trials.csv", tmp_path, Trials, problems)
    assert table.select(LINE, "session", "start_s", "end_s").rows() == [(2, "a", 0.0, 1.5)]
    assert [where for where, _, _ in problems] == ["trials.csv line 3", "trials.csv line 4"]
    assert validated(table, Trials).columns == ["session", "trial", "start_s", "end_s"]


def test_columns_that_may_be_null_may_be_missing(tmp_path):
    text = "session,annotator,target,start_s,end_s,label\na,r,emotion,0,1,calm\n"
    (tmp_path / "t.csv").write_text(text)
    problems = []
    table = read_table(tmp_path / "t.csv", tmp_path, Annotations, problems)
    assert validated(table, Annotations)["value"].to_list() == [None]
    assert not problems


def test_an_unreadable_table_is_a_problem_and_empty(tmp_path):
    problems = []
    table = read_table(tmp_path / "missing.csv", tmp_path, Trials, problems)
    assert validated(table, Trials).is_empty()
    ((where, what, remedy),) = problems
    assert (where, what) == ("missing.csv", "the table is missing")
    assert "read as empty" in remedy


def rows(**columns: list[object]) -> pl.DataFrame:
    n_rows = len(next(iter(columns.values())))
    return pl.DataFrame({LINE: range(2, 2 + n_rows), **columns})


def test_trials_end_after_their_start_and_within_a_day():
    table = rows(start_s=[0.0, 2.0, math.inf, 0.0], end_s=[1.0, 2.0, math.inf, MAX_TRIAL_S + 1])
    problems = []
    assert check_trials(table, "t", problems)[LINE].to_list() == [2]
    assert [what.split(":")[0] for _, what, _ in problems] == [
        *["end_s is not after start_s"] * 2,
        f"a trial of more than {MAX_TRIAL_S:g} s",
    ]


@pytest.mark.parametrize(
    ("target", "label", "value", "what"),
    [
        ("emotion", "calm", None, None),
        ("valence", None, -1.0, None),
        ("mood", "calm", None, "target is not one of emotion, valence, arousal"),
        ("emotion", None, 0.5, "no label"),
        ("emotion", "tired", None, "label is not one of calm, sad"),
        ("emotion", "C alm", None, None),
        ("arousal", None, math.inf, "value is not a number"),
        ("arousal", "calm", None, "value is not a number"),
    ],
)
def test_annotations_are_classes_or_ratings(target, label, value, what):
    table = pl.DataFrame(
        {"start_s": [0.0], "end_s": [1.0], "target": [target], "label": [label], "value": [value]},
        schema_overrides={"label": pl.String, "value": pl.Float64},
    ).with_columns(pl.lit(2).alias(LINE))
    problems = []
    valid = check_annotations(table, "t", ("calm", "sad"), problems)
    assert valid.height == (what is None)
    assert [problem[1].split(":")[0] for problem in problems] == ([what] if what else [])


def test_without_classes_any_label_is_permitted():
    table = rows(start_s=[0.0], end_s=[1.0], target=["emotion"], label=["tired"], value=[math.nan])
    assert check_annotations(table, "t", (), []).height == 1


def test_an_annotation_is_a_class_or_a_rating():
    table = annotations_of(
        [annotation("s", "r", "emotion", "calm"), annotation("s", "self", "valence", 0.5, 1.0, 2.0)]
    )
    assert Annotations.validate(table).rows() == [
        ("s", "r", "emotion", 0.0, math.inf, "calm", None),
        ("s", "self", "valence", 1.0, 2.0, None, 0.5),
    ]

from __future__ import annotations

from dataclasses import replace

import polars as pl
import pytest

from consilience.reporting.content.people import (
    AGE_BANDS,
    class_table,
    group_table,
    people,
    person_table,
)
from consilience.schema.tables import Subjects, frame_of

CLASSES = ["calm", "angry"]


def windows(*people: tuple[str, str, str]) -> pl.DataFrame:
    """Return a window per letter: c is calm, a is angry; labels, then predictions."""
    names = {"c": "calm", "a": "angry", "-": None}
    rows = [
        {"subject": subject, "actual": names[actual], "predicted": names[predicted]}
        for subject, labels, predictions in people
        for actual, predicted in zip(labels, predictions, strict=True)
    ]
    return pl.DataFrame(rows, {name: pl.String for name in ("subject", "actual", "predicted")})


def subjects(**fields: list[object]) -> pl.DataFrame:
    rows = [dict(zip(fields, values, strict=True)) for values in zip(*fields.values(), strict=True)]
    return frame_of(rows, Subjects)


NOBODY = frame_of([], Subjects)


def test_the_accuracy_of_a_person_is_the_mean_over_the_classes_that_it_has():
    table = person_table(windows(("p", "ccca", "ccaa"), ("q", "aa-", "acc")), NOBODY)
    assert table.select("subject", "windows", "classes").rows() == [("q", 2, 1), ("p", 4, 2)]
    assert table["balanced_accuracy"].to_list() == pytest.approx([0.5, (2 / 3 + 1) / 2])
    assert table["accuracy"].to_list() == pytest.approx([0.5, 0.75])


@pytest.mark.parametrize(
    ("age_years", "band"), [(17.9, "under 18"), (18.0, "18 to 29"), (60.0, "60 and over")]
)
def test_an_age_falls_into_its_band(age_years, band):
    table = person_table(windows(("p", "c", "c")), subjects(subject=["p"], age_years=[age_years]))
    assert table["age_band"].to_list() == [band]
    assert band in AGE_BANDS.values()


def test_recall_and_precision_of_a_class_are_pooled_over_people():
    table = class_table(windows(("p", "cca", "caa"), ("q", "caa", "cac")), CLASSES, 100)
    calm = table.row(0, named=True)
    assert (calm["class"], calm["windows"], calm["people"]) == ("calm", 3, 2)
    assert calm["recall"] == pytest.approx(2 / 3)
    assert calm["precision"] == pytest.approx(2 / 3)
    assert calm["f1"] == pytest.approx(2 / 3)
    assert calm["recall_low"] <= calm["recall"] <= calm["recall_high"]


def test_the_interval_of_a_share_ends_at_0_and_1():
    table = class_table(
        windows(("p", "cc", "cc"), ("q", "cc", "aa"), ("r", "a", "a")), CLASSES, 200
    )
    ends = [table[f"recall_{end}"].drop_nulls().to_list() for end in ("low", "high")]
    assert min(map(min, ends)) == 0
    assert max(map(max, ends)) == 1


def test_a_class_without_windows_has_no_recall():
    table = class_table(windows(("p", "cc", "cc"), ("q", "c", "c")), CLASSES, 100)
    assert table["recall"].to_list() == [1.0, None]


def grouped(n_women: int, n_men: int) -> pl.DataFrame:
    """Return people of whom women are always right, and men half of the time."""
    women, men = ([f"{sex}{n}" for n in range(k)] for sex, k in (("w", n_women), ("m", n_men)))
    predictions = windows(
        *((name, "cc", "cc") for name in women), *((name, "cc", "ca") for name in men)
    )
    sexes = ["female"] * n_women + ["male"] * n_men
    return person_table(predictions, subjects(subject=women + men, sex=sexes))


def test_the_gap_of_a_subgroup_is_to_all_others():
    table = group_table(grouped(6, 6), 200)
    assert table.select("attribute", "group", "people").rows() == [
        ("sex", "female", 6),
        ("sex", "male", 6),
    ]
    assert table["gap"].to_list() == pytest.approx([0.5, -0.5])
    # Everyone of a group is alike, so that every resample gives the same.
    assert table["gap_low"].to_list() == pytest.approx([0.5, -0.5])


def test_a_small_subgroup_has_no_interval_and_an_attribute_of_none_no_table():
    table = group_table(grouped(2, 6), 200)
    assert table["gap"].null_count() == 0
    assert table["gap_low"].null_count() == 2
    assert group_table(person_table(windows(("p", "c", "c")), NOBODY), 100).is_empty()


def test_people_without_a_statement_are_a_row_without_a_gap():
    stated = subjects(subject=["p", "q", "r"], site=["Lyon", "Ghent", None])
    table = group_table(
        person_table(windows(("p", "c", "c"), ("q", "c", "a"), ("r", "c", "c")), stated), 100
    )
    assert table["group"].to_list() == ["Ghent", "Lyon", "not stated"]
    assert table["gap"].to_list() == [-1.0, 1.0, None]


def test_the_section_names_the_worst_quarter_and_links_the_pages(project, results):
    section = people(project, results)
    assert section is not None
    text = str(section.blocks)
    assert "worst quarter" in text
    assert '<a href="people/sub-01.html">sub-01</a>' in text
    assert "sex: female" in text


def test_without_labels_there_is_no_section(project, results):
    unlabelled = results.predictions.with_columns(actual=pl.lit(None, pl.String))
    assert people(project, replace(results, predictions=unlabelled)) is None

"""Annotators on another scale are left out as a whole, and a class has one name."""

from __future__ import annotations

import polars as pl
import pytest

from consilience.datasets.harmonised import harmonised
from consilience.datasets.tables import annotation, annotations_of

RISING = [-0.9, -0.4, -0.1, 0.2, 0.5, 0.8]


def ratings(annotator: str, values: list[float], target: str = "valence") -> list[dict]:
    return [annotation(f"s{n}", annotator, target, value) for n, value in enumerate(values)]


def votes(*labels: str) -> list[dict]:
    return [annotation(f"s{n}", "ann", "emotion", label) for n, label in enumerate(labels)]


def run(rows: list[dict], classes: tuple[str, ...] = ()) -> tuple[pl.DataFrame, list[str]]:
    problems: list[tuple[str, str, str]] = []
    table = harmonised(annotations_of(rows), classes, "annotations.csv", problems)
    return table, [what for _, what, _ in problems]


def test_one_rating_out_of_range_leaves_out_all_of_this_target() -> None:
    rows = [
        *ratings("sam", [1.0, 5.0, 9.0]),
        *ratings("sam", [-0.5, 0.5, 1.0], "arousal"),
        *ratings("ann", [-0.5, 0.0, 1.0]),
    ]
    table, (what,) = run(rows)
    assert "2 of 3 ratings of valence by annotator 'sam'" in what
    assert what.endswith("such as 5 in session s1 at 0 s")
    assert set(table.select("annotator", "target").rows()) == {
        ("sam", "arousal"),
        ("ann", "valence"),
    }


def test_ratings_without_a_negative_one_are_reported_and_used() -> None:
    rows = [*ratings("ann", [0.0, 0.2, 0.4, 0.6, 1.0]), *ratings("bob", RISING)]
    table, (what,) = run(rows)
    assert what == "all ratings of valence by 'ann' are between 0 and 1: is 0 the lowest possible?"
    assert table.height == len(rows)


@pytest.mark.parametrize("values", [[0.5] * 8, [0.1, 0.5, 0.9], RISING])
def test_few_or_constant_or_signed_ratings_show_no_other_scale(values: list[float]) -> None:
    assert run(ratings("ann", values))[1] == []


def test_opposed_observers_are_reported() -> None:
    rows = [*ratings("ann", RISING), *ratings("bob", [-value for value in RISING])]
    table, (what,) = run(rows)
    assert what.startswith("ratings of valence by 'ann' and 'bob' are opposed: correlation -1.00")
    assert table.height == len(rows)
    assert run([*ratings("ann", RISING), *ratings("self", [-value for value in RISING])])[1] == []


@pytest.mark.parametrize(
    ("labels", "classes", "expected"),
    [
        (["calm", "Calm", "calm", "CALM "], (), {"calm"}),
        (["Very  Sad", "very sad", "very sad", "calm"], (), {"very sad", "calm"}),
        (["calm", "Calm"], (), {"calm"}),
        (["CALM", "CALM", "calm"], ("Calm", "sad"), {"Calm"}),
    ],
)
def test_spellings_of_a_class_become_one(
    labels: list[str], classes: tuple[str, ...], expected: set[str]
) -> None:
    table, (what,) = run(votes(*labels), classes)
    assert set(table["label"]) == expected
    assert what.startswith("labels differ in case or spaces only: ")


def test_different_classes_stay_apart() -> None:
    table, problems = run(votes("calm", "sad", "calmer"))
    assert set(table["label"]) == {"calm", "sad", "calmer"}
    assert not problems

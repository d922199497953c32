"""Nouns agree with their number, and long lists are cut."""

from __future__ import annotations

import pytest

from consilience.core.wording import MAX_LINES, counted, first_lines


@pytest.mark.parametrize(
    ("number", "words", "expected"),
    [
        (0, ["gap"], "0 gaps"),
        (1, ["gap"], "1 gap"),
        (2, ["gap"], "2 gaps"),
        (1, ["row is", "rows are"], "1 row is"),
        (3, ["row is", "rows are"], "3 rows are"),
    ],
)
def test_only_one_has_the_singular(number: int, words: list[str], expected: str) -> None:
    assert counted(number, *words) == expected


def test_a_long_list_is_cut_and_names_the_place_of_the_rest() -> None:
    lines = [str(number) for number in range(10_000)]
    kept = first_lines(lines, "in the report")
    assert kept == [*lines[:MAX_LINES], f"  and {10_000 - MAX_LINES} more, in the report"]
    assert first_lines(lines[:MAX_LINES], "in the report") == lines[:MAX_LINES]
    assert first_lines(lines, "in the report", None) == lines

"""Nouns agree with their number."""

from __future__ import annotations

import pytest

from consilience.core.wording import counted


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

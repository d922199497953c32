"""A card from elsewhere is checked entry by entry before anything is read or built by it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from consilience.core.errors import ConsilienceError
from consilience.training.card import read_card

ROLES: dict[str, list[str]] = {"train": ["p1"], "validation": ["p2"], "test": ["p3"]}
CARD: dict[str, Any] = {
    "method": "hybrid",
    "dataset": "demo",
    "classes": ["happy", "sad"],
    "features": {"eeg": ["a"]},
    "params": {},
    "training": {},
    "runs": [{"fold": 0, "seed": 0}],
    "subjects": {"0": ROLES},
    "recipe": {"modalities": {"eeg": {}}, "alignment": {}, "annotation": {}, "windows": {}},
}


def write(folder: Path, card: object) -> Path:
    path = folder / "card.json"
    path.write_text(card if isinstance(card, str) else json.dumps(card))
    return path


def test_a_valid_card_is_returned_as_it_is(tmp_path: Path) -> None:
    assert read_card(write(tmp_path, CARD)) == CARD


@pytest.mark.parametrize(
    "change",
    [
        {"method": "../../x"},
        {"method": 7},
        {"classes": "happy"},
        {"classes": [""]},
        {"classes": ["c"] * 1000},
        {"features": {}},
        {"features": {"eeg; id": []}},
        {"features": {"eeg": [1]}},
        {"runs": []},
        {"runs": [{"fold": -1, "seed": 0}]},
        {"runs": [{"fold": 0, "seed": 0, "x": 1}]},
        {"runs": [{"fold": 0, "seed": 1e400}]},
        {"subjects": {"0": {"train": []}}},
        {"subjects": {"zero": ROLES}},
        {"subjects": [ROLES]},
        {"recipe": {**CARD["recipe"], "dataset": {"root": "/"}}},
        {"recipe": {**CARD["recipe"], "windows": None}},
        {"training": []},
        {"extra": 1},
    ],
)
def test_a_wrong_entry_is_one_line(tmp_path: Path, change: dict[str, Any]) -> None:
    with pytest.raises(ConsilienceError, match=next(iter(change))) as raised:
        read_card(write(tmp_path, {**CARD, **change}))
    assert "\n" not in str(raised.value)
    assert len(str(raised.value)) < 600


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "[" * 100_000, '{"method": "\\ud800"}'])
def test_a_file_that_is_not_a_card_is_one_line(tmp_path: Path, text: str) -> None:
    with pytest.raises(ConsilienceError) as raised:
        read_card(write(tmp_path, text))
    assert "\n" not in str(raised.value)

"""A card from elsewhere is checked entry by entry before anything is read or built by it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from consilience.core.errors import ConsilienceError
from consilience.training.card import read_card

PERSON: dict[str, Any] = {"recordings": ["0123456789abcdef"], "roles": {"0": "train"}}
CARD: dict[str, Any] = {
    "schema_version": 1,
    "weights_sha256": "0" * 64,
    "data_sha256": "0" * 64,
    "method": "hybrid",
    "dataset": "demo",
    "classes": ["happy", "sad"],
    "features": {"eeg": ["a"]},
    "inputs": {"eeg": [1]},
    "params": {},
    "training": {},
    "runs": [{"fold": 0, "seed": 0}],
    "people": [PERSON],
    "recipe": {"modalities": {"eeg": {}}, "alignment": {}, "annotation": {}, "windows": {}},
    "metrics": {"all": [0.8, 0.7, None]},
    "intended_use": "research",
    "limits": [],
    "licence": "CC0-1.0",
    "libraries": {"torch": "2"},
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
        {"schema_version": 0},
        {"weights_sha256": "0"},
        {"inputs": {}},
        {"inputs": {"eeg": []}},
        {"inputs": {"eeg": [0]}},
        {"inputs": {"eeg": [2**20, 2**20]}},
        {"people": [{"recordings": ["p1"], "roles": {}}]},
        {"people": [{**PERSON, "roles": {"0": "tester"}}]},
        {"people": [{**PERSON, "name": "p1"}]},
        {"people": PERSON},
        {"metrics": {"all": [0.8]}},
        {"licence": ""},
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


def test_a_newer_schema_is_one_line_whatever_its_entries(tmp_path: Path) -> None:
    newer = {"schema_version": 2, "unknown": {}}
    with pytest.raises(ConsilienceError, match="schema version 2, newer than 1") as raised:
        read_card(write(tmp_path, newer))
    assert raised.value.remedy == "install a newer version of consilience"


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "[" * 100_000, '{"method": "\\ud800"}'])
def test_a_file_that_is_not_a_card_is_one_line(tmp_path: Path, text: str) -> None:
    with pytest.raises(ConsilienceError) as raised:
        read_card(write(tmp_path, text))
    assert "\n" not in str(raised.value)

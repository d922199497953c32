import json
from pathlib import Path

from benchmarks.faults.mutations import refusals
from consilience import params
from consilience.training.card import read_card
from tests.training.test_card import CARD


def test_mutated_parameters_are_one_line_each() -> None:
    text = params.document(params.defaults("demo", modalities=["audio"]))
    messages = refusals(text, params.load, 30, 1)
    assert all("\n" not in message and len(message) < 800 for message in messages)
    assert sum(map(bool, messages)) > 10


def test_mutated_cards_are_one_line_each() -> None:
    messages = refusals(json.dumps(CARD, indent=1), read_card, 100, 2)
    assert all("\n" not in message and len(message) < 800 for message in messages)
    assert sum(map(bool, messages)) > 50


def test_another_error_is_not_hidden(tmp_path: Path) -> None:
    def fails(path: Path) -> None:
        raise ZeroDivisionError

    try:
        refusals("a: 1\n", fails, 1, 0)
    except ZeroDivisionError:
        return
    raise AssertionError

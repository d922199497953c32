"""Predictions that bear pseudonyms."""

from __future__ import annotations

import polars as pl

from consilience.core.pseudonyms import Names
from consilience.prediction.pseudonyms import with_pseudonyms
from consilience.prediction.run import Predicted

KEY = bytes(range(32))
WINDOWS = pl.DataFrame(
    {
        "window": ["ada-1_0", "ada-1_1", "bob_0"],
        "session": ["ada-1", "ada-1", "bob"],
        "subject": ["ada", "ada", "bob"],
        "verdict": ["clear", "no sensor", "clear"],
    }
)
RECORDINGS = pl.DataFrame({"recording": ["ada-1", "bob"], "sensor": ["eeg", "eeg"]})


def test_no_name_is_left_and_all_else_is_unchanged() -> None:
    hidden = with_pseudonyms(Predicted(WINDOWS, RECORDINGS, {}, ["ada"], ["bob"]), KEY)
    text = f"{hidden.windows.rows()} {hidden.recordings.rows()} {hidden.held_out} {hidden.seen}"
    assert "ada" not in text
    assert "bob" not in text
    assert hidden.windows["verdict"].equals(WINDOWS["verdict"])
    assert hidden.recordings["sensor"].equals(RECORDINGS["sensor"])


def test_people_have_the_pseudonyms_of_the_report() -> None:
    hidden = with_pseudonyms(Predicted(WINDOWS, RECORDINGS, {}, ["ada"], []), KEY)
    person = Names(KEY).subject("ada")
    assert hidden.windows["subject"][0] == person
    assert hidden.held_out == [person]
    assert hidden.windows["session"][0] == hidden.recordings["recording"][0]

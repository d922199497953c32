from __future__ import annotations

from benchmarks.evidence.markdown import (
    anchor,
    bounded,
    difference,
    number,
    probability,
    signed,
    table,
)
from consilience.evaluation.resampling import Paired


def test_numbers_lose_their_leading_zero():
    assert number(0.1234) == ".123"
    assert number(-0.05) == "-.050"
    assert number(1.5) == "1.500"
    assert number(float("nan")) == "–"
    assert bounded((0.5, 0.25, 0.75), 2) == ".50 [.25, .75]"


def test_differences_have_a_sign_an_interval_and_a_p():
    pair = Paired(0.02, 0.01, 0.03, 0.001, 12)
    text = "+.020 [.010, .030] against late fusion"
    assert difference(pair, "late_fusion", 0.02) == f"{text}, p .020"
    assert difference(pair, "late_fusion") == text
    assert (signed(0.05, 2), signed(-0.003), signed(0.0, 2)) == ("+.05", "−.003", "+.00")
    assert probability(0.0009) == "p < .001"


def test_tables_keep_their_columns():
    assert table(["a", "b"], [["1", "x|y"]]).splitlines()[-1] == "| 1 | x/y |"


def test_headings_can_be_linked_to():
    assert anchor("7 · Calibration") == "7--calibration"

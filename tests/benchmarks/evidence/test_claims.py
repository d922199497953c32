import numpy as np
import pytest

from benchmarks.evidence.claims import Finding, Line, bounded, number
from benchmarks.evidence.results import Comparison, Outcome, compare, nearest
from benchmarks.evidence.tables import anchor, table
from consilience.evaluation.aggregate import Figures
from consilience.evaluation.resampling import Paired


def outcome(name: str, level: float, seed: int = 0) -> Outcome:
    """Pretend an entry whose figure is `level`, with every subject near it."""
    rng = np.random.default_rng(seed)
    subjects = level + 0.01 * rng.normal(size=12)
    sample = np.concatenate([[subjects.mean()], level + 0.003 * rng.normal(size=200)])
    made = Outcome(name, None)
    made.__dict__["figures"] = Figures({"grid": sample}, {"grid": subjects})
    return made


def test_ahead_needs_interval_and_corrected_test():
    found = compare(
        outcome("coherence_transfer", 0.8),
        {"a": outcome("a", 0.7), "b": outcome("b", 0.8)},
        ["grid"],
    )
    by_name = {comparison.other: comparison for comparison in found}
    assert by_name["a"].ahead(1)
    assert not by_name["a"].ahead(-1)
    assert not by_name["b"].ahead(1)
    assert nearest(found, 1).other == "b"
    assert nearest(found, -1).other == "a"


def test_a_clear_interval_alone_is_not_enough():
    pair = Paired(0.1, 0.05, 0.15, 0.04, 5)
    assert Comparison("grid", "a", pair, 0.01).ahead(1)
    assert not Comparison("grid", "a", pair, 0.2).ahead(1)


@pytest.mark.parametrize(
    ("held", "verdict"),
    [
        ([True, True], "held"),
        ([True, False], "held in part"),
        ([False], "missed"),
        ([True, None], "held so far"),
        ([None], "not measured"),
        ([], "not measured"),
    ],
)
def test_a_line_is_held_if_all_of_it_is(held, verdict):
    assert Line(1, "x", [Finding("", "", one) for one in held]).verdict == verdict


def test_numbers_read_well():
    assert number(0.1234) == ".123"
    assert number(-0.05) == "-.050"
    assert number(1.5) == "1.500"
    assert number(float("nan")) == "–"
    assert bounded((0.5, 0.25, 0.75), 2) == ".50 [.25, .75]"


def test_tables_keep_their_columns():
    assert table(["a", "b"], [["1", "x|y"]]).splitlines()[-1] == "| 1 | x/y |"


def test_headings_can_be_linked_to():
    assert anchor(Line(7, "Calibration", [])) == "7--calibration"

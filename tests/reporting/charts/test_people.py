from typing import Any

import polars as pl
import pytest

from consilience.reporting.charts import people


def test_the_worst_quarter_has_a_series_of_its_own() -> None:
    table = pl.DataFrame({"subject": ["a", "b", "c"], "balanced_accuracy": [0.2, 0.5, 0.9]})
    worst, others = people.people(table, 1, 0.25).data
    assert (list(worst.x), list(worst.y)) == ([1], [20.0])
    assert (list(others.x), list(others.text)) == ([2, 3], ["b", "c"])


def test_few_people_are_named_and_many_are_numbered() -> None:
    def axis(number: int) -> Any:
        names = [f"p{n}" for n in range(number)]
        table = pl.DataFrame({"subject": names, "balanced_accuracy": [0.5] * number})
        return people.people(table, 1, 0.25).layout.xaxis

    assert list(axis(3).ticktext) == ["p0", "p1", "p2"]
    assert (axis(30).ticktext, list(axis(30).tickvals)[:3]) == (None, [1, 4, 7])
    assert list(axis(30).range) == [0.5, 30.5]


def test_a_gap_has_its_interval_and_a_group_without_others_is_left_out() -> None:
    table = pl.DataFrame(
        {"attribute": ["sex", "sex", "site"], "group": ["female", "male", "Lyon"]}
        | {"people": [4, 5, 9], "gap": [0.1, -0.1, None]}
        | {"gap_low": [-0.05, -0.25, None], "gap_high": [0.25, 0.05, None]}
    )
    chart = people.groups(table, {"sex": "sex", "site": "site"})
    (points,) = chart.data
    assert list(points.y) == ["sex: female (4)", "sex: male (5)"]
    assert list(points.error_x.array) == pytest.approx([15, 15])
    assert list(points.error_x.arrayminus) == pytest.approx([15, 15])

import polars as pl
import pytest

from consilience.reporting.charts import annotators

TABLE = pl.DataFrame(
    {
        "annotator": ["1", "1", "2", "3"],
        "target": ["emotion", "valence", "emotion", "valence"],
        "n_windows": [10, 10, 30, 5],
        "reliability": [0.9, 0.7, 0.6, None],
        "lag_s": [2.0, 2.0, 1.0, None],
        "lag_sd_s": [0.5, 0.5, None, None],
        "correlation": [None, 0.8, 0.7, None],
        "correlation_unshifted": [None, 0.6, 0.65, None],
    }
)


def test_reliable_annotators_are_at_the_top() -> None:
    chart = annotators.reliability(TABLE, {"emotion": "#000000", "valence": "#000001"})
    assert list(chart.layout.yaxis.categoryarray) == ["1", "2"]
    assert chart.layout.yaxis.type == "category"
    assert [list(dots.x) for dots in chart.data] == [[0.9, 0.6], [0.7]]


def test_a_crowd_is_reduced_to_those_with_the_most_windows() -> None:
    n = annotators.MAX_ANNOTATORS + 5
    crowd = pl.DataFrame(
        {"annotator": [f"{i:03}" for i in range(n)], "target": ["emotion"] * n}
        | {"n_windows": list(range(n)), "reliability": [0.5] * n}
    )
    chart = annotators.reliability(crowd, {"emotion": "#000000"})
    assert set(chart.data[0].y) == {f"{i:03}" for i in range(5, n)}
    assert list(chart.layout.yaxis.categoryarray) == [f"{i:03}" for i in range(5, n)]


def test_each_annotator_has_one_lag_with_its_interval() -> None:
    dots = annotators.reaction_lags(TABLE).data[0]
    assert list(dots.y) == ["2", "1"]
    assert list(dots.x) == [1.0, 2.0]
    assert list(dots.error_x.array) == pytest.approx([0, 0.98])


def test_lag_gains_run_from_before_to_after() -> None:
    lines = annotators.lag_gains(TABLE).data
    assert [(line.y[0], list(line.x)) for line in lines] == [("2", [0.65, 0.7]), ("1", [0.6, 0.8])]


def test_confusion_is_the_mean_over_annotators() -> None:
    table = pl.DataFrame(
        {"annotator": ["1", "2", "1"], "actual": ["sad", "sad", "calm"]}
        | {"named": ["sad", "sad", "sad"], "probability": [0.4, 0.8, 1.0]}
    )
    heat = annotators.confusion(table, ["sad", "calm"]).data[0]
    assert [list(row) for row in heat.z] == [[pytest.approx(0.6), 0], [1, 0]]

import json

import plotly.graph_objects as go
import polars as pl

from consilience.reporting.charts import style
from consilience.reporting.figure import chart, csv_text, described, drawing, traced


def test_data_of_a_chart_cannot_end_its_script_element() -> None:
    figure = go.Figure(go.Scatter(x=[0], y=[0], text=["</script>"]), layout={"height": 120})
    shown = chart("name", figure)
    assert "<" not in shown.json
    assert json.loads(shown.json)["data"][0]["text"] == ["</script>"]
    assert shown.height == 120
    assert not shown.has_menu


def test_csv_holds_the_table_that_is_named() -> None:
    figure = style.figure([go.Scatter(x=[0], y=[0])], 100)
    table = pl.DataFrame({"share": [1 / 3, None], "probability": [[0.1, 0.9], [1.0, 0.0]]})
    assert chart("name", figure, table).csv == "share,probability\n0.333333,0.1 0.9\n,1.0 0.0\n"
    assert drawing("other", "<svg></svg>", table).csv == csv_text(table)


def test_csv_of_traces_has_a_row_per_point_with_the_titles_of_the_axes() -> None:
    intervals = {"array": [0.5], "arrayminus": [0.25]}
    points = go.Scatter(x=[1.0], y=["a"], name="eeg", text=["one"], error_x=intervals)
    guide = go.Scatter(x=[0, 9], y=[0, 9], hoverinfo="skip")
    figure = style.figure([points, guide], 100).update_xaxes(title_text="lag, s")
    assert traced(figure).rows(named=True) == [
        {"series": "eeg", "lag, s": 1.0, "y": "a", "text": "one", "low": 0.75, "high": 1.5}
    ]


def test_csv_of_a_matrix_has_a_row_per_cell() -> None:
    figure = style.class_matrix([[1.0, 0.0], [0.25, 0.75]], ["calm", "sad"], "#102030", "%{y}")
    figure.update_xaxes(title_text="predicted").update_yaxes(title_text="labelled")
    assert traced(figure).rows() == [
        ("calm", "calm", 1.0),
        ("calm", "sad", 0.0),
        ("sad", "calm", 0.25),
        ("sad", "sad", 0.75),
    ]
    assert traced(figure).columns == ["labelled", "predicted", "value"]


def test_csv_of_a_histogram_and_of_no_point() -> None:
    histogram = go.Histogram(x=[0.5, 1.0], name="agreement")
    assert traced(style.figure([histogram], 100)).rows() == [("agreement", 0.5), ("agreement", 1.0)]
    assert traced(style.figure([], 100)).is_empty()
    assert csv_text(traced(style.figure([], 100))).strip() == ""


def test_axes_of_one_title_keep_their_letters() -> None:
    figure = style.figure([go.Scatter(x=[1], y=[2])], 100)
    figure.update_xaxes(title_text="loss").update_yaxes(title_text="loss")
    assert traced(figure).columns == ["x", "y"]


def test_description_names_axes_ranges_and_series() -> None:
    traces = [go.Scatter(x=[0.5, 2.0], y=["a", "b"], name=f"series {i}") for i in range(10)]
    figure = style.figure(traces, 100).update_xaxes(title_text="lag, s")
    text = described(figure)
    assert text.startswith("horizontal axis: lag, s from 0.5 to 2; series: series 0, series 1,")
    assert text.endswith("series 7 and 2 more.")
    assert described(style.figure([], 100)) == ""

import polars as pl
import pytest

from consilience.reporting.charts import robustness
from consilience.reporting.charts.style import ACCENT, method_colours

COLOURS = method_colours(["concat", "hybrid"], "hybrid")


def accuracies(**columns: list[str]) -> pl.DataFrame:
    n = len(next(iter(columns.values())))
    values = [0.5 + 0.01 * number for number in range(n)]
    return pl.DataFrame(
        columns
        | {"balanced_accuracy": values}
        | {"low": [value - 0.02 for value in values], "high": [value + 0.03 for value in values]}
    )


def test_subsets_are_ordered_by_size_with_a_point_per_method() -> None:
    table = accuracies(
        method=["concat", "concat", "hybrid", "hybrid"], subset=["eeg+face_au", "eeg"] * 2
    ).with_columns(n_modalities=pl.Series([2, 1, 2, 1]))
    chart = robustness.subsets(table, COLOURS, 0.25)
    assert list(chart.layout.yaxis.ticktext) == ["EEG", "EEG + face AU"]
    assert {trace.name for trace in chart.data} == {"concat", "hybrid"}
    for trace in chart.data:
        assert len(trace.x) == 2
        # Points of a row are closer to it than to the next.
        assert sorted(round(height) for height in trace.y) == [0, 1]


def test_intervals_are_distances_from_the_accuracy() -> None:
    table = accuracies(method=["concat", "hybrid"], modality=["eeg", "eeg"])
    chart = robustness.mismatch(table, COLOURS, 0.25)
    assert list(chart.layout.yaxis.ticktext) == ["EEG mismatched"]
    for trace in chart.data:
        assert trace.error_x.array == pytest.approx([0.03])
        assert trace.error_x.arrayminus == pytest.approx([0.02])


def test_chance_is_marked() -> None:
    table = accuracies(method=["concat", "hybrid"], modality=["eeg", "eeg"])
    line = robustness.mismatch(table, COLOURS, 0.25).layout.shapes[0]
    assert line.x0 == line.x1 == 0.25


def test_only_the_default_method_has_a_band_and_all_charts_share_a_range() -> None:
    table = accuracies(
        method=["concat", "concat", "hybrid", "hybrid", "hybrid"],
        modality=["eeg", "eeg", "eeg", "eeg", "audio"],
        kind=["noise"] * 5,
    ).with_columns(severity=pl.Series([1, 0, 0, 1, 0]))
    charts = [robustness.noise(table, name, "noise", COLOURS, 0.25) for name in ("eeg", "audio")]
    assert [trace.fill for trace in charts[0].data].count("toself") == 1
    assert charts[0].layout.yaxis.range == charts[1].layout.yaxis.range
    concat = next(trace for trace in charts[0].data if trace.name == "concat")
    assert list(concat.x) == [0, 1]
    assert list(concat.y) == pytest.approx([0.51, 0.5])
    assert COLOURS["hybrid"] == ACCENT


def test_long_titles_of_rows_have_several_lines() -> None:
    assert robustness.in_lines("EEG + face AU") == "EEG + face AU"
    long = "voice embedding + face AU"
    assert robustness.in_lines(long) == "voice embedding<br>+ face AU"
    assert robustness.in_lines("voice embedding mismatched") == "voice embedding<br>mismatched"
    three = robustness.in_lines("voice embedding + upper face AU + lower face AU")
    assert three.split("<br>") == ["voice embedding", "+ upper face AU", "+ lower face AU"]

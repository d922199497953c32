import polars as pl

from consilience.reporting.charts import coherence

TABLE = pl.DataFrame(
    [("one", "eeg", 4.0), ("two", "eeg", -6.0), ("one", "face_au", 3.0)],
    schema=["session", "sensor", "llr"],
    orient="row",
)


def test_every_session_has_a_point_per_sensor() -> None:
    chart = coherence.agreement(TABLE, {"eeg": "#000000", "face_au": "#000001"})
    assert [list(trace.text) for trace in chart.data] == [["one", "two"], ["one"]]
    assert list(chart.data[0].x) == [4.0, -6.0]
    assert [trace.name for trace in chart.data] == ["EEG", "face AU"]

import polars as pl

from consilience.reporting.charts import recordings
from consilience.reporting.charts.style import STATUSES

TABLE = pl.DataFrame(
    [
        ("a1", "a_1", "a", "eeg", 0.5, "usable", None),
        ("a2", "a_2", "a", "eeg", None, "missing", "no such file"),
        ("b1", "b_1", "b", "audio", 0.9, "usable", None),
    ],
    schema=["recording", "session", "subject", "modality", "quality", "status", "reason"],
    orient="row",
)


def test_availability_has_a_row_per_subject_and_a_column_per_session() -> None:
    heat = recordings.availability(TABLE, "eeg").data[0]
    usable, missing = STATUSES.index("usable"), STATUSES.index("missing")
    # Subject b has one session only, and no EEG in it.
    assert [list(row) for row in heat.z] == [[usable, missing], [missing, None]]
    assert list(heat.y) == ["a", "b"]
    assert heat.text[0][1] == "a_2: missing<br>no such file"


def test_quality_shows_ingested_recordings_only() -> None:
    chart = recordings.quality(TABLE, {"eeg": "#000000", "audio": "#000001"})
    assert [list(box.text) for box in chart.data] == [["a1"], ["b1"]]
    assert [box.name for box in chart.data] == ["EEG", "audio"]

from __future__ import annotations

import polars as pl

from consilience.reporting.content.drift import dated, drift
from consilience.schema.tables import Deviations, frame_of, write_table


def deviations(*names: str) -> pl.DataFrame:
    rows: list[dict[str, object]] = [
        {"recording": name, "subject": "p", "sensor": "eeg", "windows": 4, "deviation": 0.5}
        for name in names
    ]
    return frame_of(rows, Deviations)


def test_recordings_are_in_the_order_of_their_start_and_undated_ones_last():
    starts = pl.DataFrame(
        {"session": ["a", "b", "c"], "subject": ["p", "p", "q"]}
        | {"start_time": ["2024-05-02T10:00", "2023-01-01T09:00", None]}
    )
    table = dated(deviations("c", "a", "b"), starts)
    assert table["recording"].to_list() == ["b", "a", "c"]
    # A person with many clips counts as one recording.
    assert dated(deviations("p"), starts)["start_time"].to_list() == ["2023-01-01T09:00"]


def test_recordings_that_differ_are_listed(project, results):
    section = drift(project, results)
    assert section is not None
    (listing,) = [block for block in section.blocks if block.kind == "listing"]
    assert {row[3] for row in listing.rows} == {"6.5"}
    assert len(listing.rows) == 3  # one recording of three sensors


def test_too_few_recordings_to_compare_have_no_section(project, results):
    table = pl.read_parquet(project.evaluation / "deviations.parquet")
    unknown = table.with_columns(deviation=pl.lit(None, pl.Float64))
    write_table(project.evaluation / "deviations.parquet", unknown, Deviations)
    assert drift(project, results) is None


def test_recordings_that_are_not_compared_are_counted(project, results):
    path = project.evaluation / "deviations.parquet"
    table = pl.read_parquet(path)
    first = pl.col("recording") == table["recording"][0]
    unknown = pl.when(first).then(None).otherwise("deviation")
    write_table(path, table.with_columns(deviation=unknown), Deviations)
    section = drift(project, results)
    assert section is not None
    assert section.blocks[-1].text.startswith("1 recording is not compared")

from __future__ import annotations

import polars as pl
import pytest

from consilience.reporting.content.source import file_places, spread


def test_a_window_is_placed_on_the_clock_of_a_file_for_people(project, results):
    windows = results.predictions.head(40)
    places = file_places(project, results, windows)
    assert places["window"].to_list() == windows["window"].to_list()
    usable = results.recordings.filter(pl.col("status") == "usable")["recording"].to_list()
    for row in places.join(windows, on="window").iter_rows(named=True):
        recording = row["file"].partition(".")[0]
        assert recording in usable
        if f"{row['session']}_video" in usable:
            assert recording.endswith("video")
        clock = results.alignment.filter(pl.col("recording") == recording).row(0, named=True)
        session_s = (1 + 1e-6 * clock["drift_ppm"]) * row["file_s"] + clock["offset_s"]
        assert session_s == pytest.approx(row["start_s"])


def test_a_session_without_a_usable_recording_has_no_file(project, results):
    windows = results.predictions.head(1).with_columns(session=pl.lit("elsewhere"))
    assert file_places(project, results, windows).select("file", "file_s").rows() == [(None, None)]


@pytest.mark.parametrize(("n", "most", "expected"), [(0, 3, []), (2, 3, [0, 1]), (5, 3, [0, 2, 4])])
def test_positions_are_evenly_spread(n, most, expected):
    assert spread(n, most) == expected

"""The files that a prediction writes."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from consilience.core.errors import ConsilienceError
from consilience.prediction.output import check_output, write_predictions
from consilience.prediction.run import NO_SENSOR, Predicted

WINDOWS = pl.DataFrame(
    {
        "window": ["a", "b", "c"],
        "session": ["s1", "s1", "=s2"],
        "verdict": ["clear", NO_SENSOR, "bad sensor: eeg"],
        "vacuity": [0.25, 1.0, 0.5],
    }
)

RECORDINGS = pl.DataFrame(
    {
        "recording": ["s1", "s2"],
        "sensor": ["eeg", "eeg"],
        "windows": [2, 1],
        "deviation": [0.5, 7.25],
        "differs": [False, True],
    }
)


@pytest.mark.parametrize("name", ["out.parquet", "out.csv"])
def test_the_table_is_written_in_both_formats(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    lines = write_predictions(Predicted(WINDOWS, RECORDINGS, {}, [], []), path)
    read = pl.read_csv(path) if path.suffix == ".csv" else pl.read_parquet(path)
    assert read["vacuity"].to_list() == [0.25, 1.0, 0.5]
    assert lines[0].startswith("warning: s2: eeg differs from the recordings of the training (7.2")
    assert lines[1] == "1 window without any sensor: vacuity 1, no class is preferred"
    assert lines[2].startswith("3 windows of 2 sessions: ")
    beside = tmp_path / name.replace("out", "out.recordings")
    assert lines[-1] == f"predictions: {path}; recordings: {beside}"
    assert beside.is_file()


def test_a_spreadsheet_takes_no_name_for_a_formula(tmp_path: Path) -> None:
    write_predictions(Predicted(WINDOWS, RECORDINGS, {}, [], []), tmp_path / "out.csv")
    assert "'=s2" in (tmp_path / "out.csv").read_text()


def test_subjects_of_the_training_are_named(tmp_path: Path) -> None:
    predicted = Predicted(WINDOWS, RECORDINGS, {}, ["p1", "p2"], ["p3"])
    lines = write_predictions(predicted, tmp_path / "out.csv")
    assert any("p1, p2; each is predicted only by the runs" in line for line in lines)
    assert any(
        line.startswith("warning: the model was trained on recordings of p3") for line in lines
    )


def test_another_ending_is_an_error() -> None:
    with pytest.raises(ConsilienceError, match=r"unsupported ending '\.xlsx'"):
        check_output(Path("out.xlsx"))

from __future__ import annotations

import resource
from pathlib import Path

import polars as pl
import pytest

from consilience.core.errors import ConsilienceError
from consilience.schema.tables import (
    LABELLED,
    Labels,
    Table,
    Trials,
    csv_text,
    frame_of,
    read_table,
    write_table,
)

ROW: dict[str, object] = {"session": "s", "trial": "t", "start_s": 0.0, "end_s": 4.0}


def schemas(base: type[Table] = Table) -> list[type[Table]]:
    return [schema for child in base.__subclasses__() for schema in (child, *schemas(child))]


@pytest.mark.parametrize("schema", schemas(), ids=lambda schema: schema.__name__)
def test_a_table_without_rows_has_the_columns_and_types_of_its_schema(
    schema: type[Table], tmp_path: Path
) -> None:
    empty = frame_of([], schema)
    assert empty.columns == list(schema.to_schema().columns)
    write_table(tmp_path / "table.parquet", empty, schema)
    assert read_table(tmp_path / "table.parquet", schema).schema == empty.schema


def test_a_table_survives_writing_and_reading(tmp_path: Path) -> None:
    table = frame_of([ROW], Trials)
    write_table(tmp_path / "trials.parquet", table, Trials)
    assert read_table(tmp_path / "trials.parquet", Trials).equals(table)


@pytest.mark.parametrize(
    ("table", "column"),
    [
        (frame_of([ROW], Trials).drop("end_s"), "end_s"),
        (frame_of([ROW], Trials).with_columns(extra=1), "extra"),
        (frame_of([ROW], Trials).with_columns(end_s=pl.lit(4)), "end_s"),
        (frame_of([{**ROW, "end_s": None}], Trials), "end_s"),
    ],
)
def test_a_table_that_violates_its_schema_is_not_written(
    table: pl.DataFrame, column: str, tmp_path: Path
) -> None:
    with pytest.raises(ConsilienceError, match=rf"trials\.parquet \(Trials\): column {column}"):
        write_table(tmp_path / "trials.parquet", table, Trials)
    assert not list(tmp_path.iterdir())
    table.write_parquet(tmp_path / "trials.parquet")
    with pytest.raises(ConsilienceError, match=rf"column {column} .*dvc repro -f STAGE"):
        read_table(tmp_path / "trials.parquet", Trials)


def test_a_missing_table_names_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(ConsilienceError, match=r"the table is missing .*dvc repro"):
        read_table(tmp_path / "trials.parquet", Trials)


def test_a_window_is_labelled_if_it_has_any_label() -> None:
    row = {"session": "s", "subject": "p", "trial": "t", "start_s": 0.0, "end_s": 4.0}
    rows: list[dict[str, object]] = [
        {**row, "window": name, "n_annotators": 1, **label}
        for name, label in (
            ("class", {"class_probability": [0.5, 0.5]}),
            ("valence", {"valence": 0.0}),
            ("none", {"vote_share": [1.0, 0.0]}),
        )
    ]
    labelled = frame_of(rows, Labels).filter(LABELLED)
    assert labelled["window"].to_list() == ["class", "valence"]


def test_no_text_of_a_csv_file_is_a_formula() -> None:
    frame = pl.DataFrame({"actual": ["=cmd()", "+1", "-", "@a", "calm", None], "n": [-1.5] * 6})
    lines = csv_text(frame, float_precision=2).splitlines()
    assert lines[0] == "actual,n"
    assert lines[1:] == [
        "'=cmd(),-1.50",
        "'+1,-1.50",
        "'-,-1.50",
        "'@a,-1.50",
        "calm,-1.50",
        ",-1.50",
    ]


def test_what_the_disk_refuses_is_an_error_of_the_system_that_names_the_file(
    tmp_path: Path,
) -> None:
    table = frame_of([ROW | {"trial": str(number)} for number in range(1000)], Trials)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1024, hard))
    try:
        with pytest.raises(OSError, match="File too large") as caught:
            write_table(tmp_path / "trials.parquet", table, Trials)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert caught.value.filename == str(tmp_path / "trials.parquet")
    assert list(tmp_path.iterdir()) == []

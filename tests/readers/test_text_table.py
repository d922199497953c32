"""Text tables: valid rows are kept, and every other one is a problem with its line."""

from __future__ import annotations

import gzip

import polars as pl
import pytest

from consilience.core.errors import ConsilienceError
from consilience.readers import text_table
from consilience.readers.text_table import (
    LINE,
    MAX_REPORTED,
    filter_rows,
    read_small_text,
    read_text,
)


def read(path, content, columns=("a", "b"), delimiter=","):
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    problems = []
    return read_text(path, path.parent, columns, problems, delimiter), problems


def test_cells_are_text_without_spaces_and_empty_ones_are_null(tmp_path):
    table, problems = read(tmp_path / "t.csv", 'a,b,c\n 1 ,"x, y",\n\n2\n')
    assert table.rows() == [(2, "1", "x, y", None), (4, "2", None, None)]
    assert table.columns == [LINE, "a", "b", "c"]
    assert not problems


def test_tabs_byte_order_marks_and_gzip_are_read(tmp_path):
    table, _ = read(tmp_path / "t.tsv", "\ufeffa\tb\n1\t2\n", delimiter="\t")
    assert table.rows() == [(2, "1", "2")]
    table, _ = read(tmp_path / "t.csv.gz", gzip.compress(b"a,b\n1,2\n"))
    assert table.rows() == [(2, "1", "2")]


def test_a_row_with_too_many_cells_is_a_problem(tmp_path):
    table, problems = read(tmp_path / "t.csv", "a,b\n1,2,3\n4,5\n")
    assert table["a"].to_list() == ["4"]
    assert problems[0][:2] == ("t.csv line 2", "3 cells where the header has 2")


def test_many_rows_with_too_many_cells_are_counted(tmp_path):
    _, problems = read(tmp_path / "t.csv", "a,b\n" + "1,2,3\n" * (MAX_REPORTED + 7))
    assert len(problems) == MAX_REPORTED + 1
    assert problems[-1][1] == "7 more rows with too many cells"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("a;b\n1;2\n", "no column a, b"),
        ("", "no column a, b"),
        ("a,b,a\n", "duplicate column: 'a'"),
        ("a,b,line\n", "reserved column name: 'line'"),
        (b"a,b\n\xff\xfe\n", "not a UTF-8 text table"),
        ("a,b\n" + "x" * 2**20, "a line of over"),
    ],
)
def test_another_file_is_refused_in_one_line(tmp_path, content, message):
    with pytest.raises(ConsilienceError, match=message) as caught:
        read(tmp_path / "t.csv", content)
    assert "\n" not in str(caught.value)


def test_a_truncated_gzip_file_is_refused(tmp_path):
    with pytest.raises(ConsilienceError, match="not a UTF-8 text table"):
        read(tmp_path / "t.csv.gz", gzip.compress(b"a,b\n1,2\n" * 1000)[:-20])


def test_the_number_of_rows_is_limited(tmp_path, monkeypatch):
    monkeypatch.setattr(text_table, "MAX_ROWS", 10)
    with pytest.raises(ConsilienceError, match="more than 10 rows"):
        read(tmp_path / "t.csv", "a,b\n" + "1,2\n" * 11)


def test_a_folder_a_missing_file_and_a_link_out_are_refused(tmp_path):
    root = tmp_path / "root"
    (root / "folder.csv").mkdir(parents=True)
    (tmp_path / "outside.csv").write_text("a,b\n")
    (root / "link.csv").symlink_to(tmp_path / "outside.csv")
    for name, message in (
        ("folder.csv", "not a file"),
        ("missing.csv", "the table is missing"),
        ("link.csv", "leads out of the dataset"),
    ):
        with pytest.raises(ConsilienceError, match=message):
            read_text(root / name, root, ("a",), [])


def test_rows_that_are_not_valid_are_problems_with_their_lines():
    table = pl.DataFrame({LINE: [2, 3, 4], "a": [1, None, -1]})
    problems = []
    valid = filter_rows(table, pl.col("a") > 0, "t.csv", "a is not positive", problems, "correct")
    assert valid["a"].to_list() == [1]
    assert problems == [
        ("t.csv line 3", "a is not positive: empty", "correct"),
        ("t.csv line 4", "a is not positive: -1", "correct"),
    ]


def test_very_many_invalid_rows_are_counted():
    table = pl.DataFrame({LINE: range(100), "a": [0] * 100})
    problems = []
    assert filter_rows(table, pl.col("a") > 0, "t.csv", "zero", problems).is_empty()
    assert len(problems) == MAX_REPORTED + 1
    assert problems[-1][:2] == ("t.csv", f"{100 - MAX_REPORTED} more such rows: zero")


def test_columns_and_cells_are_limited(tmp_path, monkeypatch):
    path = tmp_path / "a.csv"
    path.write_text(",".join(f"c{number}" for number in range(text_table.MAX_COLUMNS + 1)))
    with pytest.raises(ConsilienceError, match="more than 5000 columns"):
        read_text(path, tmp_path, (), [])
    monkeypatch.setattr(text_table, "MAX_CELLS", 3)
    path.write_text("a,b\n1,2\n3,4\n")
    with pytest.raises(ConsilienceError, match="or 3 cells"):
        read_text(path, tmp_path, (), [])


def test_a_small_text_lies_in_the_dataset_and_is_small(tmp_path):
    (tmp_path / "root").mkdir()
    path = tmp_path / "root/classes.txt"
    path.write_text("\ufeffsad")
    assert read_small_text(path, tmp_path / "root") == "sad"
    path.write_bytes(bytes(text_table.MAX_SMALL_BYTES + 1))
    with pytest.raises(ConsilienceError, match="more than 1048576 bytes"):
        read_small_text(path, tmp_path / "root")
    path.unlink()
    (tmp_path / "secret").write_text("secret")
    path.symlink_to(tmp_path / "secret")
    with pytest.raises(ConsilienceError, match="out of the dataset"):
        read_small_text(path, tmp_path / "root")

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from consilience.core.errors import ConsilienceError
from consilience.readers.feature_table import find_rows, header_of, read_rows, read_sensor

ROWS = "clip,subject,label\na,p1,calm\nb,p1,angry\nc,p2,calm\n"


def write(folder: Path, **texts: str) -> Path:
    for name, text in texts.items():
        (folder / f"{name}.csv").write_text(text)
    return folder


def sensor(folder: Path, text: str, rows: str = ROWS) -> tuple[np.ndarray, list[str]]:
    """Return the values of a table, and its problems and notes as lines."""
    write(folder, rows=rows, ecg=text)
    table = read_sensor(folder / "ecg.csv", read_rows(folder / "rows.csv"))
    return table.values, [": ".join(line[:2]) for line in (*table.problems, *table.notes)]


def test_the_table_of_rows_is_the_one_with_subjects_and_labels(tmp_path):
    write(tmp_path, clips=ROWS, ecg="clip,subject,hr\na,p1,60\n", notes="x\n1\n")
    assert find_rows(tmp_path) == (tmp_path / "clips.csv", [])


@pytest.mark.parametrize("column", ["label", "valence", "arousal"])
def test_any_label_or_rating_marks_the_table_of_rows(tmp_path, column):
    write(tmp_path, a=f"clip,subject,{column}\n", b="clip,subject,hr\n")
    assert find_rows(tmp_path)[0].name == "a.csv"


def test_a_folder_without_a_table_of_rows_is_refused_with_the_tables_in_it(tmp_path):
    write(tmp_path, ecg="clip,hr\na,60\n")
    with pytest.raises(ConsilienceError, match=r"column 'subject'.*tables in the folder: ecg.csv"):
        find_rows(tmp_path)


def test_of_several_candidates_the_one_called_rows_counts(tmp_path):
    write(tmp_path, a=ROWS, b=ROWS)
    with pytest.raises(ConsilienceError, match=r"a.csv and b.csv \(call it rows.csv"):
        find_rows(tmp_path)
    write(tmp_path, rows=ROWS)
    assert find_rows(tmp_path)[0].name == "rows.csv"


def test_rows_without_a_position_keep_the_tables_order(tmp_path):
    rows = read_rows(write(tmp_path, rows=ROWS) / "rows.csv").rows
    assert rows.select("key", "session", "place", "trial", "label").rows() == [
        ("a", "p1", 0, "a", "calm"),
        ("b", "p1", 1, "b", "angry"),
        ("c", "p2", 0, "c", "calm"),
    ]


@pytest.mark.parametrize("position", ["time_s", "order"])
def test_a_position_orders_the_rows_of_a_session_as_numbers(tmp_path, position):
    text = f"clip,subject,{position},label\na,p1,10,x\nb,p1,9,y\nc,p1,-1.5,y\n"
    rows = read_rows(write(tmp_path, rows=text) / "rows.csv").rows
    assert rows["key"].to_list() == ["c", "b", "a"]


def test_sessions_of_a_subject_are_named_in_the_tables_order(tmp_path):
    lines = [f"k{n},p1,s{n},x" for n in (10, 9, 2)] + ["last,p1,s10,x"]
    text = "\n".join(["clip,subject,session,label", *lines]) + "\n"
    rows = read_rows(write(tmp_path, rows=text) / "rows.csv").rows
    assert rows["session"].to_list() == ["p1_01_s10", "p1_01_s10", "p1_02_s9", "p1_03_s2"]
    assert rows["place"].to_list() == [0, 1, 0, 0]


def test_sessions_of_one_row_each_are_one_recording_of_the_subject(tmp_path):
    text = "clip,subject,session,label\na,p1,late,x\nb,p2,late,y\nc,p1,early,y\n"
    rows = read_rows(write(tmp_path, rows=text) / "rows.csv").rows
    assert rows.select("key", "session").rows() == [("a", "p1"), ("c", "p1"), ("b", "p2")]


@pytest.mark.parametrize(("column", "trial"), [("trial", "rest"), ("task", "rest"), ("x", "a")])
def test_a_trial_is_named_by_its_column_or_the_key(tmp_path, column, trial):
    rows = read_rows(
        write(tmp_path, rows=f"clip,subject,{column},label\na,p1,rest,x\n") / "rows.csv"
    )
    assert rows.rows["trial"].to_list() == [trial]


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        (",p1,1,x", "line 3: the key is empty"),
        ("a,p1,1,x", "line 3: duplicate key"),
        ("b,,1,x", "line 3: the subject is empty or not valid"),
        ("b,../p,1,x", "line 3: the subject is empty or not valid"),
        ("b,p1,soon,x", "line 3: order is not a number"),
        ("b,p1,,x", "line 3: order is not a number"),
        ("b,p1,1,x,y", "line 3: 5 cells where the header has 4"),
    ],
)
def test_a_row_that_cannot_be_used_is_a_problem_and_the_others_remain(tmp_path, row, problem):
    write(tmp_path, rows=f"clip,subject,order,label\na,p1,2,x\n{row}\nc,p1,3,y\n")
    table = read_rows(tmp_path / "rows.csv")
    assert table.rows["key"].to_list() == ["a", "c"]
    assert problem in ": ".join(table.problems[0])


@pytest.mark.parametrize("text", ["", "subject,label\np1,x\n", ",subject,label\n", "clip,label\n"])
def test_a_table_without_key_or_subject_is_refused(tmp_path, text):
    with pytest.raises(ConsilienceError, match="first column with a key, and a column 'subject'"):
        read_rows(write(tmp_path, rows=text) / "rows.csv")


def test_numbers_are_in_the_order_of_the_rows_and_missing_ones_nan(tmp_path):
    values, lines = sensor(tmp_path, "clip,hr,rr\nc,3,\na,1,10\nb,,9\n")
    np.testing.assert_array_equal(values, [[1, 10], [np.nan, 9], [3, np.nan]])
    assert not lines


@pytest.mark.parametrize(
    "text", ["clip;hr\na;1,5\nb;-2\nc;3,5e2\n", "clip\thr\na\t1.5\nb\t-2\nc\t350\n"]
)
def test_semicolons_with_decimal_commas_and_tabs_are_read(tmp_path, text):
    values, lines = sensor(tmp_path, text)
    assert values[:, 0].tolist() == [1.5, -2, 350]
    assert not lines


def test_parquet_equals_csv(tmp_path):
    expected, _ = sensor(tmp_path, "clip,hr,ok\na,1,1\nb,2,0\nc,,1\n")
    frame = {"clip": ["a", "b", "c"], "hr": [1, 2, None], "ok": [True, False, True], "w": "text"}
    pl.DataFrame(frame).write_parquet(tmp_path / "ecg.parquet")
    table = read_sensor(tmp_path / "ecg.parquet", read_rows(tmp_path / "rows.csv"))
    np.testing.assert_array_equal(table.values, expected)
    assert table.notes == (("ecg.parquet", "column 'w' is not of numbers: left out"),)
    pl.read_csv(tmp_path / "rows.csv").write_parquet(tmp_path / "rows.parquet")
    again = read_rows(tmp_path / "rows.parquet").rows.drop("line")
    assert again.equals(read_rows(tmp_path / "rows.csv").rows.drop("line"))
    assert header_of(tmp_path / "rows.parquet") == ["clip", "subject", "label"]


@pytest.mark.parametrize("missing", ["", "NA", "nan", "NULL", "-", "n/a"])
def test_missing_cells_are_not_problems(tmp_path, missing):
    values, lines = sensor(tmp_path, f"clip,hr\na,1\nb,{missing}\nc,2\n")
    np.testing.assert_array_equal(values[:, 0], [1, np.nan, 2])
    assert not lines


@pytest.mark.parametrize(
    ("text", "message", "expected"),
    [
        ("clip,hr\na,1\na,9\nb,2\nc,3\n", "ecg.csv line 3: duplicate clip: a, p1", [1, 2, 3]),
        (
            "clip,hr\na,1\nz,7\ny,8\nb,2\nc,3\n",
            "ecg.csv line 3: 2 rows, such as 'z', not in rows.csv",
            [1, 2, 3],
        ),
        (
            "clip,hr\na,1\nb,high\nc,3\n",
            "ecg.csv column 'hr': 1 cell without a number, such as 'high' in line 3",
            [1, np.nan, 3],
        ),
        (
            "clip,hr\na,1\nb,inf\nc,3\n",
            "ecg.csv column 'hr': 1 cell infinite or beyond 1e+18, such as 'inf' in line 3",
            [1, np.nan, 3],
        ),
        (
            'clip,hr\na,1\nb,"2,5"\nc,3\n',
            "ecg.csv column 'hr': 1 cell without a number, such as '2,5' in line 3",
            [1, np.nan, 3],
        ),
        (
            "clip,hr\na,1\nb,2,5\nc,3\n",
            "ecg.csv line 3: 3 cells where the header has 2",
            [1, np.nan, 3],
        ),
        (
            "clip,subject,hr\na,p1,1\nb,p2,2\nc,p2,3\n",
            "ecg.csv line 3: another subject than in rows.csv: b, p2, p1",
            [1, np.nan, 3],
        ),
        (
            "clip,rate,hr,n\na,60,1,7\nb,60,2,7\nc,,3,7\n",
            "ecg.csv: columns 'rate', 'n' are constant: left out",
            [1, 2, 3],
        ),
        (
            "clip,hr,rr\na,1,\nb,2,\nc,3,\n",
            "ecg.csv: column 'rr' is empty: left out",
            [1, 2, 3],
        ),
        (
            "clip,hr,place,who\na,1,home,x\nb,2,home,y\nc,3,work,z\n",
            "ecg.csv: columns 'place', 'who' are not of numbers: left out",
            [1, 2, 3],
        ),
    ],
)
def test_hostile_content_is_one_line_and_the_rest_is_used(tmp_path, text, message, expected):
    values, lines = sensor(tmp_path, text)
    np.testing.assert_array_equal(values[:, 0], expected)
    assert lines == [message]


def test_columns_of_the_table_of_rows_are_not_features(tmp_path):
    rows = "clip,subject,label,valence\na,p1,0,0.5\nb,p1,1,-0.5\nc,p2,1,0\n"
    values, _ = sensor(tmp_path, "clip,subject,label,valence,hr\na,p1,0,.5,7\nb,p1,1,-.5,8\n", rows)
    assert values.shape == (3, 1)
    assert values[0] == 7


@pytest.mark.parametrize("text", ["key,hr\na,1\n", "clip,label\na,1\n", "clip,who\na,x\n", ""])
def test_a_table_without_key_or_numbers_is_refused(tmp_path, text):
    with pytest.raises(ConsilienceError, match=r"ecg.csv: no column"):
        sensor(tmp_path, text)


def test_a_table_that_is_not_one_is_refused_in_one_line(tmp_path):
    write(tmp_path, rows=ROWS)
    for name in ("ecg.parquet", "ecg.csv"):
        (tmp_path / name).write_bytes(b"\xff\xfe\x00,;\n" * 9)
        with pytest.raises(ConsilienceError, match=name):
            read_sensor(tmp_path / name, read_rows(tmp_path / "rows.csv"))


def test_a_link_out_of_the_folder_is_refused(tmp_path):
    (tmp_path / "data").mkdir()
    pl.DataFrame({"clip": ["a"], "hr": [1]}).write_parquet(tmp_path / "secret.parquet")
    (tmp_path / "data/ecg.parquet").symlink_to(tmp_path / "secret.parquet")
    with pytest.raises(ConsilienceError, match="leads out of the dataset"):
        header_of(tmp_path / "data/ecg.parquet")
    with pytest.raises(ConsilienceError, match="leads out of the dataset"):
        read_sensor(
            tmp_path / "data/ecg.parquet",
            read_rows(write(tmp_path / "data", rows=ROWS) / "rows.csv"),
        )

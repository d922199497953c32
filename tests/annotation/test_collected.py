"""Annotations collected for a study are read strictly, and mark windows as answered."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from consilience.annotation.collected import answered_windows, collected_annotations
from consilience.core.errors import ConsilienceError
from consilience.project import Project

HEADER = "session,annotator,target,start_s,end_s,label,value\n"


def project(tmp_path: Path, *rows: str, name: str = "more.csv") -> Project:
    project = Project(tmp_path)
    project.annotations.mkdir(parents=True, exist_ok=True)
    (project.annotations / name).write_text(HEADER + "".join(f"{row}\n" for row in rows))
    return project


def test_a_study_without_the_folder_has_none(tmp_path: Path) -> None:
    assert collected_annotations(Project(tmp_path)).is_empty()


def test_all_tables_are_read_in_the_order_of_their_names(tmp_path: Path) -> None:
    project(tmp_path, "s1,b,emotion,0,4,sad,", name="b.csv")
    (tmp_path / "data/annotations/README.md").write_text("text")
    of = project(tmp_path, "s1,a,valence,0,4,,-0.5", name="a.csv")
    table = collected_annotations(of, ("calm", "sad"))
    assert table.select("annotator", "label", "value").rows() == [
        ("a", None, -0.5),
        ("b", "sad", None),
    ]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("s1,a,emotion,0,4,glad,", "line 2: unknown class 'glad'"),
        ("s1,a,emotion,0,4,Sad,", "line 2: unknown class 'Sad'"),
        ("s1,a,emotion,4,4,sad,", "end_s is not after start_s"),
        ("s1,a,pain,0,4,sad,", "target is not one of"),
        ("s1,a,valence,0,4,,7", "line 2: valence 7 is not from -1 to 1"),
        ("s1,a,valence,zero,4,,0.5", "a cell is empty or not a number"),
        ("s1,a,valence,0,inf,,inf", "value is not a number"),
    ],
)
def test_an_invalid_row_is_an_error_that_names_its_line(
    tmp_path: Path, row: str, message: str
) -> None:
    with pytest.raises(ConsilienceError, match=r"data/annotations/more\.csv") as caught:
        collected_annotations(project(tmp_path, row), ("calm", "sad"))
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_windows_that_an_annotation_overlaps_are_answered(tmp_path: Path) -> None:
    of = project(tmp_path, "s1,a,emotion,2,6,sad,", "s1,b,emotion,2,6,sad,", "s2,a,valence,0,9,,0")
    index = pl.DataFrame(
        {
            "session": ["s1", "s1", "s1", "s2", "s3"],
            "start_s": [0.0, 4.0, 6.0, 3.0, 3.0],
            "end_s": [4.0, 8.0, 9.0, 5.0, 5.0],
        }
    )
    assert answered_windows(of, index).tolist() == [True, True, False, True, False]

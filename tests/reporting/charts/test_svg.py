from __future__ import annotations

import xml.etree.ElementTree as ET

import pytest

from consilience.reporting.charts.svg import TICKS, Curve, Mark, axis, time_chart

NS = "{http://www.w3.org/2000/svg}"


def parsed(svg: str) -> ET.Element:
    return ET.fromstring(svg)


@pytest.mark.parametrize(("low", "high"), [(0, 1), (-3.2, 47), (1e-6, 3e-6), (100, 100000)])
def test_ticks_are_round_and_within_the_axis(low, high):
    ticks = axis([low, high], 0, 100).ticks
    assert 1 <= len(ticks) <= TICKS + 1
    assert all(low - 1e-9 <= tick <= high + 1e-9 for tick in ticks)


def test_an_axis_of_one_value_or_of_none_has_an_extent():
    assert axis([5.0], 0, 10).at(5.0) == pytest.approx(5.0)
    assert axis([None, float("nan")], 0, 10).at(0.5) == pytest.approx(5.0)


def test_a_curve_is_interrupted_where_a_value_is_missing():
    curve = Curve("eeg", [0, 1, 2, 3, 4], [0.1, 0.2, None, 0.4, float("nan")], "#123456")
    root = parsed(time_chart([curve], [], "time, s"))
    (path,) = [p for p in root.iter(f"{NS}path") if p.get("stroke") == "#123456"]
    assert path.get("d", "").count("M") == 2


def test_values_outside_the_range_stay_within_the_plot():
    curve = Curve("eeg", [0, 1], [-5.0, 7.0], "#123456")
    root = parsed(time_chart([curve], [], "time, s"))
    (path,) = [p for p in root.iter(f"{NS}path") if p.get("stroke") == "#123456"]
    height = float(root.get("height", ""))
    ends = [
        float(point.split()[1].removesuffix("h1")) for point in path.get("d", "M")[1:].split("L")
    ]
    assert all(0 <= y <= height for y in ends)


def test_marks_are_triangles_or_dots_with_escaped_text():
    marks = [Mark(1, "contradicting: <eeg>"), Mark(2, "ambiguous", is_grave=False)]
    root = parsed(time_chart([Curve("a", [0, 3], [0, 1], "#123456")], marks, "window"))
    assert len(list(root.iter(f"{NS}circle"))) == 1
    assert "contradicting: <eeg>" in [title.text for title in root.iter(f"{NS}title")]


def test_the_same_chart_has_the_same_bytes():
    curve = Curve("a", [0, 1, 2], [0.1, 0.5, 0.2], "#123456", dashed=True)
    assert time_chart([curve], [], "time, s") == time_chart([curve], [], "time, s")


def test_a_chart_without_points_is_an_empty_frame():
    assert parsed(time_chart([], [], "time, s")).tag == f"{NS}svg"

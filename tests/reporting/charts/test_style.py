from collections.abc import Callable
from itertools import combinations, product
from typing import Any

import numpy as np
import plotly.graph_objects as go
import pytest

from consilience.reporting.charts import style
from consilience.reporting.charts.style import (
    ACCENT,
    band,
    class_colours,
    class_matrix,
    figure,
    method_colours,
    of_numbers,
    rgba,
    sensor_colours,
    steps,
    swarm,
)


def test_the_default_method_comes_first_in_the_accent_colour() -> None:
    colours = method_colours(["concat", "hybrid", "late_fusion"], "hybrid")
    assert list(colours) == ["hybrid", "concat", "late_fusion"]
    assert colours["hybrid"] == ACCENT
    assert len(set(colours.values())) == 3


def test_margins_beside_numbers_do_not_depend_on_the_ticks() -> None:
    """Else ticks and margins change each other, and plotly warns on the console."""
    chart = of_numbers(figure([go.Scatter(x=[0, 1], y=[0, 1])], 300))
    assert not chart.layout.xaxis.automargin
    assert not chart.layout.yaxis.automargin
    assert chart.layout.margin.l > figure([], 300).layout.margin.l


@pytest.mark.parametrize("colours_of", [sensor_colours, class_colours])
def test_eight_names_have_eight_colours_and_more_names_repeat_them(
    colours_of: Callable[[list[str]], dict[str, str]],
) -> None:
    colours = list(colours_of([f"name {number}" for number in range(10)]).values())
    assert len(set(colours[:8])) == 8
    assert colours[8:] == colours[:2]


def test_a_colour_has_one_meaning() -> None:
    """All colours differ, those of two families by at least 0.04 in OKLab."""
    families = [
        (ACCENT, *style.PALETTE),
        style.SENSORS,
        style.CLASSES,
        style.OTHERS,
        tuple(style.QUANTITY_COLOURS.values()),
        tuple(style.LOSS_COLOURS.values()),
        tuple(style.OUTCOME_COLOURS.values()),
        tuple(style.STATUS_COLOURS.values())[:3],  # the last is as faint as a grid line
        tuple(style.ROLE_COLOURS.values())[1:],  # so is the first
        (style.NEUTRAL,),
    ]
    for first, second in combinations(families, 2):
        for one, other in product(first, second):
            assert np.linalg.norm(oklab(one) - oklab(other)) >= 0.04, (one, other)


def oklab(colour: str) -> Any:
    """Return a colour ``#rrggbb`` in OKLab (https://bottosson.github.io/posts/oklab/)."""
    rgb = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    to_cones = [[0.4122, 0.5363, 0.0514], [0.2119, 0.6807, 0.1074], [0.0883, 0.2817, 0.6300]]
    to_lab = [[0.2105, 0.7936, -0.0041], [1.9780, -2.4286, 0.4506], [0.0259, 0.7828, -0.8087]]
    return np.array(to_lab) @ np.cbrt(np.array(to_cones) @ linear)


def test_rgba_converts_hexadecimal_digits() -> None:
    assert rgba("#d55e00", 0.5) == "rgba(213, 94, 0, 0.5)"


def test_layout_settings_of_a_chart_take_precedence() -> None:
    chart = figure([go.Scatter(x=[0], y=[0])], 200, showlegend=True)
    assert chart.layout.height == 200
    assert chart.layout.showlegend is True
    assert chart.layout.xaxis.fixedrange is True


def test_a_band_runs_along_the_upper_curve_and_back_along_the_lower() -> None:
    outline = band([0, 1, 2], [1, 2, 3], [4, 5, 6], "#000000")
    assert list(zip(outline.x, outline.y, strict=True)) == [
        (0, 4),
        (1, 5),
        (2, 6),
        (2, 3),
        (1, 2),
        (0, 1),
    ]


def test_a_swarm_shows_every_value_with_its_text() -> None:
    box = swarm("EEG", [0.1, 0.9], ["a", "b"], "#000000")
    assert box.boxpoints == "all"
    assert list(box.y) == ["EEG", "EEG"]
    assert list(box.text) == ["a", "b"]


def test_first_class_of_a_matrix_is_at_the_top() -> None:
    chart = class_matrix([[1.0, 0.0], [0.5, 0.5]], ["very_happy", "sad"], "#000000", "%{y}")
    assert list(chart.data[0].y) == ["very happy", "sad"]
    assert chart.layout.yaxis.autorange == "reversed"
    assert (chart.data[0].zmin, chart.data[0].zmax) == (0, 1)


@pytest.mark.parametrize("n_colours", [1, 3, 4])
def test_steps_cover_the_scale_without_gradients(n_colours: int) -> None:
    colours = [f"#00000{number}" for number in range(n_colours)]
    scale = steps(colours)
    assert scale[0][0] == 0
    assert scale[-1][0] == 1
    assert [colour for _, colour in scale[::2]] == [colour for _, colour in scale[1::2]] == colours
    assert all(scale[i][0] == scale[i - 1][0] for i in range(2, len(scale), 2))

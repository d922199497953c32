"""Colours, layout and traces that the charts share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import cycle
from math import isfinite
from typing import Any

import plotly.graph_objects as go

from consilience.reporting.results import RecordingStatus
from consilience.reporting.words import readable
from consilience.schema.constants import ROLES

# One colour has one meaning in a page: a family of names has colours of its own, at a distance in
# OKLab of at least 0.04 from those of the others. No text has the colour of a series.

# Methods: the palette of Okabe and Ito, distinguishable with colour-vision deficiency
# (https://jfly.uni-koeln.de/color/), with two more; the accent is the default method's.
ACCENT = "#d55e00"
PALETTE = ("#0072b2", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#8c6d31", "#6a4fa3")
SENSORS = (
    *("#1058e8", "#10b810", "#b81070", "#b8a0e8"),
    *("#287058", "#e87010", "#e828e8", "#10a0b8"),
)
CLASSES = (
    *("#7028e8", "#70b870", "#e81028", "#e870e8"),
    *("#705810", "#7088b8", "#b810a0", "#d08870"),
)
OTHERS = ("#1058b8", "#10a0e8", "#3f8a78", "#b0a060", "#806080")
QUANTITY_COLOURS = {"vacuity": "#a040e8", "coherence": "#588810", "confidence": "#e85870"}
LOSS_COLOURS = {"train_loss": "#9a8a7a", "validation_loss": "#3a7a9a"}
LOSS_NAMES = {"train_loss": "training loss", "validation_loss": "validation loss"}
OUTCOME_COLOURS = {"correct": "#4088e8", "wrong": "#a04040"}
NEUTRAL = "#6f7680"  # a single series, which has no other to be distinguished from
GREY = "#85898f"
FAINT = "rgba(133, 137, 143, 0.25)"
TRANSPARENT = "rgba(0,0,0,0)"
FONT = 'system-ui, -apple-system, "Segoe UI", Roboto, sans-serif'

STATUSES = [str(status) for status in RecordingStatus]
STATUS_COLOURS = dict(zip(STATUSES, ("#107010", "#b88810", "#a05888", FAINT), strict=True))
ROLE_COLOURS = dict(zip(ROLES, ("rgba(133, 137, 143, 0.5)", "#a070d0", "#88a010"), strict=True))

MAX_OPACITY = 0.6  # of a cell with text: at more, the text lacks contrast on a dark page

NUMBERS_WIDTH, NUMBERS_HEIGHT = 62, 46  # pixels of the numbers and the title of an axis

MOST_RANKS = 12  # ticks of an axis that numbers things

LEGEND_ABOVE = {"orientation": "h", "y": 1.02, "yanchor": "bottom"}

Colours = Mapping[str, str]


def method_colours(methods: Sequence[str], default: str) -> dict[str, str]:
    """Return a colour per method, the accent for the default method, which comes first."""
    others = zip((name for name in methods if name != default), cycle(PALETTE), strict=False)
    return {default: ACCENT} | dict(others)


def sensor_colours(names: Sequence[str]) -> dict[str, str]:
    """Return a colour per sensor; colours repeat after the eighth."""
    return dict(zip(names, cycle(SENSORS), strict=False))


def class_colours(names: Sequence[str]) -> dict[str, str]:
    """Return a colour per class; colours repeat after the eighth."""
    return dict(zip(names, cycle(CLASSES), strict=False))


def distinct_colours(names: Sequence[str]) -> dict[str, str]:
    """Return a colour per name that is neither a method, a sensor nor a class.

    Colours repeat after the fifth name.
    """
    return dict(zip(names, cycle(OTHERS), strict=False))


def rgba(colour: str, alpha: float) -> str:
    """Return a colour ``#rrggbb`` with an opacity from 0 to 1."""
    red, green, blue = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    return f"rgba({red}, {green}, {blue}, {alpha})"


def figure(traces: Sequence[Any], height: int, **layout: Any) -> go.Figure:
    """Return a figure in the report's layout.

    Backgrounds are transparent and lines grey, so that the chart fits a light and a dark page.

    Parameters
    ----------
    traces : sequence of plotly traces
        From back to front.
    height : int
        In pixels; the width follows the page.
    **layout
        Further layout settings, which take precedence.
    """
    axis = {
        "gridcolor": FAINT,
        "linecolor": FAINT,
        "zeroline": False,
        "automargin": True,
        "autotickangles": [0, 90],  # slanted names take each other's place
        "fixedrange": True,  # no zoom: a touch on the chart must still scroll the page
        "title": {"standoff": 8},
    }
    chart = go.Figure(traces)
    chart.update_layout(
        template="none",  # plotly's default template would add 7 kB to every chart
        height=height,
        margin={"l": 8, "r": 8, "t": 8, "b": 8},
        paper_bgcolor=TRANSPARENT,
        plot_bgcolor=TRANSPARENT,
        font={"family": FONT, "size": 13, "color": GREY},
        showlegend=False,
        xaxis=axis,
        yaxis=axis,
    )
    return chart.update_layout(**layout)


def of_numbers(chart: go.Figure) -> go.Figure:
    """Give a figure whose axes both have numbers margins that do not depend on their ticks.

    Where a margin depends on the ticks, and the ticks on the width that it leaves, plotly may
    change both without end, until it gives up with a warning on the console.
    """
    chart.update_layout(margin={"l": NUMBERS_WIDTH, "b": NUMBERS_HEIGHT})
    chart.update_xaxes(automargin=False)
    return chart.update_yaxes(automargin=False)


def of_ranks(chart: go.Figure, number: int) -> go.Figure:
    """Give a figure whose horizontal axis numbers things from 1 the ticks of whole numbers."""
    step = -(-number // MOST_RANKS) or 1
    ticks = range(1, number + 1, step)
    return chart.update_xaxes(tickvals=list(ticks), range=[0.5, number + 0.5])


def share_range(figures: Sequence[go.Figure]) -> None:
    """Give the left axes of figures the same range, that of all their values with a margin."""
    values = [
        value
        for chart in figures
        for trace in chart.data
        if (trace.yaxis or "y") == "y"
        for value in trace.y
        if value is not None and isfinite(value)
    ]
    if values:
        low, high = min(values), max(values)
        margin = 0.05 * (high - low or 1)
        for chart in figures:
            chart.update_layout(yaxis={"range": [low - margin, high + margin]})


def band(x: list[Any], low: list[Any], high: list[Any], colour: str) -> go.Scatter:
    """Return the area between two curves."""
    # One closed outline: forth along the upper curve, back along the lower one.
    return go.Scatter(
        x=x + x[::-1],
        y=high + low[::-1],
        mode="lines",
        fill="toself",
        fillcolor=rgba(colour, 0.18),
        line={"width": 0},
        hoverinfo="skip",
    )


def swarm(name: str, values: list[float], texts: list[str], colour: str) -> go.Box:
    """Return a horizontal box with a sensor's points; their jitter follows from their order."""
    return go.Box(
        x=values,
        y=[name] * len(values),
        name=name,
        text=texts,
        orientation="h",
        boxpoints="all",
        jitter=0.5,
        pointpos=0,
        marker={"color": colour, "size": 6, "opacity": 0.8, "symbol": "diamond"},
        line={"color": GREY, "width": 1},
        fillcolor=TRANSPARENT,
        hovertemplate="%{text}: %{x:.3g}<extra></extra>",
    )


def class_matrix(
    shares: list[list[float]], classes: Sequence[str], colour: str, hover: str
) -> go.Figure:
    """Return a matrix of shares from 0 to 1, shape (n_classes, n_classes), rows from the top.

    The cells are so transparent that the page's own text colour is readable on each of them.
    """
    names = [readable(name) for name in classes]
    heat = go.Heatmap(
        z=shares,
        x=names,
        y=names,
        zmin=0,
        zmax=1,
        colorscale=[[0, rgba(colour, 0)], [1, rgba(colour, MAX_OPACITY)]],
        showscale=False,
        texttemplate="%{z:.0%}",
        hovertemplate=f"{hover}: %{{z:.1%}}<extra></extra>",
        xgap=2,
        ygap=2,
    )
    chart = figure([heat], 340)
    chart.update_xaxes(showgrid=False)
    return chart.update_yaxes(showgrid=False, autorange="reversed")


def steps(colours: Sequence[str]) -> list[list[Any]]:
    """Return a plotly colour scale of equal steps, one per colour, without gradients."""
    return [
        stop
        for number, colour in enumerate(colours)
        for stop in ([number / len(colours), colour], [(number + 1) / len(colours), colour])
    ]

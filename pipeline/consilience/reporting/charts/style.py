"""Colours, layout and traces that the charts share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import cycle
from typing import Any

import plotly.graph_objects as go

from consilience.reporting.results import RecordingStatus
from consilience.reporting.words import readable

# Palette of Okabe and Ito, distinguishable with colour-vision deficiency
# (https://jfly.uni-koeln.de/color/).
ACCENT = "#d55e00"
PALETTE = ("#0072b2", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
# Beyond the palette's colours; less distinct, for data with many classes or sensors.
EXTRA_COLOURS = ("#8c6d31", "#6a4fa3")
GREY = "#85898f"
FAINT = "rgba(133, 137, 143, 0.25)"
TRANSPARENT = "rgba(0,0,0,0)"
FONT = 'system-ui, -apple-system, "Segoe UI", Roboto, sans-serif'

STATUSES = [str(status) for status in RecordingStatus]
STATUS_COLOURS = dict(zip(STATUSES, ("#009e73", "#e69f00", ACCENT, FAINT), strict=True))

LEGEND_ABOVE = {"orientation": "h", "y": 1.02, "yanchor": "bottom"}

Colours = Mapping[str, str]


def method_colours(methods: Sequence[str], default: str) -> dict[str, str]:
    """Return a colour per method, the accent for the default method, which comes first."""
    others = zip((name for name in methods if name != default), cycle(PALETTE), strict=False)
    return {default: ACCENT} | dict(others)


def distinct_colours(names: Sequence[str]) -> dict[str, str]:
    """Return a colour per name; colours repeat after the eighth name."""
    return dict(zip(names, cycle((*PALETTE, ACCENT, *EXTRA_COLOURS)), strict=False))


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
    """Return a horizontal box with its points; plotly derives their jitter from their order."""
    return go.Box(
        x=values,
        y=[name] * len(values),
        name=name,
        text=texts,
        orientation="h",
        boxpoints="all",
        jitter=0.5,
        pointpos=0,
        marker={"color": colour, "size": 5, "opacity": 0.8},
        line={"color": GREY, "width": 1},
        fillcolor=TRANSPARENT,
        hovertemplate="%{text}: %{x:.3g}<extra></extra>",
    )


def class_matrix(
    shares: list[list[float]], classes: Sequence[str], colour: str, hover: str
) -> go.Figure:
    """Return a matrix of shares from 0 to 1, shape (n_classes, n_classes), rows from the top."""
    names = [readable(name) for name in classes]
    heat = go.Heatmap(
        z=shares,
        x=names,
        y=names,
        zmin=0,
        zmax=1,
        colorscale=[[0, rgba(colour, 0)], [1, rgba(colour, 1)]],
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

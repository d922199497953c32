"""Charts of accuracy with missing, corrupted and mismatched sensors."""

from __future__ import annotations

from collections.abc import Sequence

import plotly.graph_objects as go
import polars as pl

from consilience.reporting.charts.style import ACCENT, GREY, Colours, band, figure
from consilience.reporting.words import readable

CHANCE_LINE = {"dash": "dot", "color": GREY, "width": 1}
LONGEST_LINE = 18  # characters of a row's title, which takes its width from the plot

Extent = tuple[float, float]  # of an axis


def extent(tables: Sequence[pl.DataFrame], chance: float) -> Extent:
    """Return one range of accuracy for the charts of several tables, which can be compared then.

    Parameters
    ----------
    tables : sequence of polars.DataFrame
        With the bounds ``low`` and ``high`` of the intervals.
    chance : float
        Shown by a line in every chart.
    """
    lows = [value for table in tables for value in table["low"].drop_nulls()]
    highs = [value for table in tables for value in table["high"].drop_nulls()]
    return min(chance, *lows) - 0.03, min(1.0, max(chance, *highs) + 0.03)


def subsets(
    table: pl.DataFrame, colours: Colours, chance: float, extent: Extent | None = None
) -> go.Figure:
    """Show balanced accuracy with its 95 % interval by subset of sensors and method."""
    names = (
        table.select("subset", "n_modalities")
        .unique(maintain_order=True)
        .sort("n_modalities", maintain_order=True)["subset"]
        .to_list()
    )
    titles = {name: " + ".join(map(readable, name.split("+"))) for name in names}
    return accuracy_by_row(table, "subset", titles, colours, chance, extent)


def mismatch(
    table: pl.DataFrame, colours: Colours, chance: float, extent: Extent | None = None
) -> go.Figure:
    """Show balanced accuracy with its 95 % interval by mismatched sensor and method."""
    names = table["modality"].unique(maintain_order=True).to_list()
    titles = {name: f"{readable(name)} mismatched" for name in names}
    return accuracy_by_row(table, "modality", titles, colours, chance, extent)


def accuracy_by_row(
    table: pl.DataFrame,
    column: str,
    titles: dict[str, str],
    colours: Colours,
    chance: float | None,
    extent: Extent | None = None,
) -> go.Figure:
    """Show a row per value of `column`, in the order of `titles`, with a point per method.

    The axis of accuracy covers `extent`, or the values of this chart.
    """
    row_of = {name: number for number, name in enumerate(titles)}
    # The points of one row take 0.7 of the distance to the next, so that rows stay apart.
    step = 0.7 / max(1, len(colours))
    traces = []
    # The y axis points upwards: reversed, the first method is at the top of its row.
    for number, (method, colour) in enumerate(reversed(list(colours.items()))):
        group = table.filter(pl.col("method") == method)
        shift = (number - (len(colours) - 1) / 2) * step
        heights = [row_of[name] + shift for name in group[column]]
        texts = [titles[name] for name in group[column]]
        traces.append(_points_with_intervals(group, heights, texts, readable(method), colour))
    chart = figure(traces, 60 + len(titles) * (24 + 13 * len(colours)))
    if chance is not None:
        chart.add_vline(chance, line=CHANCE_LINE)
    chart.update_xaxes(title_text="balanced accuracy", tickformat=".0%", range=extent)
    return chart.update_yaxes(
        tickvals=list(row_of.values()),
        ticktext=[in_lines(title) for title in titles.values()],
        showgrid=False,
    )


def in_lines(title: str) -> str:
    """Return a title with line breaks for plotly: before a ``+``, or before the last word."""
    if len(title) <= LONGEST_LINE:
        return title
    mark = " + " if " + " in title else " "
    *first, last = title.rsplit(mark, 1)
    return "<br>".join([in_lines(words) for words in first] + [mark.lstrip() + last])


def _points_with_intervals(
    group: pl.DataFrame, heights: list[float], texts: list[str], name: str, colour: str
) -> go.Scatter:
    accuracy = group["balanced_accuracy"]
    return go.Scatter(
        x=accuracy.to_list(),
        y=heights,
        error_x={
            "array": (group["high"] - accuracy).to_list(),
            "arrayminus": (accuracy - group["low"]).to_list(),
            "thickness": 1.5,
            "width": 0,
        },
        mode="markers",
        marker={"color": colour, "size": 8},
        name=name,
        text=texts,
        hovertemplate="%{text}<br>%{x:.1%}",
    )


def noise(
    table: pl.DataFrame,
    modality: str,
    kind: str,
    colours: Colours,
    chance: float,
    limits: Extent | None = None,
) -> go.Figure:
    """Show balanced accuracy by severity of one kind of corruption of one sensor."""
    of_kind = table.filter(pl.col("modality") == modality, pl.col("kind") == kind)
    traces = []
    for method, colour in reversed(list(colours.items())):
        curve = of_kind.filter(pl.col("method") == method).sort("severity")
        severity = curve["severity"].to_list()
        if colour == ACCENT:  # the default method only: several bands would hide each other
            traces.append(band(severity, curve["low"].to_list(), curve["high"].to_list(), colour))
        traces.append(
            go.Scatter(
                x=severity,
                y=curve["balanced_accuracy"].to_list(),
                mode="lines+markers",
                line={"color": colour, "width": 3 if colour == ACCENT else 1.5},
                name=readable(method),
                hovertemplate="%{y:.1%}",
            )
        )
    chart = figure(traces, 260)
    chart.add_hline(chance, line=CHANCE_LINE)
    # The range covers all sensors and kinds, so that the charts of the grid can be compared.
    chart.update_xaxes(title_text=f"{readable(modality)}: severity of {readable(kind)}", dtick=1)
    return chart.update_yaxes(tickformat=".0%", range=limits or extent([table], chance))

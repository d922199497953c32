"""Charts of calibration and of confused classes."""

from __future__ import annotations

from collections.abc import Sequence

import plotly.graph_objects as go
import polars as pl

from consilience.reporting.charts.style import ACCENT, GREY, Colours, class_matrix, figure
from consilience.reporting.words import readable


def reliability(table: pl.DataFrame, colours: Colours) -> go.Figure:
    """Show accuracy by confidence (a reliability diagram); calibrated bins lie on the diagonal."""
    diagonal = go.Scatter(
        x=[0, 1],
        y=[0, 1],
        mode="lines",
        line={"dash": "dot", "color": GREY, "width": 1},
        hoverinfo="skip",
    )
    curves = [
        _curve(table.filter(pl.col("method") == method), method, colour)
        for method, colour in reversed(list(colours.items()))
    ]
    chart = figure([diagonal, *curves], 340)
    # Beyond 1 by a margin: points at full confidence would be cut in half.
    chart.update_xaxes(
        title_text="confidence",
        tickformat=".0%",
        range=[0, 1.02],
        ticklabeloverflow="allow",  # or plotly hides the last number
    )
    chart.update_layout(margin={"r": 24})
    return chart.update_yaxes(title_text="accuracy", tickformat=".0%", range=[0, 1.02])


def _curve(bins: pl.DataFrame, method: str, colour: str) -> go.Scatter:
    shares = bins["predictions"] / max(1, bins["predictions"].sum())
    return go.Scatter(
        x=bins["confidence"].to_list(),
        y=bins["accuracy"].to_list(),
        mode="lines+markers",
        line={"color": colour, "width": 3 if colour == ACCENT else 1.5},
        # By the square root, the area of a point grows in proportion to its predictions.
        marker={"size": [4 + 20 * share**0.5 for share in shares], "opacity": 0.7},
        name=readable(method),
        customdata=bins["predictions"].to_list(),
        hovertemplate="confidence %{x:.0%}, accuracy %{y:.0%}<br>%{customdata} predictions",
    )


def confusion(predictions: pl.DataFrame, classes: Sequence[str]) -> go.Figure:
    """Show the predicted classes of the windows of each class, as shares of its windows."""
    labelled = predictions.drop_nulls(["actual", "predicted"])
    counts = {
        (actual, predicted): count
        for actual, predicted, count in labelled.group_by("actual", "predicted").len().iter_rows()
    }
    shares = []
    for actual in classes:
        row = [counts.get((actual, predicted), 0) for predicted in classes]
        shares.append([count / max(1, sum(row)) for count in row])
    chart = class_matrix(shares, classes, ACCENT, "%{y} predicted as %{x}")
    chart.update_xaxes(title_text="predicted")
    return chart.update_yaxes(title_text="labelled")

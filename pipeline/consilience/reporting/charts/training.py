"""Chart of the training curves."""

from __future__ import annotations

from typing import Any

import plotly.graph_objects as go
import polars as pl

from consilience.reporting.charts.style import LOSS_COLOURS, LOSS_NAMES, band, figure


def training(history: pl.DataFrame) -> go.Figure:
    """Show a method's losses by epoch: median and quartiles over folds and seeds.

    The two losses sum different terms; each has its own axis.
    """
    traces = [
        trace.update(yaxis=axis)
        for column, axis in (("train_loss", "y2"), ("validation_loss", "y"))
        for trace in _curve(history, column, LOSS_COLOURS[column])
    ]
    chart = figure(traces, 240)
    chart.update_xaxes(title_text="epoch")
    chart.update_yaxes(title_text="validation loss")
    return chart.update_layout(yaxis2=_right_axis("training loss"))


def _curve(history: pl.DataFrame, column: str, colour: str) -> list[go.Scatter]:
    """Return the band of the quartiles and the line of the median."""
    curve = (
        history.group_by("epoch")
        .agg(
            low=pl.col(column).quantile(0.25, "linear"),
            middle=pl.col(column).median(),
            high=pl.col(column).quantile(0.75, "linear"),
        )
        .sort("epoch")
    )
    epochs = curve["epoch"].to_list()
    line = go.Scatter(
        x=epochs,
        y=curve["middle"].to_list(),
        mode="lines",
        line={"color": colour, "width": 2},
        name=LOSS_NAMES[column],
        hovertemplate="%{y:.3f}",
    )
    return [band(epochs, curve["low"].to_list(), curve["high"].to_list(), colour), line]


def _right_axis(title: str) -> dict[str, Any]:
    return {
        "overlaying": "y",
        "side": "right",
        "tickmode": "auto",
        "title": {"text": title, "standoff": 8},
        "showgrid": False,
        "zeroline": False,
        "automargin": True,
        "fixedrange": True,
    }

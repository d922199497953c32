"""Charts of the annotators: reliability, reaction lag and confusion of classes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import plotly.graph_objects as go
import polars as pl

from consilience.reporting.charts.style import GREY, NEUTRAL, Colours, class_matrix, figure

MAX_ANNOTATORS = 40  # the rows of a crowd would fill several pages


def reliability(annotators: pl.DataFrame, colours: Colours) -> go.Figure:
    """Show the reliability of the annotators by target, for those with the most windows."""
    rated = annotators.drop_nulls("reliability")
    names = _most_active(rated)
    traces = []
    for target, colour in colours.items():
        group = rated.filter(pl.col("target") == target, pl.col("annotator").is_in(names))
        traces.append(
            go.Scatter(
                x=group["reliability"].to_list(),
                y=group["annotator"].to_list(),
                mode="markers",
                marker={"color": colour, "size": 8, "opacity": 0.8},
                name=target,
                text=group["n_windows"].to_list(),
                hovertemplate="%{y}: %{x:.3f}, %{text} windows",
            )
        )
    chart = figure(traces, 90 + 24 * len(names))
    chart.update_xaxes(title_text="reliability")
    return _annotator_axis(chart, categoryarray=names)


def _most_active(rated: pl.DataFrame) -> list[str]:
    """Return the annotators with the most windows, the most reliable first."""
    totals = rated.group_by("annotator").agg(
        pl.col("n_windows").sum(), pl.col("reliability").mean()
    )
    # The name breaks ties: the order of groups is arbitrary, and the page must be reproducible.
    most_active = totals.sort("n_windows", "annotator", descending=[True, False])
    by_reliability = most_active.head(MAX_ANNOTATORS).sort(
        "reliability", "annotator", descending=[True, False]
    )
    return by_reliability["annotator"].to_list()


def reaction_lags(annotators: pl.DataFrame) -> go.Figure:
    """Show the reaction lag of every annotator (s), with a 95 % interval where it is known."""
    # The lag belongs to the annotator and is the same in the rows of all targets.
    table = annotators.drop_nulls("lag_s").unique("annotator", keep="first", maintain_order=True)
    table = table.sort("lag_s")
    dots = go.Scatter(
        x=table["lag_s"].to_list(),
        y=table["annotator"].to_list(),
        error_x={
            "array": (1.96 * table["lag_sd_s"].fill_null(0)).to_list(),
            "thickness": 1.5,
            "width": 0,
        },
        mode="markers",
        marker={"color": NEUTRAL, "size": 8},
        hovertemplate="%{y}: %{x:.2f} s<extra></extra>",
    )
    chart = figure([dots], 90 + 24 * table.height)
    chart.update_xaxes(title_text="reaction lag, s", rangemode="tozero")
    return _annotator_axis(chart)


def lag_gains(annotators: pl.DataFrame) -> go.Figure:
    """Show every annotator's correlation with the others before and after lag correction."""
    table = annotators.drop_nulls("correlation")
    table = table.unique("annotator", keep="first", maintain_order=True).sort("lag_s")
    traces: list[Any] = []
    columns = ("annotator", "correlation_unshifted", "correlation")
    for name, before, after in table.select(columns).iter_rows():
        traces.append(
            go.Scatter(
                x=[before, after],
                y=[name, name],
                mode="lines+markers",
                line={"color": GREY, "width": 1.5},
                marker={
                    "color": NEUTRAL,
                    "size": [7, 9],
                    "symbol": ["circle-open", "circle"],
                },
                hovertemplate="%{y}: %{x:.3f}<extra></extra>",
            )
        )
    chart = figure(traces, 90 + 24 * table.height)
    chart.update_xaxes(title_text="correlation with the others")
    return _annotator_axis(chart)


def confusion(confusions: pl.DataFrame, classes: Sequence[str]) -> go.Figure:
    """Show the classes named by the annotators for each consensus class, averaged over them."""
    mean = confusions.group_by("actual", "named").agg(pl.col("probability").mean())
    share_of = {(actual, named): share for actual, named, share in mean.iter_rows()}
    shares = [[share_of.get((actual, named), 0.0) for named in classes] for actual in classes]
    chart = class_matrix(shares, classes, NEUTRAL, "%{y} named %{x}")
    chart.update_xaxes(title_text="named by annotators")
    return chart.update_yaxes(title_text="consensus")


def _annotator_axis(chart: go.Figure, **settings: Any) -> go.Figure:
    # As categories: plotly would take names such as "1" for numbers.
    return chart.update_yaxes(type="category", showgrid=False, autorange="reversed", **settings)

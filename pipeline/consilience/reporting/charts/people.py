"""Charts of the results by person and subgroup."""

from __future__ import annotations

from collections.abc import Mapping

import plotly.graph_objects as go
import polars as pl

from consilience.reporting.charts.style import (
    GREY,
    MOST_RANKS,
    NEUTRAL,
    OUTCOME_COLOURS,
    figure,
    of_ranks,
)

ROW_HEIGHT = 26  # pixels of a subgroup


def people(table: pl.DataFrame, n_worst: int, chance: float) -> go.Figure:
    """Show the accuracy of every person by rank, the worst quarter in another colour.

    Parameters
    ----------
    table : polars.DataFrame
        Of `content.people.person_table`, the worst first.
    n_worst : int
        Size of the worst quarter.
    chance : float
    """
    parts = (
        ("worst quarter", OUTCOME_COLOURS["wrong"], table[:n_worst], 1),
        ("other people", NEUTRAL, table[n_worst:], 1 + n_worst),
    )
    traces = [
        go.Scatter(
            x=list(range(first, first + group.height)),
            y=[100 * value for value in group["balanced_accuracy"]],
            mode="markers",
            marker={"color": colour, "size": 8},
            name=name,
            text=group["subject"].to_list(),
            hovertemplate="%{text}: %{y:.1f} %",
        )
        for name, colour, group, first in parts
        if group.height
    ]
    chart = figure(
        traces, 300, showlegend=True, legend={"orientation": "h", "y": 1.02, "yanchor": "bottom"}
    )
    chart.add_hline(y=100 * chance, line={"dash": "dash", "color": GREY, "width": 1})
    of_ranks(chart, table.height)
    if table.height <= MOST_RANKS:
        chart.update_xaxes(ticktext=table["subject"].to_list())
    chart.update_xaxes(title_text="people, from the worst to the best")
    return chart.update_yaxes(title_text="balanced accuracy, %", range=[0, 102])


def groups(table: pl.DataFrame, attributes: Mapping[str, str]) -> go.Figure:
    """Show the gap of every subgroup to all others, with its interval.

    Parameters
    ----------
    table : polars.DataFrame
        Of `content.people.group_table`.
    attributes : mapping of str to str
        Titles of the attributes.
    """
    with_gap = table.drop_nulls("gap")
    gap, low, high = (
        [None if value is None else 100 * value for value in with_gap[name]]
        for name in ("gap", "gap_low", "gap_high")
    )
    names = [
        f"{attributes[row['attribute']]}: {row['group']} ({row['people']})"
        for row in with_gap.iter_rows(named=True)
    ]
    trace = go.Scatter(
        x=gap,
        y=names,
        mode="markers",
        marker={"color": NEUTRAL, "size": 9},
        error_x={
            "type": "data",
            "symmetric": False,
            "array": [0 if h is None else h - g for g, h in zip(gap, high, strict=True)],
            "arrayminus": [0 if lo is None else g - lo for g, lo in zip(gap, low, strict=True)],
            "color": NEUTRAL,
            "thickness": 1.5,
        },
        hovertemplate="%{y}: %{x:.1f} points<extra></extra>",
    )
    chart = figure([trace], 90 + ROW_HEIGHT * max(1, len(names)))
    chart.add_vline(x=0, line={"color": GREY, "width": 1})
    chart.update_xaxes(title_text="difference, points")
    return chart.update_yaxes(autorange="reversed")

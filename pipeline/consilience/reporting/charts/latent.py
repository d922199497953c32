"""Charts of the space in which all sensors predict."""

from __future__ import annotations

from typing import Any

import plotly.graph_objects as go
import polars as pl

from consilience.reporting.charts.style import FAINT, Colours, figure, of_numbers

MARGIN = 0.05  # of the range, on each side


def points(table: pl.DataFrame, column: str, colours: Colours, explained: Any) -> go.Figure:
    """Show points of windows and sensors, coloured by one of their columns.

    Parameters
    ----------
    table : polars.DataFrame
        Of `content.latent.latent_table`.
    column : str
        ``class``, ``sensor`` or ``subject``; points without a value are faint.
    colours : mapping of str to str
        By value of the column.
    explained : sequence of 2 floats
        Share of the variance along each component.
    """
    traces = []
    for name, colour in [(None, FAINT), *colours.items()]:
        group = table.filter(pl.col(column).is_null() if name is None else pl.col(column) == name)
        if group.is_empty():
            continue
        traces.append(
            go.Scatter(
                x=group["component_1"].round(2).to_list(),
                y=group["component_2"].round(2).to_list(),
                mode="markers",
                marker={"color": colour, "size": 5, "opacity": 0.6},
                name=name or "without a label",
                hovertemplate="%{x}, %{y}",
            )
        )
    chart = of_numbers(figure(traces, 340))
    for number, (axis, values) in enumerate(
        ((chart.update_xaxes, table["component_1"]), (chart.update_yaxes, table["component_2"]))
    ):
        low, high = float(values.min()), float(values.max())  # type: ignore[arg-type]
        margin = MARGIN * (high - low) or 1.0
        axis(
            title_text=f"component {number + 1} ({100 * explained[number]:.0f} % of variance)",
            # The same range in every panel.
            range=[low - margin, high + margin],
        )
    return chart

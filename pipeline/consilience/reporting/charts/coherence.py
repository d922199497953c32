"""Chart of the agreement between the sensors of each recording."""

from __future__ import annotations

import plotly.graph_objects as go
import polars as pl

from consilience.reporting.charts.style import Colours, figure, swarm
from consilience.reporting.words import readable


def agreement(table: pl.DataFrame, colours: Colours) -> go.Figure:
    """Show the log likelihood ratio of every session by sensor; below 0 it contradicts the others.

    Parameters
    ----------
    table : polars.DataFrame
        `RecordingCoherence`.
    colours : mapping of str to str
        By sensor.
    """
    traces = []
    for sensor, colour in colours.items():
        group = table.filter(pl.col("sensor") == sensor)
        traces.append(
            swarm(readable(sensor), group["llr"].to_list(), group["session"].to_list(), colour)
        )
    chart = figure(traces, 90 + 60 * len(colours))
    chart.update_xaxes(title_text="log likelihood ratio, nats", zeroline=True)
    return chart.update_yaxes(autorange="reversed", showgrid=False)

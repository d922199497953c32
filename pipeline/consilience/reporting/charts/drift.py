"""Chart of the deviations of recordings from those of other people."""

from __future__ import annotations

from collections.abc import Iterable

import plotly.graph_objects as go
import polars as pl

from consilience.reporting.charts.style import GREY, Colours, figure, of_numbers, of_ranks
from consilience.reporting.words import readable
from consilience.schema.constants import DIFFERENT


def deviations(table: pl.DataFrame, recordings: Iterable[str], colours: Colours) -> go.Figure:
    """Show the deviation of every recording by sensor, in a given order.

    Parameters
    ----------
    table : polars.DataFrame
        ``recording``, ``sensor`` and ``deviation``.
    recordings : iterable of str
        From left to right.
    colours : mapping of str to str
        By sensor.
    """
    place = {name: number for number, name in enumerate(recordings, start=1)}
    traces = []
    for sensor, colour in colours.items():
        group = table.filter(pl.col("sensor") == sensor)
        traces.append(
            go.Scatter(
                x=[place[name] for name in group["recording"]],
                y=group["deviation"].round(2).to_list(),
                mode="markers",
                marker={"color": colour, "size": 7, "symbol": "diamond", "opacity": 0.8},
                name=readable(sensor),
                text=group["recording"].to_list(),
                hovertemplate="%{text}: %{y:.1f}",
            )
        )
    chart = of_numbers(figure(traces, 320))
    chart.add_hline(y=DIFFERENT, line={"dash": "dash", "color": GREY, "width": 1})
    of_ranks(chart, len(place)).update_xaxes(title_text="recording")
    return chart.update_yaxes(title_text="deviation, standard deviations")

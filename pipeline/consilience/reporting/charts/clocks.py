"""Charts of the clock estimates."""

from __future__ import annotations

import plotly.graph_objects as go
import polars as pl

from consilience.reporting.charts.style import LEGEND_ABOVE, Colours, figure, of_numbers, swarm
from consilience.reporting.words import readable

MAX_POINTS = 4000  # of one trace: more make the page slow and hide each other


def residuals(alignment: pl.DataFrame, colours: Colours) -> go.Figure:
    """Show the distance of the anchors from each recording's fitted clock, in ms."""
    traces = []
    for modality, colour in colours.items():
        group = alignment.filter(pl.col("modality") == modality).drop_nulls("residual_ms")
        values, names = group["residual_ms"].to_list(), group["recording"].to_list()
        traces.append(swarm(readable(modality), values, names, colour))
    chart = figure(traces, 90 + 60 * len(colours))
    # Logarithmic: pulses in EEG are a hundred times more precise than flashes in video.
    chart.update_xaxes(title_text="residual, ms", type="log", dtick=1)
    return chart.update_yaxes(autorange="reversed", showgrid=False)


def residuals_over_time(anchors: pl.DataFrame, colours: Colours) -> go.Figure:
    """Show the anchors' residuals along the session, in ms.

    A deviation that the clock model does not represent, such as a drift that changes, appears
    as a trend.
    """
    traces = []
    for modality, colour in colours.items():
        group = anchors.filter(pl.col("modality") == modality)
        group = group.gather_every(1 + group.height // MAX_POINTS)
        traces.append(
            go.Scatter(
                x=group["session_s"].to_list(),
                y=group["residual_ms"].to_list(),
                mode="markers",
                marker={"color": colour, "size": 5, "opacity": 0.5, "symbol": "diamond"},
                name=readable(modality),
                text=group["recording"].to_list(),
                hovertemplate="%{text}<br>%{x:.1f} s, %{y:.2f} ms",
            )
        )
    chart = of_numbers(figure(traces, 320, showlegend=True, legend=LEGEND_ABOVE))
    chart.update_xaxes(title_text="session, s")
    return chart.update_yaxes(title_text="residual, ms")


def clocks(alignment: pl.DataFrame, colours: Colours) -> go.Figure:
    """Show offset (s) and drift (ppm) of every recording's clock."""
    traces = []
    for modality, colour in colours.items():
        group = alignment.filter(pl.col("modality") == modality).drop_nulls("offset_s")
        traces.append(
            go.Scatter(
                x=group["offset_s"].to_list(),
                y=group["drift_ppm"].to_list(),
                mode="markers",
                marker={"color": colour, "size": 8, "opacity": 0.75, "symbol": "diamond"},
                name=readable(modality),
                text=group["recording"].to_list(),
                hovertemplate="%{text}<br>%{x:.3f} s, %{y:.1f} ppm",
            )
        )
    chart = of_numbers(figure(traces, 320, showlegend=True, legend=LEGEND_ABOVE))
    chart.update_xaxes(title_text="offset, s")
    return chart.update_yaxes(title_text="drift, ppm")

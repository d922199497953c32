"""Charts of the default method's predictions, window by window."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import plotly.graph_objects as go
import polars as pl

from consilience.reporting.charts.style import (
    FAINT,
    LEGEND_ABOVE,
    OUTCOME_COLOURS,
    QUANTITY_COLOURS,
    Colours,
    figure,
    of_numbers,
)
from consilience.reporting.words import readable

# The list holds a value per pair of groups, so that more would exceed what a page can hold.
MOST_GROUPS = 100
STRIPS = {"actual": -0.1, "predicted": -0.22}  # heights below the curves, which lie in [0, 1]
STRIP_NAMES = {"actual": "labelled", "predicted": "predicted"}


def coherence(predictions: pl.DataFrame) -> go.Figure:
    """Show the labelled test windows by vacuity and coherence, correct and wrong ones."""
    labelled = predictions.drop_nulls(["actual", "vacuity", "coherence"])
    is_right = labelled["actual"] == labelled["predicted"]
    traces = [
        go.Scatter(
            x=group["vacuity"].to_list(),
            y=group["coherence"].to_list(),
            mode="markers",
            marker={"color": colour, "size": 6, "opacity": 0.7},
            name=name,
            text=group["window"].to_list(),
            hovertemplate="%{text}",
        )
        for name, colour, group in (
            ("correct", OUTCOME_COLOURS["correct"], labelled.filter(is_right)),
            ("wrong", OUTCOME_COLOURS["wrong"], labelled.filter(~is_right)),
        )
    ]
    chart = of_numbers(figure(traces, 340, showlegend=True, legend=LEGEND_ABOVE))
    chart.update_xaxes(title_text="vacuity")
    return chart.update_yaxes(title_text="coherence")


def timeline(predictions: pl.DataFrame, colours: Colours) -> go.Figure:
    """Show the predictions along one session, which is chosen from a list.

    Where sessions are single windows, the list holds subjects, whose windows are in a row.
    Predictions without labels have no column ``actual``.
    """
    group_by = _grouping(predictions)
    strips = {name: height for name, height in STRIPS.items() if name in predictions.columns}
    names = predictions[group_by].unique().sort().to_list()
    traces: list[Any] = []
    for number, name in enumerate(names):
        group = predictions.filter(pl.col(group_by) == name).sort("session", "start_s")
        # Seconds of different sessions share no axis: a subject's windows are numbered instead.
        times = group["start_s"].to_list() if group_by == "session" else list(range(group.height))
        traces += _group_traces(group, times, strips, colours, is_visible=number == 0)
    chart = figure(
        traces,
        380,
        updatemenus=[_menu(names, len(QUANTITY_COLOURS) + len(strips))],
        showlegend=True,
        legend={"orientation": "h", "y": -0.2, "yanchor": "top"},
        hovermode="x unified",
        hoverlabel={"bgcolor": "rgba(60, 62, 66, 0.92)", "font": {"color": "#fff"}},
    )
    title = "start of the window, s" if group_by == "session" else "window"
    chart.update_xaxes(title_text=title, showgrid=False)
    return chart.update_yaxes(
        range=[-0.3, 1.05],
        tickvals=[*strips.values(), 0, 0.5, 1],
        ticktext=[*(STRIP_NAMES[name] for name in strips), "0", "0.5", "1"],
    )


def first_groups(predictions: pl.DataFrame) -> pl.DataFrame:
    """Return the windows of the first sessions or subjects, as many as `timeline` can list."""
    group_by = _grouping(predictions)
    names = predictions[group_by].unique().sort().head(MOST_GROUPS)
    return predictions.filter(pl.col(group_by).is_in(names.to_list()))


def _grouping(predictions: pl.DataFrame) -> str:
    longest = predictions.group_by("session").len()["len"].max() or 0
    return "session" if isinstance(longest, int) and longest > 2 else "subject"


def _group_traces(
    group: pl.DataFrame,
    times: list[Any],
    strips: Mapping[str, float],
    colours: Colours,
    is_visible: bool,
) -> list[go.Scatter]:
    curves = [
        go.Scatter(
            x=times,
            y=group[column].to_list(),
            mode="lines",
            line={"color": colour, "width": 2, "shape": "hvh"},
            name=column,
            visible=is_visible,
            hovertemplate="%{y:.2f}",
        )
        for column, colour in QUANTITY_COLOURS.items()
    ]
    squares = [
        _strip(times, group[column].to_list(), height, colours).update(
            name=column, visible=is_visible
        )
        for column, height in strips.items()
    ]
    return curves + squares


def _strip(
    times: list[Any], classes: list[str | None], height: float, colours: Colours
) -> go.Scatter:
    """Return a row of squares in the colours of the classes; None is faint."""
    return go.Scatter(
        x=times,
        y=[height] * len(times),
        mode="markers",
        marker={
            "symbol": "square",
            "size": 9,
            "color": [colours.get(name or "", FAINT) for name in classes],
        },
        text=[readable(name or "unlabelled") for name in classes],
        showlegend=False,
        hovertemplate="%{text}",
    )


def _menu(names: list[str], n_per_group: int) -> dict[str, Any]:
    """Return a list of groups; each entry shows the `n_per_group` traces of its group only."""
    n_traces = len(names) * n_per_group
    buttons = [
        {
            "label": name,
            "method": "restyle",
            "args": [{"visible": [i // n_per_group == number for i in range(n_traces)]}],
        }
        for number, name in enumerate(names)
    ]
    return {
        "buttons": buttons,
        "x": 0,
        "xanchor": "left",
        "y": 1.04,
        "yanchor": "bottom",
        "bgcolor": "rgba(133, 137, 143, 0.15)",
        "bordercolor": FAINT,
        "showactive": False,
    }

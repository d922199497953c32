"""Charts of the windows' labels and of the folds."""

from __future__ import annotations

from collections.abc import Sequence

import plotly.graph_objects as go
import polars as pl

from consilience.reporting.charts.style import NEUTRAL, ROLE_COLOURS, Colours, figure, steps
from consilience.reporting.words import readable
from consilience.schema.constants import ROLES


def class_counts(labels: pl.DataFrame, classes: Sequence[str], colours: Colours) -> go.Figure:
    """Show the number of windows by most probable class."""
    leading = labels["class_probability"].drop_nulls().list.arg_max()
    bars = go.Bar(
        x=[int((leading == number).sum()) for number in range(len(classes))],
        y=[readable(name) for name in classes],
        orientation="h",
        marker={"color": [colours[name] for name in classes]},
        hovertemplate="%{y}: %{x} windows<extra></extra>",
    )
    chart = figure([bars], 100 + 26 * len(classes), bargap=0.3)
    chart.update_xaxes(title_text="windows")
    return chart.update_yaxes(autorange="reversed", showgrid=False)


def agreement(labels: pl.DataFrame) -> go.Figure:
    """Show the distribution of the annotators' agreement over the windows."""
    bars = go.Histogram(
        x=labels["agreement"].drop_nulls().to_list(),
        # The last bin begins at 1: full agreement has a bar of its own.
        xbins={"start": -1, "end": 1.05, "size": 0.05},
        marker={"color": NEUTRAL},
        hovertemplate="%{x}: %{y} windows<extra></extra>",
    )
    chart = figure([bars], 220, bargap=0.05)
    chart.update_xaxes(title_text="agreement of the annotators")
    return chart.update_yaxes(title_text="windows")


def folds(splits: pl.DataFrame) -> go.Figure:
    """Show the role of every subject in every fold."""
    subjects = splits["subject"].unique().sort().to_list()
    numbers = splits["fold"].unique().sort().to_list()
    role_of = {(fold, subject): role for fold, subject, role in splits.iter_rows()}
    roles = [[role_of.get((fold, subject), "train") for subject in subjects] for fold in numbers]
    heat = go.Heatmap(
        z=[[ROLES.index(role) for role in row] for row in roles],
        x=subjects,
        y=[f"fold {fold}" for fold in numbers],
        text=roles,
        zmin=-0.5,
        zmax=len(ROLES) - 0.5,
        colorscale=steps(list(ROLE_COLOURS.values())),
        showscale=False,
        xgap=2,
        ygap=2,
        hovertemplate="%{x}, %{y}: %{text}<extra></extra>",
    )
    chart = figure([heat], 90 + 20 * len(numbers))
    chart.update_xaxes(showgrid=False, type="category")
    return chart.update_yaxes(autorange="reversed", showgrid=False)

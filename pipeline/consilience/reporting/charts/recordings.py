"""Charts of the status and quality of the recordings."""

from __future__ import annotations

import plotly.graph_objects as go
import polars as pl

from consilience.reporting.charts.style import (
    STATUS_COLOURS,
    STATUSES,
    Colours,
    figure,
    steps,
    swarm,
)
from consilience.reporting.words import readable


def availability(recordings: pl.DataFrame, modality: str) -> go.Figure:
    """Show the status of one sensor's recordings, subjects by sessions."""
    table = _by_session(recordings, modality)
    subjects = table["subject"].unique().sort().to_list()
    width = int(table["number"].max() or 0)  # type: ignore[arg-type]
    # None is transparent: subjects may have different numbers of sessions.
    codes: list[list[float | None]] = [[None] * width for _ in subjects]
    texts = [[""] * width for _ in subjects]
    columns = ("subject", "session", "number", "status", "reason")
    for subject, session, number, status, reason in table.select(columns).iter_rows():
        row, column = subjects.index(subject), number - 1
        codes[row][column] = STATUSES.index(status or "missing")
        texts[row][column] = f"{session}: {status or 'missing'}" + (
            f"<br>{reason}" if reason else ""
        )
    heat = go.Heatmap(
        z=codes,
        x=list(range(1, width + 1)),
        y=subjects,
        text=texts,
        # Half a step beyond the codes, so that each falls into the middle of its colour.
        zmin=-0.5,
        zmax=len(STATUSES) - 0.5,
        colorscale=steps(list(STATUS_COLOURS.values())),
        showscale=False,
        xgap=2 if width <= 20 else 0.5,
        ygap=2,
        hovertemplate="%{text}<extra></extra>",
    )
    chart = figure([heat], 70 + 20 * len(subjects))
    chart.update_xaxes(title_text="session", showgrid=False, tick0=1, dtick=max(1, width // 8))
    return chart.update_yaxes(showgrid=False, autorange="reversed", type="category")


def _by_session(recordings: pl.DataFrame, modality: str) -> pl.DataFrame:
    """Return every session, numbered within its subject, with this sensor's recording or nulls."""
    sessions = (
        recordings.select("subject", "session")
        .unique()
        .sort("subject", "session")
        .with_columns(number=pl.col("session").cum_count().over("subject"))
    )
    of_modality = recordings.filter(pl.col("modality") == modality)
    return sessions.join(of_modality, on=["subject", "session"], how="left").sort(
        "subject", "number"
    )


def quality(recordings: pl.DataFrame, colours: Colours) -> go.Figure:
    """Show the quality of every ingested recording by sensor."""
    traces = []
    for modality, colour in colours.items():
        group = recordings.filter(pl.col("modality") == modality).drop_nulls("quality")
        values, names = group["quality"].to_list(), group["recording"].to_list()
        traces.append(swarm(readable(modality), values, names, colour))
    chart = figure(traces, 90 + 60 * len(colours))
    chart.update_xaxes(title_text="quality", range=[-0.02, 1.02])
    return chart.update_yaxes(autorange="reversed", showgrid=False)

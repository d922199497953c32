"""Predictions as one self-contained HTML page."""

from __future__ import annotations

from typing import Any

import polars as pl

from consilience.prediction.run import Predicted
from consilience.reporting.charts.style import class_colours
from consilience.reporting.charts.windows import first_groups, timeline
from consilience.reporting.figure import chart
from consilience.reporting.page import framed
from consilience.reporting.words import readable, readable_verdict

VERDICTS = ("clear", "ambiguous", "failing", "contradicting")  # how they begin


def render_predictions(predicted: Predicted) -> str:
    """Return the predictions as HTML; the same predictions give the same bytes."""
    windows, classes = predicted.windows, list(predicted.card["classes"])
    n_sessions = windows["session"].n_unique()
    drawn = first_groups(windows)
    colours = class_colours(classes)
    return framed(
        "predictions.html.j2",
        "predictions",
        method=predicted.card["method"],
        trained_on=predicted.card["dataset"],
        sensors=list(predicted.card["features"]),
        n_windows=windows.height,
        n_sessions=n_sessions,
        n_drawn=drawn["session"].n_unique(),
        verdicts=[
            (verdict and readable_verdict(verdict), n)
            for verdict, n in windows["verdict"].value_counts(sort=True).iter_rows()
        ],
        recordings=recording_rows(windows),
        compared=predicted.recordings.height,
        differing=[
            (recording, readable(sensor), f"{deviation:.1f}")
            for recording, sensor, deviation in predicted.recordings.filter("differs")
            .sort("deviation", descending=True)
            .select("recording", "sensor", "deviation")
            .rows()
        ],
        heads=("session", "subject", "windows", "most frequent class", *VERDICTS),
        colours=colours,
        timeline=chart("timeline", timeline(drawn, colours), drawn),
    )


def recording_rows(windows: pl.DataFrame) -> list[tuple[Any, ...]]:
    """Return session, subject, number of windows, leading class, and shares of the verdicts."""
    verdict = pl.col("verdict")
    table = windows.group_by("session", "subject", maintain_order=True).agg(
        pl.len(),
        pl.col("predicted").drop_nulls().mode().sort().first(),
        *(verdict.str.starts_with(name).mean().alias(name) for name in VERDICTS),
    )
    return [
        (session, subject, n, leading or "–", *(f"{share or 0:.0%}" for share in shares))
        for session, subject, n, leading, *shares in table.iter_rows()
    ]

"""Reliability and coherence over time, and the windows that are worth a look."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from consilience.core.wording import counted
from consilience.project import Project
from consilience.reporting.charts import style
from consilience.reporting.charts.svg import Curve, Mark, time_chart
from consilience.reporting.content.source import file_places
from consilience.reporting.figure import Block, Figure, Listing, Section, drawing
from consilience.reporting.results import Results
from consilience.reporting.words import ABSENT, decimal, percent, readable, readable_verdict

MOST_DRAWN = 6  # recordings
MOST_LISTED = 60  # windows
# Verdicts that are worth a look, the gravest first, by how they begin.
VERDICTS = ("contradicting", "failing", "bad", "ambiguous")
# Points per window of a recording's score: an ambiguous state is a finding, but no defect.
WEIGHTS = dict(zip(VERDICTS, (3, 3, 3, 1), strict=True))

MARKS = "Triangles mark windows with a failing or contradicting sensor, dots ambiguous ones."


def noteworthy(predictions: pl.DataFrame) -> pl.DataFrame:
    """Return the windows that are worth a look, the gravest first.

    Returns
    -------
    polars.DataFrame
        The rows whose ``verdict`` begins with one of `VERDICTS`, with ``grade`` (its position):
        in each grade those with the least coherence first, then with the largest vacuity.
    """
    if "verdict" not in predictions.columns:
        return predictions.clear().with_columns(grade=pl.lit(0))
    grade = pl.lit(None, pl.Int64)
    for number, name in reversed(list(enumerate(VERDICTS))):
        # Of a method that returns no reliability, the column has no type.
        starts = pl.col("verdict").cast(pl.String).str.starts_with(name)
        grade = pl.when(starts).then(pl.lit(number, pl.Int64)).otherwise(grade)
    rows = predictions.with_columns(grade=grade).drop_nulls("grade")
    by = [name for name in ("grade", "coherence", "vacuity") if name in rows.columns]
    descending = [name == "vacuity" for name in by]
    return rows.sort(*by, descending=descending, nulls_last=True, maintain_order=True)


def grouping(predictions: pl.DataFrame) -> str:
    """Return the column of what is drawn over time: sessions, or people with many clips."""
    clips = predictions["session"].n_unique() == predictions.height
    return "subject" if clips else "session"


def most_noteworthy(predictions: pl.DataFrame, most: int) -> list[str]:
    """Return the recordings with the most noteworthy windows, relative to their number."""
    column = grouping(predictions)
    rows = noteworthy(predictions)
    points = pl.col("grade").replace_strict(
        dict(enumerate(WEIGHTS.values())), return_dtype=pl.Float64
    )
    scores = (
        predictions.group_by(column)
        .len()
        .join(rows.group_by(column).agg(points.sum().alias("points")), on=column, how="left")
        .with_columns(score=pl.col("points").fill_null(0) / pl.col("len"))
        .sort("score", column, descending=[True, False])
    )
    return scores[column].head(most).to_list()


def course(
    predictions: pl.DataFrame,
    name: str,
    sensors: Sequence[str],
    colours: style.Colours,
    column: str,
    x_range: tuple[float, float] | None = None,
) -> str:
    """Return the curves of one recording as SVG.

    Parameters
    ----------
    predictions : polars.DataFrame
        Test windows.
    name : str
        Of a session, or of a person if all sessions are clips.
    sensors : sequence of str
    colours : mapping of str to str
        By sensor.
    column : str
        What `grouping` returned for all test windows.
    x_range : tuple of float, optional
        Of the axis of time; default: that of the recording.
    """
    rows = predictions.filter(pl.col(column) == name).sort("session", "start_s")
    in_seconds = column == "session"
    times = _times(rows, column)
    curves = [
        Curve(readable(sensor), times, rows[f"reliability_{sensor}"].to_list(), colours[sensor])
        for sensor in sensors
        if f"reliability_{sensor}" in rows.columns
    ]
    if "coherence" in rows.columns:
        colour = style.QUANTITY_COLOURS["coherence"]
        curves.append(Curve("coherence", times, rows["coherence"].to_list(), colour, dashed=True))
    at = dict(zip(rows["window"], times, strict=True))
    marks = [
        Mark(
            at[row["window"]],
            readable_verdict(row["verdict"]),
            is_grave=row["grade"] < len(VERDICTS) - 1,
        )
        for row in noteworthy(rows).iter_rows(named=True)
    ]
    title = "start of the window, s" if in_seconds else "window"
    return time_chart(curves, marks, title, x_range=x_range)


def common_range(
    predictions: pl.DataFrame, names: Sequence[str], column: str
) -> tuple[float, float] | None:
    """Return the range of an axis of time for several recordings; None without any."""
    recordings = [predictions.filter(pl.col(column) == name) for name in names]
    times = [time for rows in recordings for time in _times(rows, column)]
    return (min(times), max(times)) if times else None


def _times(rows: pl.DataFrame, column: str) -> list[float]:
    """Return the positions of a recording's windows: seconds, or of clips their numbers."""
    if column == "session":
        return rows["start_s"].to_list()
    return [float(number + 1) for number in range(rows.height)]


def time_course(project: Project, results: Results) -> Section | None:
    """Return the section; None for a method that estimates neither reliability nor coherence."""
    predictions, sensors = results.predictions, results.meta["modalities"]
    estimates = [f"reliability_{name}" for name in sensors] + ["coherence"]
    present = [name for name in estimates if name in predictions.columns]
    if not present or predictions.drop_nulls(present).is_empty():
        return None
    colours = style.sensor_colours(sensors)
    legend = {readable(name): colour for name, colour in colours.items()}
    legend |= {"coherence (dashed)": style.QUANTITY_COLOURS["coherence"]}
    column = grouping(predictions)
    kind = "people" if column == "subject" else "recordings"
    drawn = most_noteworthy(predictions, MOST_DRAWN)
    extent = common_range(predictions, drawn, column)
    figures: list[Block] = [
        Figure(
            drawing(
                f"course-{number}",
                course(predictions, name, sensors, colours, column, extent),
                _data(predictions, name, present),
                "horizontal axis: time; vertical axis: from 0 to 1.",
            ),
            caption=f"{name}: reliability of each sensor and coherence over time. {MARKS}",
            alt=f"{_counts(predictions, name)}.",
            legend=legend,
            mark="line",
        )
        for number, name in enumerate(drawn)
    ]
    listed = noteworthy(predictions)
    first_rows = listed.head(MOST_LISTED)
    places = file_places(project, results, first_rows)
    first_rows = first_rows.join(places, on="window", how="left", maintain_order="left")
    heads = ("file", "second", "person", "verdict", "label", "predicted", "coherence", "vacuity")
    rows = [
        (
            row["file"] or ABSENT,
            ABSENT if row["file_s"] is None else f"{row['file_s']:.1f}",
            row["subject"],
            readable_verdict(row["verdict"]),
            ABSENT if row["actual"] is None else readable(row["actual"]),
            readable(row["predicted"]),
            decimal(row.get("coherence")),
            decimal(row.get("vacuity")),
        )
        for row in first_rows.iter_rows(named=True)
    ]
    caption = "Windows worth a look, the gravest first"
    if len(rows) < listed.height:
        caption = f"The gravest of {listed.height} windows worth a look"
    listing: list[Block] = [Listing(caption, heads, rows)] if rows else []
    share = percent(listed.height / predictions.height)
    return Section(
        "over-time",
        "Reliability over time",
        (
            f"Of {predictions.height} test windows, {listed.height} ({share}) are worth a look: a "
            f"sensor fails or contradicts the others, or the state is ambiguous. The {kind} with "
            "the most of them are drawn.",
        ),
        (*figures, *listing),
    )


def _data(predictions: pl.DataFrame, name: str, present: Sequence[str]) -> pl.DataFrame:
    rows = predictions.filter(pl.col(grouping(predictions)) == name).sort("session", "start_s")
    return rows.select("window", "session", "start_s", "end_s", *present, "verdict")


def _counts(predictions: pl.DataFrame, name: str) -> str:
    rows = predictions.filter(pl.col(grouping(predictions)) == name)
    by_verdict = noteworthy(rows)["verdict"].value_counts(sort=True).sort("verdict")
    verdicts = ", ".join(f"{n} {readable_verdict(verdict)}" for verdict, n in by_verdict.rows())
    return f"Of {counted(rows.height, 'window')}: {verdicts or 'none is worth a look'}"

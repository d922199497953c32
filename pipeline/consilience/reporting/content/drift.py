"""Recordings that differ from those of other people: another device, noise, another setting."""

from __future__ import annotations

import polars as pl

from consilience.core.wording import counted
from consilience.project import Project
from consilience.reporting.charts import drift as drift_charts
from consilience.reporting.charts import style
from consilience.reporting.content.source import deviations
from consilience.reporting.figure import Figure, Listing, Note, Section, chart
from consilience.reporting.results import Results
from consilience.reporting.words import readable
from consilience.schema.constants import DIFFERENT
from consilience.schema.tables import Recordings, read_table

MOST_DRAWN = 1500  # points
MOST_LISTED = 60


def dated(table: pl.DataFrame, starts: pl.DataFrame) -> pl.DataFrame:
    """Return deviations in the order in which the recordings were made, as far as it is compared.

    Parameters
    ----------
    table : polars.DataFrame
        Table `Deviations`; its ``recording`` is a session, or a person with clips.
    starts : polars.DataFrame
        ``session``, ``subject`` and ``start_time`` (ISO 8601, null where a header states none).

    Returns
    -------
    polars.DataFrame
        With ``start_time``, the earliest of the recording; sorted by it, then by name.
    """
    first = pl.col("start_time").min()
    by_name = pl.concat(
        [
            starts.group_by(name).agg(first).rename({name: "recording"})
            for name in ("session", "subject")
        ]
    ).unique("recording", keep="first", maintain_order=True)
    joined = table.join(by_name, on="recording", how="left", maintain_order="left")
    return joined.sort("start_time", "recording", nulls_last=True, maintain_order=True)


def drift(project: Project, results: Results) -> Section | None:
    """Return the deviations of recordings; None if there are too few to compare."""
    names = results.meta["modalities"]
    starts = pl.concat(
        [
            read_table(project.recordings_table(name), Recordings).select(
                "session", "subject", "start_time"
            )
            for name in names
        ]
    )
    table = dated(deviations(project, results), results.names.mapped(starts))
    compared = table.drop_nulls("deviation")
    if compared.is_empty():
        return None
    colours = style.sensor_colours(names)
    n_dated = compared["start_time"].drop_nulls().n_unique()
    order = "in the order of recording" if n_dated > 1 else "in the order of their names"
    differing = compared.filter(pl.col("deviation") > DIFFERENT).sort("deviation", descending=True)
    largest = compared.top_k(min(MOST_DRAWN, compared.height), by="deviation")
    recordings = compared["recording"].unique(maintain_order=True)
    figure = drift_charts.deviations(largest.sort("recording"), recordings, colours)
    rows = [
        (row["recording"], readable(row["sensor"]), row["windows"], f"{row['deviation']:.1f}")
        for row in differing.head(MOST_LISTED).iter_rows(named=True)
    ]
    listing = Listing(
        f"Recordings that differ by more than {DIFFERENT:g} standard deviations",
        ("recording", "sensor", "windows", "deviation, standard deviations"),
        rows,
    )
    usual = "No recording differs from those of other people by more than "
    n_others = table["recording"].n_unique() - len(recordings)
    others = Note(
        f"{counted(n_others, 'recording is', 'recordings are')} not compared: without a quarter of "
        "the people, too few others remain."
    )
    return Section(
        "drift-of-recordings",
        "Recordings that differ",
        (
            "Every recording is compared with those of other people: by what its model inputs have "
            "outside of the ways in which people differ from each other. A large deviation "
            "indicates another device, a noisy sensor or another setting.",
        ),
        (
            Figure(
                chart("deviations", figure, data=compared),
                caption=f"Deviation of every recording and sensor, {order}, in standard "
                f"deviations. The dashed line is {DIFFERENT:g}, from which 'consilience predict' "
                "warns.",
                alt=f"{differing.height} of {compared.height} are above the line.",
                legend={readable(name): colour for name, colour in colours.items()},
                mark="diamond",
            ),
            listing if rows else Note(f"{usual}{DIFFERENT:g} standard deviations."),
            *([others] if n_others else []),
        ),
    )

"""Labels that the predictions of networks trained on other people contradict.

Confident learning (Northcutt et al. 2021): a label is doubtful if the prediction favours another
class, with at least the probability that windows labelled as that class have on average.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl

from consilience.project import Project
from consilience.reporting.content.source import file_places, sensor_predictions
from consilience.reporting.figure import Listing, Note, Section
from consilience.reporting.results import Results
from consilience.reporting.words import ABSENT, decimal, percent, readable

MOST_LISTED = 100


def doubtful_labels(predictions: pl.DataFrame, classes: Sequence[str]) -> pl.DataFrame:
    """Return the windows whose label is doubtful, the most doubtful first.

    Parameters
    ----------
    predictions : polars.DataFrame
        Test windows with ``actual`` (the leading class of the label) and ``p_<class>``, predicted
        without the person's own labels.
    classes : sequence of str

    Returns
    -------
    polars.DataFrame
        The rows, with ``instead`` (the predicted class), ``p_label``, ``p_instead`` and their
        difference ``margin``.
    """
    labelled = predictions.drop_nulls("actual")
    p = labelled.select(f"p_{name}" for name in classes).to_numpy()
    label = np.array([classes.index(name) for name in labelled["actual"]], np.int64)
    usual = np.array(
        [p[label == k, k].mean() if (label == k).any() else np.inf for k in range(len(classes))]
    )
    certain = np.where(p >= usual, p, -1.0)
    instead = certain.argmax(1)
    rows = np.arange(len(p))
    doubtful = (certain.max(1) >= 0) & (instead != label) if len(p) else np.zeros(0, bool)
    table = labelled.with_columns(
        instead=pl.Series([classes[k] for k in instead], dtype=pl.String),
        p_label=pl.Series(p[rows, label], dtype=pl.Float64),
        p_instead=pl.Series(p[rows, instead], dtype=pl.Float64),
    ).with_columns(margin=pl.col("p_instead") - pl.col("p_label"))
    # A class that is less probable than the label does not contradict it.
    table = table.filter(doubtful).filter(pl.col("margin") > 0)
    return table.sort("margin", descending=True, maintain_order=True)


def sensor_votes(
    doubtful: pl.DataFrame, sensors: pl.DataFrame, classes: Sequence[str]
) -> pl.DataFrame:
    """Add how many sensors alone predict the other class (``votes``), of how many (``sensors``).

    Parameters
    ----------
    doubtful : polars.DataFrame
        Of `doubtful_labels`.
    sensors : polars.DataFrame
        Table `SensorPredictions`.
    classes : sequence of str
    """
    leading = pl.col("probability").list.arg_max().cast(pl.Int64)
    names = pl.Series(list(classes))
    alone = sensors.with_columns(alone=leading).join(
        doubtful.select("window", "instead"), on="window"
    )
    alone = alone.with_columns(alone=names.gather(alone["alone"]))
    counted = alone.group_by("window").agg(
        votes=(pl.col("alone") == pl.col("instead")).sum().cast(pl.Int64),
        sensors=pl.len().cast(pl.Int64),
    )
    return doubtful.join(counted, on="window", how="left", maintain_order="left").with_columns(
        pl.col("votes", "sensors").fill_null(0)
    )


def doubtful(project: Project, results: Results) -> Section | None:
    """Return the doubtful labels with file and second; None without labels."""
    classes = results.meta["classes"]
    labelled = results.predictions.drop_nulls("actual").height
    if not labelled or f"p_{classes[0]}" not in results.predictions.columns:
        return None
    table = doubtful_labels(results.predictions, classes)
    listed = sensor_votes(
        table.head(MOST_LISTED), sensor_predictions(project, results), classes
    ).join(file_places(project, results, table), on="window", how="left", maintain_order="left")
    rows = [
        (
            row["file"] or ABSENT,
            ABSENT if row["file_s"] is None else f"{row['file_s']:.1f}",
            row["subject"],
            readable(row["actual"]),
            percent(row["p_label"]),
            readable(row["instead"]),
            percent(row["p_instead"]),
            f"{row['votes']} of {row['sensors']}",
            decimal(row.get("agreement")),
        )
        for row in listed.iter_rows(named=True)
    ]
    share = percent(table.height / labelled)
    intro = (
        f"Of {labelled} labelled test windows, {table.height} ({share}) have a label that the "
        "predictions contradict: another class is as probable as windows of that class usually "
        "are, and more probable than the label. The networks were trained on other people, without "
        "these labels. A doubtful label may be wrong, or the window unusual: see or hear it.",
    )
    heads = (
        *("file", "second", "person", "label", "probability", "instead", "probability"),
        *("sensors that agree", "agreement of the annotators"),
    )
    blocks: list[Listing | Note] = []
    if rows:
        blocks = [Listing("Doubtful labels, the most doubtful first", heads, rows)]
    if table.height > MOST_LISTED:
        blocks.append(Note(f"The {MOST_LISTED} most doubtful are listed."))
    return Section("doubtful-labels", "Doubtful labels", intro, tuple(blocks))

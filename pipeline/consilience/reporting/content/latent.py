"""The space in which all sensors predict: held-out windows, one point per window and sensor.

Networks of different folds have latent spaces of their own, which cannot be drawn together. What
they share is the space of the classes: the log-probabilities that a sensor alone predicts, less
their mean (the centred log-ratio of Aitchison 1982). Its two principal components are drawn.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from consilience.project import Project
from consilience.reporting.charts import latent as latent_charts
from consilience.reporting.charts import style
from consilience.reporting.content.source import sensor_predictions, spread
from consilience.reporting.figure import Figure, Grid, Section, Tabular, chart
from consilience.reporting.results import Results
from consilience.reporting.tables import Cell, Row, Table
from consilience.reporting.words import percent, readable

MOST_WINDOWS = 500  # drawn, each as a point per sensor
LEAST_PROBABILITY = 1e-4  # below it, differences of log-probabilities would rule the picture
SHARES = {"class": "class", "subject": "person", "sensor": "sensor"}

Array = NDArray[np.float64]


class Projection(NamedTuple):
    """Two principal components of points.

    Attributes
    ----------
    coordinates : ndarray, shape (n, 2)
    explained : ndarray, shape (2,)
        Share of the variance along each.
    """

    coordinates: Array
    explained: Array


def log_ratios(probability: Array) -> Array:
    """Return the centred log-ratios of class probabilities, shape (n, K)."""
    logarithm = np.log(np.maximum(probability, LEAST_PROBABILITY))
    result: Array = logarithm - logarithm.mean(1, keepdims=True)
    return result


def principal_components(points: Array) -> Projection:
    """Project points (n, K) on their first two principal components.

    The sign of a component is that of its largest loading, so that a picture does not turn over.
    """
    offset = points - points.mean(0)
    _, singular, directions = np.linalg.svd(offset, full_matrices=False)
    directions = np.vstack([directions, np.zeros((2, points.shape[1]))])[:2]
    largest = np.abs(directions).argmax(1)
    signs = np.where(directions[np.arange(2), largest] < 0, -1.0, 1.0)
    square = np.append(singular**2, [0.0, 0.0])
    total = square.sum()
    explained = square[:2] / total if total > 0 else np.zeros(2)
    return Projection(offset @ (directions * signs[:, None]).T, explained)


def variance_share(points: Array, groups: Sequence[str]) -> float:
    """Return the share of the variance of points (n, K) that lies between groups, 0 to 1."""
    offset = points - points.mean(0)
    total = float((offset**2).sum())
    if total == 0:
        return 0.0
    _, codes = np.unique(np.asarray(groups), return_inverse=True)
    sums = np.zeros((codes.max() + 1, points.shape[1]))
    np.add.at(sums, codes, offset)
    sizes = np.bincount(codes)
    return float((sums**2 / sizes[:, None]).sum() / total)


def latent_table(
    sensors: pl.DataFrame, predictions: pl.DataFrame, classes: Sequence[str]
) -> tuple[pl.DataFrame, Array, dict[str, float]]:
    """Return the points that are drawn, and how much of the variance their groups explain.

    Parameters
    ----------
    sensors : polars.DataFrame
        Table `SensorPredictions`.
    predictions : polars.DataFrame
        Test windows with ``window``, ``subject`` and ``actual``.
    classes : sequence of str

    Returns
    -------
    points : polars.DataFrame
        ``window``, ``sensor``, ``subject``, ``class`` (null without a label), ``component_1`` and
        ``component_2``.
    explained : ndarray, shape (2,)
    shares : dict of str to float
        By column of `SHARES`: of all windows with a label, not of the drawn ones alone.
    """
    joined = sensors.join(
        predictions.select("window", "subject", pl.col("actual").alias("class")),
        on="window",
        maintain_order="left",
    )
    if joined.is_empty():
        return joined, np.zeros(2), {}
    points = log_ratios(np.array(joined["probability"].to_list()).reshape(-1, len(classes)))
    projection = principal_components(points)
    labelled = joined["class"].is_not_null().to_numpy()
    shares = {
        name: variance_share(points[labelled], joined.filter(labelled)[name].to_list())
        for name in SHARES
        if labelled.any()
    }
    table = joined.drop("probability").with_columns(
        component_1=pl.Series(projection.coordinates[:, 0]),
        component_2=pl.Series(projection.coordinates[:, 1]),
    )
    windows = table["window"].unique(maintain_order=True)
    drawn = windows.gather(spread(len(windows), MOST_WINDOWS))
    return table.filter(pl.col("window").is_in(drawn.implode())), projection.explained, shares


def latent(project: Project, results: Results) -> Section | None:
    """Return the section; None without a prediction by single sensors."""
    classes, modalities = results.meta["classes"], results.meta["modalities"]
    sensors = sensor_predictions(project, results)
    points, explained, shares = latent_table(sensors, results.predictions, classes)
    if points.is_empty():
        return None
    figures = [
        Figure(
            chart(
                f"latent-{name}",
                latent_charts.points(points, column, colours, explained),
                data=points,
            ),
            caption=_again(title, colours) if number else _caption(points),
            alt=f"Points of one {title} lie together as far as the {title} explains them: "
            f"{percent(shares.get(column, 0.0))} of the variance.",
            legend=legend,
            mark=mark,
        )
        for number, (name, column, title, colours, legend, mark) in enumerate(
            _panels(points, classes, modalities)
        )
    ]
    table = Table(
        ["points grouped by", "share of the variance, %"],
        [Row(SHARES[name], [Cell(f"{100 * share:.1f}")]) for name, share in shares.items()],
    )
    caption = (
        "Share of the variance of all labelled windows between groups. A space that is good for "
        "recognition is explained by the class, and little by the person or the sensor."
    )
    return Section(
        "latent-space",
        "Space of the predictions",
        (
            "Each point is a window as one sensor alone sees it, predicted by networks that were "
            "trained on other people: the log-probabilities of the classes, projected on their two "
            "principal components. Sensors that agree place a window at the same point.",
        ),
        (Grid(tuple(figures)), *([Tabular(table, caption)] if shares else [])),
    )


def _caption(points: pl.DataFrame) -> str:
    n = points["window"].n_unique()
    return f"{n} test windows, a point per sensor, coloured by labelled class."


def _again(title: str, colours: style.Colours) -> str:
    caption = f"The same points, coloured by {title}."
    if len(set(colours.values())) == len(colours):
        return caption
    return f"{caption} Colours repeat: the name appears at the pointer."


def _panels(
    points: pl.DataFrame, classes: Sequence[str], modalities: Sequence[str]
) -> list[tuple[str, str, str, style.Colours, style.Colours, str]]:
    """Return name, column, title, colours, legend and mark of every panel."""
    people = sorted(points["subject"].unique().to_list())
    of_class, of_sensor = style.class_colours(classes), style.sensor_colours(modalities)
    # With more people than colours a legend would not identify anyone; hovering does.
    of_person = style.distinct_colours(people)
    legend = of_person if len(people) <= len(style.OTHERS) else {}

    def named(colours: style.Colours) -> dict[str, str]:
        return {readable(name): colour for name, colour in colours.items()}

    return [
        ("class", "class", "class", of_class, named(of_class), "square"),
        ("sensor", "sensor", "sensor", of_sensor, named(of_sensor), "diamond"),
        ("person", "subject", "person", of_person, legend, "circle"),
    ]

"""Results by person, by class and by subgroup, with intervals by resampling people."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from consilience.core.wording import counted
from consilience.evaluation.resampling import (
    WORST_SHARE,
    interval,
    subject_weights,
    worst_quarter,
)
from consilience.project import Project
from consilience.reporting.charts import people as people_charts
from consilience.reporting.content.person_links import link, people_with_pages
from consilience.reporting.content.source import subjects_of
from consilience.reporting.figure import Block, Figure, Listing, Note, Section, Tabular, chart
from consilience.reporting.results import Results
from consilience.reporting.tables import Cell, Row, Table, limited
from consilience.reporting.words import ABSENT, readable
from consilience.schema.params.robustness import RobustnessParams

Array = NDArray[np.float64]

ATTRIBUTES = {"sex": "sex", "age_band": "age", "site": "site", "device": "device"}
# Upper ends of the age bands, years; the last band is open.
AGE_BANDS = {
    18: "under 18",
    30: "18 to 29",
    45: "30 to 44",
    60: "45 to 59",
    math.inf: "60 and over",
}
NOT_STATED = "not stated"
LEAST_PEOPLE = 3  # of a group and of all others: with fewer, no interval is stated


class Estimate(NamedTuple):
    """A figure with the ends of its 95 % interval; NaN where unknown."""

    value: float
    low: float = float("nan")
    high: float = float("nan")


def person_table(predictions: pl.DataFrame, subjects: pl.DataFrame) -> pl.DataFrame:
    """Return the results of every test person, the worst first.

    Parameters
    ----------
    predictions : polars.DataFrame
        Test windows with ``subject``, ``actual`` and ``predicted``.
    subjects : polars.DataFrame
        Table `Subjects`.

    Returns
    -------
    polars.DataFrame
        ``subject``, ``windows`` with a label, ``classes`` among them, ``balanced_accuracy`` (mean
        over the classes that the person has), ``accuracy``, the columns of `Subjects` and
        ``age_band``.
    """
    labelled = predictions.drop_nulls(["actual", "predicted"])
    right = (pl.col("actual") == pl.col("predicted")).mean()
    recalls = labelled.group_by("subject", "actual").agg(right.alias("recall"))
    people = (
        labelled.group_by("subject")
        .agg(pl.len().cast(pl.Int64).alias("windows"), right.alias("accuracy"))
        .join(
            recalls.group_by("subject").agg(
                pl.len().cast(pl.Int64).alias("classes"),
                pl.mean("recall").alias("balanced_accuracy"),
            ),
            on="subject",
        )
        .join(subjects, on="subject", how="left")
        .with_columns(age_band=_age_band())
    )
    order = ["subject", "windows", "classes", "balanced_accuracy", "accuracy"]
    return people.select(*order, pl.exclude(order)).sort("balanced_accuracy", "subject")


def _age_band() -> pl.Expr:
    band = pl.lit(None, pl.String)
    for end, name in reversed(AGE_BANDS.items()):
        band = pl.when(pl.col("age_years") < end).then(pl.lit(name)).otherwise(band)
    return pl.when(pl.col("age_years").is_not_null()).then(band)


def class_table(
    predictions: pl.DataFrame, classes: Sequence[str], n_resamples: int
) -> pl.DataFrame:
    """Return recall, precision and F1 of every class, with intervals over people.

    Returns
    -------
    polars.DataFrame
        ``class``, ``windows``, ``people`` who have the class, and for each of the three measures
        its value, ``<measure>_low`` and ``<measure>_high``.
    """
    labelled = predictions.drop_nulls(["actual", "predicted"])
    subjects = labelled["subject"].unique().sort().to_list()
    place = {name: number for number, name in enumerate(subjects)}
    code = {name: number for number, name in enumerate(classes)}
    counts = np.zeros((len(subjects), len(classes), len(classes)))
    where = (
        [place[name] for name in labelled["subject"]],
        [code[name] for name in labelled["actual"]],
        [code[name] for name in labelled["predicted"]],
    )
    np.add.at(counts, where, 1)
    pooled = np.tensordot(subject_weights(len(subjects), n_resamples), counts, 1)
    right, actual, predicted = np.diagonal(pooled, 0, 1, 2), pooled.sum(2), pooled.sum(1)
    with np.errstate(invalid="ignore", divide="ignore"):
        measures = {
            "recall": right / actual,
            "precision": right / predicted,
            "f1": 2 * right / (actual + predicted),
        }
    rows = []
    for number, name in enumerate(classes):
        row: dict[str, object] = {
            "class": name,
            "windows": int(counts[:, number].sum()),
            "people": int((counts[:, number].sum(1) > 0).sum()),
        }
        for measure, values in measures.items():
            bounds = _share(interval(values[:, number], len(subjects)))
            row |= dict(zip((measure, f"{measure}_low", f"{measure}_high"), bounds, strict=True))
        rows.append(row)
    return pl.DataFrame(rows).with_columns(pl.col(pl.Float64).fill_nan(None))


def group_table(people: pl.DataFrame, n_resamples: int) -> pl.DataFrame:
    """Return the accuracy of every subgroup, and its gap to all other people.

    Every person counts the same. A gap is that of a group to the people of the other groups of the
    same attribute: the gap of the best group to the worst would be positive by chance.

    Parameters
    ----------
    people : polars.DataFrame
        Of `person_table`.
    n_resamples : int

    Returns
    -------
    polars.DataFrame
        ``attribute``, ``group``, ``people``, ``balanced_accuracy``, ``gap`` (null for a single
        group), and the ends of both intervals (null with fewer than `LEAST_PEOPLE` people on a
        side). Attributes that are stated of none are left out.
    """
    rows: list[dict[str, object]] = []
    weights = subject_weights(people.height, n_resamples) if people.height else np.ones((1, 0))
    accuracy = people["balanced_accuracy"].to_numpy()
    for attribute in ATTRIBUTES:
        values = people[attribute].fill_null(NOT_STATED)
        groups = sorted(set(values) - {NOT_STATED}, key=_group_order)
        for group in [*groups, NOT_STATED] if groups else []:
            inside = (values == group).to_numpy()
            others = ~inside & (values != NOT_STATED).to_numpy()
            if inside.any():
                of_group = _mean(accuracy, weights * inside)
                gap = of_group - _mean(accuracy, weights * others)
                is_group = group != NOT_STATED
                rows.append(
                    {"attribute": attribute, "group": group, "people": int(inside.sum())}
                    | _bounds("balanced_accuracy", of_group, [inside.sum()])
                    | _bounds(
                        "gap", gap if is_group else gap * np.nan, [inside.sum(), others.sum()]
                    )
                )
    numbers = [
        f"{name}{end}" for name in ("balanced_accuracy", "gap") for end in ("", "_low", "_high")
    ]
    types = {"attribute": pl.String, "group": pl.String, "people": pl.Int64}
    return pl.DataFrame(rows, {**types, **dict.fromkeys(numbers, pl.Float64)})


def _group_order(group: str) -> tuple[int, str]:
    bands = list(AGE_BANDS.values())
    return (bands.index(group) if group in bands else -1, group)


def _mean(values: Array, weights: Array) -> Array:
    """Return the weighted mean (W,); NaN for a resample without anyone of the group."""
    with np.errstate(invalid="ignore"):
        result: Array = (weights @ values) / weights.sum(1)
    return result


def _share(estimate: Iterable[float]) -> list[float]:
    """Limit a share and the ends of its interval."""
    return [limited(value) for value in estimate]


def _bounds(name: str, values: Array, sizes: Sequence[int]) -> dict[str, object]:
    value, low, high = interval(values, int(min(sizes)))
    if name != "gap":
        value, low, high = _share((value, low, high))
    if min(sizes) < LEAST_PEOPLE:
        low = high = math.nan
    ends = {name: value, f"{name}_low": low, f"{name}_high": high}
    return {key: number if math.isfinite(number) else None for key, number in ends.items()}


def people(project: Project, results: Results) -> Section | None:
    """Return the results by person, class and subgroup; None without a labelled test window."""
    table = person_table(results.predictions, subjects_of(project, results))
    if table.is_empty():
        return None
    n_resamples = project.section(RobustnessParams).bootstrap
    weights = subject_weights(table.height, n_resamples)
    accuracy = table["balanced_accuracy"].to_numpy()
    worst = Estimate(*_share(interval(worst_quarter(accuracy, weights), table.height)))
    everyone = Estimate(*_share(interval(_mean(accuracy, weights), table.height)))
    n_worst = math.ceil(WORST_SHARE * table.height)
    by_class = class_table(results.predictions, results.meta["classes"], n_resamples)
    groups = group_table(table, n_resamples)
    blocks: list[Block] = [
        Figure(
            chart("people", people_charts.people(table, n_worst, _chance(results)), data=table),
            caption=f"Balanced accuracy of every test person, from the worst to the best, with all "
            f"sensors. The dashed line is chance; the worst quarter, "
            f"{counted(n_worst, 'person', 'people')}, is marked.",
            alt=f"The worst quarter has a mean of {_percent(worst)}, all people "
            f"{_percent(everyone)}.",
        ),
        Tabular(
            Table(
                ["people", "mean balanced accuracy, %"],
                [
                    Row("all", [_cell(everyone)]),
                    Row(f"worst quarter ({n_worst})", [_cell(worst)]),
                ],
            ),
            "Mean over people, each counting the same, with 95 % intervals by resampling people.",
        ),
        Tabular(
            _class_rows(by_class),
            "Results by class, per cent, pooled over all test people; intervals by resampling "
            "people.",
        ),
    ]
    linked = set(people_with_pages(results))
    if linked:
        pages = [
            (link(name), f"{100 * value:.1f}", n_windows)
            for name, value, n_windows in table.select(
                "subject", "balanced_accuracy", "windows"
            ).iter_rows()
            if name in linked
        ]
        heads = ("page", "balanced accuracy, %", "windows")
        blocks.append(Listing("A page for each person, from the worst result on", heads, pages))
    return Section(
        "people",
        "Results by person",
        (
            "A mean hides the people on which a model works worst. Every person was predicted by "
            "networks that were trained on others. The predictions of the seeds are averaged, as "
            "by 'consilience predict'; the accuracy in the heading is the mean over the seeds.",
        ),
        (*blocks, *_group_blocks(groups)),
    )


def _group_blocks(groups: pl.DataFrame) -> list[Block]:
    if groups.is_empty():
        return [
            Note(
                "Subgroups: the dataset states no sex, age, site or device of its people. "
                "They are read from participants.tsv or from columns of the manifest."
            )
        ]
    figure = people_charts.groups(groups, ATTRIBUTES)
    return [
        Figure(
            chart("subgroup-gaps", figure, data=groups),
            caption="Difference in balanced accuracy of each subgroup to all other people "
            "of the same attribute, percentage points. An interval that excludes 0 indicates a "
            "difference; with many subgroups, one in twenty excludes it by chance.",
            alt="A point left of 0 means that the model works less well for this subgroup.",
        ),
        Tabular(
            Table(
                ["subgroup", "people", "balanced accuracy, %", "difference, points"],
                [
                    Row(
                        f"{ATTRIBUTES[row['attribute']]}: {row['group']}",
                        [
                            Cell(str(row["people"])),
                            _cell(_estimate(row, "balanced_accuracy")),
                            _cell(_estimate(row, "gap")),
                        ],
                    )
                    for row in groups.iter_rows(named=True)
                ],
            ),
            f"Subgroups. Every person counts the same; with fewer than {LEAST_PEOPLE} people on a "
            "side no interval is stated.",
        ),
    ]


def _class_rows(by_class: pl.DataFrame) -> Table:
    measures = ("recall", "precision", "f1")
    return Table(
        ["class", "windows", "people", "recall, %", "precision, %", "F1, %"],
        [
            Row(
                readable(row["class"]),
                [
                    Cell(str(row["windows"])),
                    Cell(str(row["people"])),
                    *(_cell(_estimate(row, measure)) for measure in measures),
                ],
            )
            for row in by_class.iter_rows(named=True)
        ],
    )


def _estimate(row: dict[str, float | None], name: str) -> Estimate:
    ends = (row[name], row[f"{name}_low"], row[f"{name}_high"])
    return Estimate(*(math.nan if value is None else value for value in ends))


def _cell(estimate: Estimate) -> Cell:
    if not math.isfinite(estimate.value):
        return Cell(ABSENT)
    interval_text = ""
    if math.isfinite(estimate.low):
        interval_text = f"{100 * estimate.low:.0f} to {100 * estimate.high:.0f}".replace("-", "−")
    return Cell(f"{100 * estimate.value:.1f}".replace("-", "−"), interval_text)


def _percent(estimate: Estimate) -> str:
    return f"{100 * estimate.value:.1f} %"


def _chance(results: Results) -> float:
    return 1 / len(results.meta["classes"])

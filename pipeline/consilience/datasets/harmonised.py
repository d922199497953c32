"""Annotations of a whole dataset with one name per class, and ratings on one scale.

What is changed, left out or implausible is appended to a list of problems: where, what, remedy.
"""

from __future__ import annotations

import math

import polars as pl

from consilience.datasets.tables import RATINGS, SPELLING, spelling
from consilience.readers.text_table import Problem
from consilience.schema.constants import SELF_REPORT

MOST_LISTED = 5  # labels or annotators named in a problem
LEAST_RATINGS = 5  # of an annotator, below which their signs do not show the scale
LEAST_VALUES = 3  # different ones, as before
LEAST_SHARED = 6  # spans that two annotators rated, below which chance can oppose them
OPPOSED = -0.8  # correlation
MOST_COMPARED = 20  # annotators whose pairs are compared


def harmonised(
    annotations: pl.DataFrame, classes: tuple[str, ...], name: str, problems: list[Problem]
) -> pl.DataFrame:
    """Return annotations with one name per class, without annotators on another scale.

    Labels that differ in case or spaces only become one class: the declared one, or else the most
    frequent spelling. A rating outside -1 to 1 shows another scale, on which the same annotator's
    ratings inside mean something else as well: none of that target is returned.

    Parameters
    ----------
    annotations : polars.DataFrame
        Table `Annotations`.
    classes : tuple of str
        Declared classes; empty without a declaration.
    name : str
        The file or files, for the problems.
    problems : list of (where, what, remedy)
        What was changed or left out is appended, and what looks like another scale.
    """
    table = _in_scale(_one_spelling(annotations, classes, name, problems), name, problems)
    rated = table.filter(pl.col("target").is_in(RATINGS))
    _report_positive(rated, name, problems)
    _report_opposed(rated, name, problems)
    return table


def _one_spelling(
    table: pl.DataFrame, classes: tuple[str, ...], name: str, problems: list[Problem]
) -> pl.DataFrame:
    """Return annotations with one spelling of each class; report the others."""
    counts = (
        table.drop_nulls("label")
        .group_by("label")
        .len()
        .with_columns(SPELLING.alias("spelling"), declared=pl.col("label").is_in(list(classes)))
        # Of equally frequent ones the last in the order of characters, which is lower case.
        .sort("declared", "len", "label", descending=True)
    )
    # A declared class need not occur in its own spelling.
    declared = {spelling(label): label for label in classes}
    renamed: dict[str, str] = {}
    for (key,), group in counts.group_by("spelling", maintain_order=True):
        labels = group["label"].to_list()
        chosen = declared.get(str(key), labels[0])
        others = [label for label in labels if label != chosen]
        if others:
            what = f"labels differ in case or spaces only: {_listed([chosen, *others])}"
            problems.append((name, what, f"write one spelling; all are read as '{chosen}'"))
            renamed |= dict.fromkeys(others, chosen)
    return table.with_columns(pl.col("label").replace(renamed)) if renamed else table


def _in_scale(table: pl.DataFrame, name: str, problems: list[Problem]) -> pl.DataFrame:
    """Return annotations without the targets of annotators who use another scale."""
    outside = ~pl.col("value").is_between(-1, 1)
    group = ("annotator", "target")
    others = (
        table.filter(pl.col("target").is_in(RATINGS))
        .group_by(group)
        .agg(
            outside.sum().alias("n_outside"),
            pl.len(),
            pl.col("value", "session", "start_s").filter(outside).first(),
        )
        .filter(pl.col("n_outside") > 0)
        .sort(group)
    )
    for annotator, target, n_outside, n, value, session, start_s in others.rows():
        what = (
            f"{n_outside} of {n} ratings of {target} by annotator '{annotator}' are outside -1 to "
            f"1, such as {value:g} in session {session} at {start_s:g} s"
        )
        remedy = "rescale all of them, (v - 5) / 4 for a scale of 1 to 9; none is used"
        problems.append((name, what, remedy))
    return table.join(others.select(group), on=group, how="anti", maintain_order="left")


def _report_positive(rated: pl.DataFrame, name: str, problems: list[Problem]) -> None:
    """Report the annotators whose ratings look like those of a scale from 0 to 1."""
    value = pl.col("value")
    positive = (
        rated.group_by("target", "annotator")
        .agg(pl.len(), value.n_unique().alias("different"), value.min().alias("low"))
        .filter(
            pl.col("len") >= LEAST_RATINGS,
            pl.col("different") >= LEAST_VALUES,
            pl.col("low") >= 0,
        )
        .sort("target", "annotator")
    )
    for (target,), group in positive.group_by("target", maintain_order=True):
        who = _listed(group["annotator"].to_list())
        what = f"all ratings of {target} by {who} are between 0 and 1: is 0 the lowest possible?"
        remedy = "if so, rescale by 2 v - 1; they are used as they are"
        problems.append((name, what, remedy))


def _report_opposed(rated: pl.DataFrame, name: str, problems: list[Problem]) -> None:
    """Report pairs of observers whose ratings of the same spans are opposed."""
    observed = rated.filter(~pl.col("annotator").str.starts_with(SELF_REPORT))
    if observed["annotator"].n_unique() > MOST_COMPARED:
        return
    span = ("target", "session", "start_s", "end_s")
    pairs = (
        observed.join(observed, on=span, suffix="_2")
        .filter(pl.col("annotator") < pl.col("annotator_2"))
        .group_by("target", "annotator", "annotator_2")
        .agg(pl.len(), pl.corr("value", "value_2").alias("correlation"))
        .filter(pl.col("len") >= LEAST_SHARED)
        .sort("target", "annotator", "annotator_2")
    )
    for target, first, second, n, correlation in pairs.rows():
        if correlation is not None and not math.isnan(correlation) and correlation <= OPPOSED:
            what = (
                f"ratings of {target} by '{first}' and '{second}' are opposed: "
                f"correlation {correlation:.2f} over {n} spans"
            )
            remedy = "check whether one has the scale turned round; a minority has no weight"
            problems.append((name, what, remedy))


def _listed(names: list[str]) -> str:
    first = ", ".join(f"'{name}'" for name in names[:MOST_LISTED])
    return first + (f" and {len(names) - MOST_LISTED} more" if len(names) > MOST_LISTED else "")

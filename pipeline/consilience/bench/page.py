"""The results of a bench as one self-contained HTML page."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import polars as pl

from consilience.core.wording import counted
from consilience.reporting.charts import corpora as charts
from consilience.reporting.charts.style import method_colours
from consilience.reporting.figure import Chart, chart
from consilience.reporting.page import framed
from consilience.reporting.tables import Cell, Row, Table
from consilience.reporting.words import ABSENT, percent, points, readable

Record = Mapping[str, Any]
Records = Mapping[str, Record]

GRID_PARTS = {
    "subsets": "missing",
    "noise": "corrupted",
    "mismatch": "mismatched",
    "grid": "grid",
    "grid_ece": "calibration error",
}
LEADS = {"all": "all sensors", "grid": "grid"}


def render(content: Record) -> str:
    """Return the content of ``bench.json`` as HTML; the same content gives the same bytes."""
    corpora: Records = content["corpora"]
    evaluated = {name: record for name, record in corpora.items() if "methods" in record}
    methods = list(dict.fromkeys(name for each in evaluated.values() for name in each["methods"]))
    return framed(
        "bench.html.j2",
        f"{counted(len(corpora), 'corpus', 'corpora')}",
        code=content["code"],
        n_corpora=len(corpora),
        n_evaluated=len(evaluated),
        methods=methods,
        comparisons=comparisons(evaluated),
        colours=method_colours(methods[1:], methods[0]) if methods else {},
        all=accuracy_chart("all", evaluated, methods),
        grid=accuracy_chart("grid", evaluated, methods),
        tables={name: figures(name, evaluated, methods) for name in ("all", "grid", "ece")},
        leads=leads(evaluated),
        parts=grid_parts(evaluated),
        sizes=sizes(evaluated),
        open=not_evaluated(corpora),
        left_out=list(content["left_out"].items()),
    )


def figures(figure: str, corpora: Records, methods: list[str]) -> Table:
    """Return a figure in per cent with its interval, a row per corpus and a column per method.

    The best value of each row is marked.
    """
    best = min if figure.endswith("ece") else max
    rows = []
    for name, record in corpora.items():
        values = [record["methods"].get(method, {}) for method in methods]
        present = [each[figure] for each in values if each.get(figure) is not None]
        cells = [_share(each, figure, best(present) if present else None) for each in values]
        chance = [] if best is min else [Cell(f"{100 * record['chance']:.1f}")]
        rows.append(Row(name, [*cells, *chance]))
    columns = ["corpus", *map(readable, methods), *([] if best is min else ["chance"])]
    return Table(columns, rows)


def _share(values: Mapping[str, float], figure: str, best: float | None) -> Cell:
    value = values.get(figure)
    if value is None:
        return Cell(ABSENT)
    low, high = (values.get(f"{figure}{end}") for end in ("_low", "_high"))
    interval = ""
    if low is not None and high is not None:
        # Intervals over few people are widened, at times beyond what a share can be.
        interval = f"{100 * max(low, 0.0):.0f}–{100 * min(high, 1.0):.0f}"
    return Cell(f"{100 * value:.1f}", interval, is_best=value == best)


def leads(corpora: Records) -> Table:
    """Return the reference method less each other, in points with the 95 % interval."""
    others = list(dict.fromkeys(name for each in corpora.values() for name in each["leads"]))
    columns = [(figure, other) for figure in LEADS for other in others]
    rows = []
    for name, record in corpora.items():
        cells = [_lead(record["leads"].get(other, {}), figure) for figure, other in columns]
        rows.append(Row(f"{name}: {readable(record['reference'])}", cells))
    titles = [f"{LEADS[figure]}, less {readable(other)}" for figure, other in columns]
    return Table(["corpus: reference", *titles], rows)


def _lead(values: Mapping[str, float], figure: str) -> Cell:
    if values.get(figure) is None:
        return Cell(ABSENT)
    low, high = (values[f"{figure}{end}"] for end in ("_low", "_high"))
    return Cell(points(values[figure]), f"{points(low)} to {points(high)}")


def comparisons(corpora: Records) -> list[str]:
    """Return for each other method in how many corpora the reference method is ahead or behind.

    It is ahead or behind where the interval of the difference excludes 0.
    """
    lines = []
    others = dict.fromkeys(name for each in corpora.values() for name in each["leads"])
    for other in others:
        for figure, title in LEADS.items():
            compared = [
                (each["reference"], lead)
                for each in corpora.values()
                if f"{figure}_low" in (lead := each["leads"].get(other, {}))
            ]
            if not compared:
                continue
            ahead = sum(lead[f"{figure}_low"] > 0 for _, lead in compared)
            behind = sum(lead[f"{figure}_high"] < 0 for _, lead in compared)
            names = " or ".join(dict.fromkeys(readable(name) for name, _ in compared))
            lines.append(
                f"{title}, {names} compared with {readable(other)}: ahead in {ahead}, behind in "
                f"{behind} of {len(compared)} corpora"
            )
    return lines


def grid_parts(corpora: Records) -> Table:
    """Return the parts of the grid, a row per corpus and method, in per cent."""
    rows = [
        Row(f"{corpus}: {readable(method)}", [_share(values, name, None) for name in GRID_PARTS])
        for corpus, record in corpora.items()
        for method, values in record["methods"].items()
    ]
    return Table(["corpus: method", *GRID_PARTS.values()], rows)


def sizes(corpora: Records) -> list[tuple[Any, ...]]:
    """Return dataset, people, windows, sensors, classes, chance and code of each corpus."""
    return [
        (
            name,
            record["settings"]["dataset"],
            record["people"],
            record["windows"],
            ", ".join(map(readable, record["sensors"])),
            ", ".join(map(readable, record["classes"])),
            percent(record["chance"]),
            record["code"],
        )
        for name, record in corpora.items()
    ]


def not_evaluated(corpora: Records) -> list[tuple[str, str, str]]:
    """Return name, dataset and state or reason of each corpus without figures."""
    return [
        (name, record["settings"]["dataset"], record.get("reason") or record["state"])
        for name, record in corpora.items()
        if "methods" not in record
    ]


def accuracy_chart(figure: str, corpora: Records, methods: list[str]) -> Chart | None:
    """Return the chart of a figure by corpus; None if no corpus has it."""
    rows = [
        {
            "corpus": name,
            "method": method,
            "balanced_accuracy": values[figure],
            "low": values[f"{figure}_low"],
            "high": values[f"{figure}_high"],
        }
        for name, record in corpora.items()
        for method, values in record["methods"].items()
        if f"{figure}_low" in values
    ]
    if not rows:
        return None
    # The y axis points upwards: reversed, the first corpus is at the top.
    chance = {name: record["chance"] for name, record in reversed(list(corpora.items()))}
    colours, table = method_colours(methods[1:], methods[0]), pl.DataFrame(rows)
    return chart(f"accuracy-{figure}", charts.accuracy(table, colours, chance), table)

"""Figures and sections of a page, from which the templates draw, number and caption them."""

from __future__ import annotations

import io
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import plotly.graph_objects as go
import polars as pl
from markupsafe import Markup

from consilience.reporting.tables import Table

EMPTY = Markup("")
SIGNIFICANT_DIGITS = 6  # of a CSV's numbers: more than a figure can show
NAMED_SERIES = 8  # in the text that stands for a figure
# Properties of a trace with a value per point, beside its coordinates, and the columns they become.
PER_POINT = {"text": "text", "customdata": "count"}


@dataclass(frozen=True)
class Chart:
    """A drawing as the templates need it.

    Attributes
    ----------
    name : str
        Unique in the page: ``chart-<name>`` is its anchor, and its files bear the name.
    height : int
        In pixels; the width follows the page.
    json : Markup
        Plotly's JSON; empty if `svg` is the drawing.
    svg : Markup
        A drawing that needs no script; empty if `json` is the drawing.
    csv : str
        The values that the drawing shows.
    description : str
        What a reader without the drawing needs: kind, axes with their ranges, series.
    has_menu : bool
        Whether a list in the drawing chooses what it shows.
    """

    name: str
    height: int
    json: Markup
    svg: Markup = EMPTY
    csv: str = ""
    description: str = ""
    has_menu: bool = False


@dataclass(frozen=True)
class Figure:
    """A chart with its caption and its alternative text.

    Attributes
    ----------
    chart : Chart
    caption : str
        What is shown, in one sentence or more; the page puts the number before it.
    alt : str
        What a reader without the drawing should learn from it; the chart's description follows.
    legend : mapping of str to str
        Colour by name; empty for none.
    mark : str
        Shape of the legend's marks: ``circle`` (methods), ``diamond`` (sensors), ``square``
        (classes) or ``line`` (quantities).
    """

    chart: Chart
    caption: str
    alt: str = ""
    legend: Mapping[str, str] = field(default_factory=dict)
    mark: str = "circle"
    kind: str = "figure"


@dataclass(frozen=True)
class Grid:
    """Figures side by side, as many as the width has room for."""

    figures: tuple[Figure, ...]
    kind: str = "grid"


@dataclass(frozen=True)
class Tabular:
    """A table with its caption."""

    table: Table
    caption: str
    kind: str = "table"


@dataclass(frozen=True)
class Listing:
    """Rows of text, folded if there are many."""

    caption: str
    heads: tuple[str, ...]
    rows: Sequence[Sequence[Any]]
    kind: str = "listing"


@dataclass(frozen=True)
class Note:
    """A paragraph between the figures, or a heading if `is_heading`."""

    text: str
    is_heading: bool = False
    kind: str = "note"


Block = Figure | Grid | Tabular | Listing | Note


@dataclass(frozen=True)
class Section:
    """A section of a page.

    Attributes
    ----------
    name : str
        Its anchor, unique in the page: letters, digits and hyphens.
    title : str
        The heading.
    intro : tuple of str
        Paragraphs below the heading. Terms of the glossary become links by themselves.
    blocks : tuple of Block
        From top to bottom.
    """

    name: str
    title: str
    intro: tuple[str, ...] = ()
    blocks: tuple[Block, ...] = ()


def chart(name: str, figure: go.Figure, data: pl.DataFrame | None = None) -> Chart:
    """Return a plotly figure as JSON that may stand inside a script element.

    Parameters
    ----------
    name : str
        Unique in the page.
    figure : plotly.graph_objects.Figure
        With a height; see `consilience.reporting.charts.style.figure`.
    data : polars.DataFrame or None
        What the CSV holds; None for the coordinates of the traces.
    """
    # A "<" inside JSON can only be part of a string, where its escape means the same; without
    # it, a recording's name "</script>" would end the element.
    text = figure.to_json().replace("<", "\\u003c")
    return Chart(
        name,
        int(figure.layout.height),
        Markup(text),
        csv=csv_text(traced(figure) if data is None else data),
        description=described(figure),
        has_menu=bool(figure.layout.updatemenus),
    )


def drawing(name: str, svg: str, data: pl.DataFrame, description: str = "") -> Chart:
    """Return an SVG element, written by this package, as a chart.

    Parameters
    ----------
    name : str
        Unique in the page.
    svg : str
        One element with a ``viewBox`` and without scripts or references outside itself. Its text
        takes the page's colour from ``fill="currentColor"``.
    data : polars.DataFrame
        What the CSV holds.
    description : str
        Kind, axes and series, as `described` returns for a plotly figure.
    """
    return Chart(name, 0, EMPTY, Markup(svg), csv_text(data), description)


def csv_text(table: pl.DataFrame) -> str:
    """Return a table as CSV; lists are joined with spaces, numbers rounded to 6 digits."""
    columns = []
    for column in table.get_columns():
        if isinstance(column.dtype, pl.List | pl.Array):
            columns.append(column.cast(pl.List(pl.String)).list.join(" "))
        elif column.dtype.is_float():
            columns.append(column.round_sig_figs(SIGNIFICANT_DIGITS))
        else:
            columns.append(column)
    text = io.StringIO()
    pl.DataFrame(columns).write_csv(text)
    return text.getvalue()


def traced(figure: go.Figure) -> pl.DataFrame:
    """Return the coordinates of a plotly figure's traces, a row per point or cell.

    Traces without hover text are left out: they are decoration, such as a diagonal, or an area
    between two curves.
    """
    rows: list[dict[str, Any]] = []
    for trace in drawn_traces(figure):
        rows += _cells(trace) if trace["type"] == "heatmap" else _points(trace)
    table = pl.DataFrame(rows, infer_schema_length=None, strict=False)
    names = {"x": _title(figure.layout.xaxis, "x"), "y": _title(figure.layout.yaxis, "y")}
    names = {key: name for key, name in names.items() if key in table.columns}
    others = {*table.columns} - {*names}
    is_unique = len({*names.values()} - others) == len(names)
    return table.rename(names) if is_unique else table


def drawn_traces(figure: go.Figure) -> list[dict[str, Any]]:
    """Return the traces of a figure that are not decoration, as plain dicts."""
    traces = [trace.to_plotly_json() for trace in figure.data]
    return [trace for trace in traces if trace.get("hoverinfo") != "skip"]


def _points(trace: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the points of a trace of coordinates."""
    places = {"x": "x", "y": "y", **PER_POINT}
    columns: dict[str, Sequence[Any]] = {
        column: trace[name]
        for name, column in places.items()
        if isinstance(trace.get(name), list | tuple)
    }
    error = trace.get("error_x") or {}
    above: Any = error.get("array")
    below: Any = error.get("arrayminus", above)
    for number in range(len(next(iter(columns.values()), ()))):
        row = {"series": trace["name"]} if trace.get("name") else {}
        row |= {column: values[number] for column, values in columns.items()}
        if above is not None and None not in (row["x"], above[number], below[number]):
            row |= {"low": row["x"] - below[number], "high": row["x"] + above[number]}
        yield row


def _cells(trace: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the cells of a matrix that have a value."""
    texts = trace.get("text")
    for row, values in enumerate(trace["z"]):
        for column, value in enumerate(values):
            if value is not None:
                text = {"text": texts[row][column]} if isinstance(texts, list | tuple) else {}
                yield {"y": trace["y"][row], "x": trace["x"][column], "value": value} | text


def _title(axis: Any, default: str) -> str:
    return axis.title.text or default


def described(figure: go.Figure) -> str:
    """Return the axes of a plotly figure with their ranges, and its series, in one sentence."""
    parts = []
    for letter in "xy":
        title = _title(figure.layout[f"{letter}axis"], "")
        extent = _extent(figure, letter)
        if title or extent:
            name = f"{'horizontal' if letter == 'x' else 'vertical'} axis"
            parts.append(" ".join(filter(None, (f"{name}:", title, extent))))
    series = list(dict.fromkeys(trace.name for trace in figure.data if trace.name))
    if series:
        n_others = len(series) - NAMED_SERIES
        listed = ", ".join(series[:NAMED_SERIES]) + (
            f" and {n_others} more" if n_others > 0 else ""
        )
        parts.append(f"series: {listed}")
    return "; ".join(parts) + "." if parts else ""


def _extent(figure: go.Figure, letter: str) -> str:
    """Return the range of an axis's values in words; empty for names."""
    values = [
        value
        for trace in drawn_traces(figure)
        for value in trace.get(letter) or ()
        if isinstance(value, int | float) and math.isfinite(value)
    ]
    if not values or figure.layout[f"{letter}axis"].ticktext:
        return ""
    return f"from {min(values):.3g} to {max(values):.3g}"

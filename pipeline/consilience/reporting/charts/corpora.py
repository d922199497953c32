"""Chart of the accuracy on several corpora."""

from __future__ import annotations

from collections.abc import Mapping

import plotly.graph_objects as go
import polars as pl

from consilience.reporting.charts.robustness import accuracy_by_row
from consilience.reporting.charts.style import GREY, Colours


def accuracy(table: pl.DataFrame, colours: Colours, chance: Mapping[str, float]) -> go.Figure:
    """Show balanced accuracy with its 95 % interval by corpus and method, and each chance level.

    Parameters
    ----------
    table : polars.DataFrame
        ``corpus``, ``method``, ``balanced_accuracy``, ``low``, ``high``.
    colours : mapping of method to colour
    chance : mapping of corpus to float
        All corpora, in the order of the rows from the bottom.
    """
    figure = accuracy_by_row(table, "corpus", dict(zip(chance, chance, strict=True)), colours, None)
    # Shares of the same range in every chart of a page: the charts are compared.
    figure.update_xaxes(range=(0, 1.02))
    for row, level in enumerate(chance.values()):
        # A level of its own for each corpus, which differ in the number of classes.
        figure.add_shape(
            type="line",
            x0=level,
            x1=level,
            y0=row - 0.45,
            y1=row + 0.45,
            line={"dash": "dot", "color": GREY, "width": 1},
        )
    return figure

from __future__ import annotations

import polars as pl

from consilience.reporting.charts.corpora import accuracy


def test_every_corpus_has_a_row_and_its_chance_level() -> None:
    rows = [
        {"corpus": name, "method": method, "balanced_accuracy": 0.7, "low": 0.6, "high": 0.8}
        for name in ("one", "two")
        for method in ("concat", "hybrid")
    ]
    colours = {"concat": "#000000", "hybrid": "#ffffff"}
    figure = accuracy(pl.DataFrame(rows), colours, {"two": 0.25, "one": 0.5})
    assert len(figure.data) == 2
    assert list(figure.layout.yaxis.ticktext) == ["two", "one"]
    lines = [
        (shape.x0, shape.y0 < row < shape.y1) for row, shape in enumerate(figure.layout.shapes)
    ]
    assert lines == [(0.25, True), (0.5, True)]

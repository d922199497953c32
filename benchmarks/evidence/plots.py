"""The figures of the pages, as SVG whose bytes depend on the results alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

from benchmarks.evidence.claims import CORPORA, THREE, TWO
from benchmarks.evidence.results import METHOD, Outcome, Results
from consilience.evaluation.aggregate import ConditionIndex

# Distinguishable with colour vision deficiencies (Okabe & Ito 2008).
COLOURS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#999999")
PLOTTED = (METHOD, "hybrid", "gated_hybrid", "hybrid_corrupted", "late_fusion")


def draw(results: Results, folder: Path) -> list[str]:
    """Draw every figure for which there are results; return the files' names."""
    mpl.rcParams.update({"svg.hashsalt": "consilience", "font.size": 8, "svg.fonttype": "none"})
    figures = {f"severity_{name}": severity(results.of(name)) for name in CORPORA}
    figures["curve_symmetric"] = curve(results)
    figures |= {f"reliability_{name}": reliability(results.of(name)) for name in (TWO, THREE)}
    figures |= {f"risk_{name}": risk(results.of(name)) for name in (TWO, THREE)}
    drawn = {name: figure for name, figure in figures.items() if figure is not None}
    for name, figure in drawn.items():
        figure.savefig(folder / f"{name}.svg", metadata={"Date": None}, bbox_inches="tight")
    return [f"{name}.svg" for name in drawn]


def severity(outcomes: Mapping[str, Outcome]) -> Figure | None:
    """Draw accuracy over severity: a row per sensor, a panel per kind of corruption."""
    plotted = _plotted(outcomes)
    if not plotted:
        return None
    first = next(iter(plotted.values())).pooled
    index = ConditionIndex(first.conditions, first.modalities)
    kinds = {
        name: [kind for modality, kind in index.kinds if modality == name]
        for name in first.modalities
    }
    columns = max(map(len, kinds.values()))
    figure = Figure(figsize=(1.7 * columns, 1.7 * len(kinds)))
    panels = figure.subplots(len(kinds), columns, sharey=True, squeeze=False)
    for row, (sensor, of_sensor) in zip(panels, kinds.items(), strict=True):
        for panel in row[len(of_sensor) :]:
            panel.set_axis_off()
        for panel, kind in zip(row, of_sensor, strict=False):
            steps = [index.full, *index.kinds[sensor, kind]]
            levels = [first.conditions[step].severity for step in steps]
            for (name, outcome), style in zip(plotted.items(), _styles(), strict=False):
                accuracy = outcome.pooled.scores["balanced_accuracy"][0, steps]
                panel.plot(levels, accuracy, label=name, **style)
            panel.set_title(f"{sensor}: {kind}", fontsize=7)
    _legend(figure, panels[0, 0])
    return figure


Point = tuple[str, float, float]  # entry, x, balanced accuracy with all sensors


def noise_curve(results: Results) -> list[Point]:
    """Return accuracy with all sensors over the rate of symmetric label noise.

    Of RAVDESS with two sensors; the clean experiment gives the first point.
    """
    points = []
    for name, outcomes in results.outcomes.items():
        experiment = results.experiment(name)
        scenario = experiment.scenario
        if experiment.sensors != results.experiment(TWO).sensors or scenario.random_split:
            continue  # another corpus, or the control that leaks
        if scenario.noise in ("none", "symmetric"):
            points += [(key, scenario.rate, o.estimate("all")[0]) for key, o in outcomes.items()]
    return points


def curve(results: Results) -> Figure | None:
    """Draw `noise_curve` of every entry with at least three points; None without any."""
    points = noise_curve(results)
    rates = {name: {x for key, x, _ in points if key == name} for name, *_ in points}
    names = [name for name, of_entry in rates.items() if len(of_entry) > 2]
    if not names:
        return None
    figure = Figure(figsize=(3.6, 2.8))
    panel = figure.subplots()
    ordered = [METHOD] * (METHOD in names) + [name for name in names if name != METHOD]
    for name, style in zip(ordered, _styles(), strict=False):
        of_entry = sorted((x, accuracy) for key, x, accuracy in points if key == name)
        panel.plot(*zip(*of_entry, strict=True), label=name, marker="o", ms=3, **style)
    panel.set_xlabel("share of wrong labels, symmetric")
    panel.set_ylabel("balanced accuracy, all sensors")
    panel.legend(frameon=False)
    return figure


def reliability(outcomes: Mapping[str, Outcome]) -> Figure | None:
    """Draw accuracy over confidence with all sensors, clean, and over all conditions."""
    plotted = _plotted(outcomes)
    if not plotted:
        return None
    figure = Figure(figsize=(5.6, 2.8))
    panels = figure.subplots(1, 2, sharey=True)
    for (name, outcome), style in zip(plotted.items(), _styles(), strict=False):
        bins = outcome.evaluated.sums["bins"]  # (C, Z, S, B, 3)
        for panel, of_panel in zip(panels, (bins[:1], bins), strict=True):
            count, confidence, right = np.moveaxis(of_panel.sum((0, 1, 2)), -1, 0)
            filled = count > 0
            panel.plot(
                confidence[filled] / count[filled],
                right[filled] / count[filled],
                label=name,
                **style,
            )
    for panel, title in zip(panels, ("all sensors, clean", "all conditions"), strict=True):
        panel.plot([0, 1], [0, 1], color="black", lw=0.6, ls=":")
        panel.set_title(title)
        panel.set_xlabel("confidence")
    panels[0].set_ylabel("accuracy")
    _legend(figure, panels[0])
    return figure


def risk(outcomes: Mapping[str, Outcome]) -> Figure | None:
    """Draw the error rate of the most confident windows over their share."""
    plotted = _plotted(outcomes)
    if not plotted:
        return None
    figure = Figure(figsize=(3.6, 2.8))
    panel = figure.subplots()
    for (name, outcome), style in zip(plotted.items(), _styles(), strict=False):
        counts = outcome.evaluated.sums["ranking"][0].sum((0, 1))  # (G, 2)
        n, right = np.cumsum(counts, 0).T
        full = n > 0
        panel.plot(n[full] / n[-1], 1 - right[full] / n[full], label=name, **style)
    panel.set_xlabel("coverage")
    panel.set_ylabel("error rate, all sensors")
    _legend(figure, panel)
    return figure


def _plotted(outcomes: Mapping[str, Outcome]) -> dict[str, Outcome]:
    return {name: outcomes[name] for name in PLOTTED if name in outcomes}


def _styles() -> Sequence[dict[str, Any]]:
    return [{"color": colour, "lw": 2 if n == 0 else 1} for n, colour in enumerate(COLOURS)]


def _legend(figure: Figure, panel: Any) -> None:
    figure.legend(
        *panel.get_legend_handles_labels(),
        loc="lower center",
        bbox_to_anchor=(0.5, 1.0),
        ncols=len(PLOTTED),
        frameon=False,
    )
    figure.tight_layout()

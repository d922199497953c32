"""The page of the simulated campaigns, with a figure for each corpus."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

from consilience.core.files import write_bytes

if TYPE_CHECKING:
    from benchmarks.annotation.campaign import Campaigns, Curve

MARGIN = 0.02  # below the accuracy with clean labels that a campaign is to reach
SHARE = 0.6  # of the budget of random that is the goal
OWN, RANDOM = "coherence", "random"
TITLES = {"wrong": "40 % wrong labels", "hidden": "90 % hidden labels"}
# Distinguishable with colour vision deficiencies (Okabe & Ito 2008).
COLOURS = {
    "coherence": "#0072B2",
    "entropy": "#E69F00",
    "margin": "#009E73",
    "bald": "#CC79A7",
    "coreset": "#56B4E9",
    "badge": "#D55E00",
    "confident_learning": "#8C6D31",
    "random": "#777777",
}


def budget_to_reach(curve: Curve, goal: float) -> float | None:
    """Return the least budget at which the mean accuracy over seeds reaches a goal.

    Interpolated between the budgets of the rounds; None if no round reaches it.
    """
    mean = curve.accuracy.mean(0)
    reached = np.flatnonzero(mean >= goal)
    if not len(reached):
        return None
    after = int(reached[0])
    if not after:
        return float(curve.budget[0])
    low, high = mean[after - 1], mean[after]
    fraction = (goal - low) / (high - low)
    return float(
        curve.budget[after - 1] + fraction * (curve.budget[after] - curve.budget[after - 1])
    )


def ratio_to_random(campaigns: Campaigns, scenario: str) -> float | None:
    """Return the budget of the coherence score as a share of that of random; None if neither."""
    goal = campaigns.clean.mean() - MARGIN
    coherence, random = (
        budget_to_reach(campaigns.curves[scenario, name], goal) for name in (OWN, RANDOM)
    )
    if coherence is None or not random:
        return None
    return coherence / random


def verdict(campaigns: Campaigns, scenario: str) -> str:
    """Return one sentence: whether the goal is reached."""
    goal = campaigns.clean.mean() - MARGIN
    coherence, random = (
        budget_to_reach(campaigns.curves[scenario, name], goal) for name in (OWN, RANDOM)
    )
    place, reached = f"{campaigns.name}, {TITLES[scenario]}", f"{100 * goal:.1f} %"
    if random == 0:
        return f"{place}: the goal of {reached} is reached without any annotation."
    if coherence is None:
        return f"{place}: coherence does **not** reach the goal of {reached}."
    of_coherence = f"coherence reaches {reached} with {100 * coherence:.0f} % of the annotations"
    if random is None:
        return f"{place}: {of_coherence}, random never."
    share = coherence / random
    word = "reached" if share <= SHARE else "**not** reached"
    return (
        f"{place}: {of_coherence}, random with {100 * random:.0f} %. That is {100 * share:.0f} % "
        f"of the budget of random: the goal of {100 * SHARE:.0f} % is {word}."
    )


def table(campaigns: Campaigns, scenario: str) -> list[str]:
    """Return the rows of the table of one scenario, as Markdown."""
    curves = {name: curve for (of, name), curve in campaigns.curves.items() if of == scenario}
    budget = next(iter(curves.values())).budget
    columns = [int(place) for place in np.linspace(0, len(budget) - 1, 6).round()]
    goal = campaigns.clean.mean() - MARGIN
    heads = [f"{100 * budget[place]:.0f} %" for place in columns]
    rows = [
        f"| strategy | {' | '.join(heads)} | mean over budgets | budget to the goal |",
        "|---|" + "---|" * (len(columns) + 2),
    ]
    for name, curve in curves.items():
        mean, spread = 100 * curve.accuracy.mean(0), 100 * curve.accuracy.std(0, ddof=1)
        cells = [f"{mean[place]:.1f} ± {spread[place]:.1f}" for place in columns]
        reached = budget_to_reach(curve, goal)
        to_goal = "not reached" if reached is None else f"{100 * reached:.0f} %"
        area = float(np.trapezoid(mean, curve.budget))
        rows.append(f"| {name} | {' | '.join(cells)} | {area:.1f} | {to_goal} |")
    return rows


def draw(campaigns: Campaigns) -> Figure:
    """Draw accuracy against budget: a panel for each scenario, a curve for each strategy."""
    mpl.rcParams.update({"svg.hashsalt": "consilience", "font.size": 8, "svg.fonttype": "none"})
    scenarios = list(dict.fromkeys(scenario for scenario, _ in campaigns.curves))
    figure = Figure(figsize=(7.2, 3.2))
    panels = figure.subplots(1, len(scenarios), sharey=True, squeeze=False)[0]
    for panel, scenario in zip(panels, scenarios, strict=True):
        for (of, name), curve in campaigns.curves.items():
            if of == scenario:
                width, dashes = 2.0 if name == OWN else 1.0, "--" if name == RANDOM else "-"
                mean = 100 * curve.accuracy.mean(0)
                panel.plot(
                    100 * curve.budget, mean, color=COLOURS[name], label=name, lw=width, ls=dashes
                )
        panel.axhline(100 * (campaigns.clean.mean() - MARGIN), color="black", linewidth=0.6)
        panel.set_title(TITLES[scenario], fontsize=8)
        panel.set_xlabel("annotated trials, %")
    panels[0].set_ylabel("balanced accuracy, %")
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=4)
    figure.set_layout_engine("constrained")
    return figure


def write_page(results: Sequence[Campaigns], docs: Path) -> None:
    """Write ``campaign.md`` and ``campaign/<corpus>.svg`` into the folder of the documentation."""
    text = [INTRODUCTION]
    text += [f"- {verdict(r, s)}" for r in results for s in _scenarios(r)]
    text += ["", METHOD]
    for campaigns in results:
        folder = docs / "campaign"
        folder.mkdir(exist_ok=True)
        file = folder / f"{campaigns.name}.svg"
        draw(campaigns).savefig(file, metadata={"Date": None}, bbox_inches="tight")
        text += [
            f"## {campaigns.name}",
            "",
            f"{campaigns.n_windows} windows of {campaigns.n_trials} trials and "
            f"{campaigns.n_people} people; {100 * campaigns.clean.mean():.1f} % with all labels "
            "right.",
            *_not_run(campaigns),
            "",
            f"![Accuracy against annotations: {campaigns.name}](campaign/{campaigns.name}.svg)",
            "",
        ]
        for scenario in _scenarios(campaigns):
            text += [f"### {TITLES[scenario]}", "", *table(campaigns, scenario), ""]
    write_bytes(docs / "campaign.md", ("\n".join(text).rstrip() + "\n").encode())


def _scenarios(campaigns: Campaigns) -> list[str]:
    return list(dict.fromkeys(scenario for scenario, _ in campaigns.curves))


def _not_run(campaigns: Campaigns) -> list[str]:
    """Return a line on what was left out."""
    n_all = len(TITLES) * len(COLOURS)
    if len(campaigns.curves) == n_all:
        return []
    listed = ", ".join(f"{name} ({TITLES[of]})" for of, name in campaigns.curves)
    return [f"Only {len(campaigns.curves)} of {n_all} campaigns were run: {listed}."]


INTRODUCTION = """\
# Simulated annotation campaigns

    python -m benchmarks.annotation.campaign demo=data/windows

Further arguments are other corpora, such as `ravdess=FOLDER/data/windows:voice_embedding,face_au`.
Labels of people in training are made wrong or hidden; a strategy of [re-annotation](annotation.md)
orders trials, an annotator without errors names their classes, and the models are trained again.
The goal: the accuracy with clean labels less 2 points, with at most 60 % of the annotations that a
random order needs.
"""
METHOD = """\
Balanced accuracy on people held out (four folds of people), mean ± standard deviation over 5 seeds,
which draw folds, wrong or hidden labels and ties. Budgets are shares of the training trials without
a right label that is certain: all trials where labels are wrong, the unlabelled ones where they are
hidden. All strategies have the same linear models of each sensor, ten batches and the same limits.
Predictions by which windows are ordered come from models without the window's person. The line in
each figure is the goal.
"""

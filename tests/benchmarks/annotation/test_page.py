from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmarks.annotation.campaign import STRATEGIES, Campaigns, Curve
from benchmarks.annotation.page import budget_to_reach, ratio_to_random, verdict, write_page

BUDGET = np.linspace(0, 1, 5)


def curve(*accuracy: float) -> Curve:
    values = np.array(accuracy)
    return Curve(BUDGET, np.stack([values - 0.01, values + 0.01]))


def results(own: Curve, random: Curve) -> Campaigns:
    curves = {("wrong", name): random for name in STRATEGIES} | {("wrong", "coherence"): own}
    return Campaigns("small", 10, 5, 2, np.array([0.82, 0.82]), curves)


SLOW, FAST = curve(0.4, 0.5, 0.6, 0.7, 0.8), curve(0.4, 0.6, 0.8, 0.8, 0.82)


def test_the_budget_to_a_goal_is_interpolated() -> None:
    assert budget_to_reach(SLOW, 0.65) == pytest.approx(0.625)
    assert budget_to_reach(SLOW, 0.3) == 0
    assert budget_to_reach(SLOW, 0.9) is None


@pytest.mark.parametrize(
    ("own", "random", "words"),
    [
        (FAST, SLOW, "50 % of the budget of random: the goal of 60 % is reached."),
        (SLOW, SLOW, "100 % of the budget of random: the goal of 60 % is **not** reached."),
        (curve(*[0.4] * 5), SLOW, "does **not** reach"),
        (FAST, curve(*[0.4] * 5), "random never"),
        (FAST, curve(*[0.9] * 5), "without any annotation"),
    ],
)
def test_the_page_states_whether_the_goal_is_reached(own: Curve, random: Curve, words: str) -> None:
    assert words in verdict(results(own, random), "wrong")


def test_the_ratio_is_that_of_the_budgets() -> None:
    assert ratio_to_random(results(FAST, SLOW), "wrong") == pytest.approx(0.5)


def test_the_page_has_a_table_and_a_figure_and_is_reproducible(tmp_path: Path) -> None:
    write_page([results(FAST, SLOW)], tmp_path)
    page, figure = tmp_path / "campaign.md", tmp_path / "campaign/small.svg"
    text, drawn = page.read_text(), figure.read_bytes()
    assert all(f"| {name} |" in text for name in STRATEGIES)
    assert "![Accuracy against annotations: small](campaign/small.svg)" in text
    write_page([results(FAST, SLOW)], tmp_path)
    assert (page.read_text(), figure.read_bytes()) == (text, drawn)

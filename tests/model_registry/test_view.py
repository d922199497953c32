"""Tables of decisions and versions fit a terminal of 80 columns."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table

from consilience.model_registry.comparison import ALL, ECE, QUARTER, SUBSET, Row
from consilience.model_registry.decision import Decision
from consilience.model_registry.index import Version
from consilience.model_registry.view import decision_table, verdict_line, versions_table

ROWS = tuple(
    Row(name, 0.5, 0.6, -0.1, -0.2, -0.05, 0.02, "not worse")
    for name in (ALL, SUBSET, QUARTER, ECE)
)
BLOCKED = Decision(False, "coherence_transfer", "0" * 64, "v0001", ("line",), ROWS, 8, 99, 1)


def printed(table: Table) -> str:
    console = Console(width=80)
    with console.capture() as capture:
        console.print(table)
    return capture.get()


def test_a_decision_is_whole_in_80_columns() -> None:
    text = printed(decision_table(BLOCKED))
    assert "…" not in text
    assert "worst quarter" in text
    assert "-0.100" in text
    assert verdict_line(BLOCKED) == "blocked: coherence_transfer against v0001"


def test_versions_are_whole_in_80_columns() -> None:
    version = Version(
        name="v0001",
        time="2026-11-30T19:43:59Z",
        method="coherence_transfer",
        model_sha256="0" * 64,
        files={"bundle/card.json": "0" * 64},
        metrics={"all": [0.87, 0.8, 0.9]},
        n_people=8,
        n_windows=99,
        decision={},
    )
    text = printed(versions_table([version], {"v0001": "current"}))
    assert "…" not in text
    assert "0.870" in text
    assert "current" in text

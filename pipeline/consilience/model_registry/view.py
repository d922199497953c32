"""Decisions of the gate and accepted versions as tables for people."""

from __future__ import annotations

from collections.abc import Sequence

from rich import box
from rich.table import Table

from consilience.core.errors import ConsilienceError
from consilience.model_registry import registry
from consilience.model_registry.comparison import WORSE
from consilience.model_registry.decision import Decision
from consilience.model_registry.index import Version
from consilience.project import Project

CURRENT, DAMAGED = "current", "damaged"


def verdict_line(decision: Decision) -> str:
    """Return the decision in one line."""
    verdict = "accepted" if decision.accepted else "blocked"
    against = f" against {decision.against}" if decision.against else ""
    return f"{verdict}: {decision.method}{against}"


def decision_table(decision: Decision) -> Table:
    """Return the compared figures, one row each."""
    table = Table(
        title=f"{decision.method.replace('_', ' ')} against {decision.against}: "
        f"{decision.n_people} people, {decision.n_windows} windows",
        caption="balanced accuracy with all sensors, with the worst subset of them and of the "
        f"worst quarter of people; {decision.confidence:.0%} intervals over people; "
        f"{decision.n_left_out} people of the study without a common window",
        box=box.SIMPLE,
        pad_edge=False,
        collapse_padding=True,
    )
    table.add_column("figure", no_wrap=True)
    for name in ("trained", "accepted", "change", "low", "high"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("verdict", no_wrap=True)
    for row in decision.rows:
        table.add_row(
            row.figure,
            f"{row.candidate:.3f}",
            f"{row.accepted:.3f}",
            *(f"{value:+.3f}" for value in (row.difference, row.low, row.high)),
            row.verdict,
            style="bold" if row.verdict == WORSE else "",
        )
    return table


def states(project: Project) -> dict[str, str]:
    """Return the state of every version: ``current``, ``damaged``, both or neither."""
    current = registry.current(project)
    result = {}
    for version in registry.versions(project):
        parts = [CURRENT] if current and version.name == current.name else []
        try:
            registry.verify(project, version)
        except ConsilienceError:
            parts.append(DAMAGED)
        result[version.name] = ", ".join(parts)
    return result


def versions_table(versions: Sequence[Version], state: dict[str, str]) -> Table:
    """Return the accepted versions, one row each.

    Parameters
    ----------
    versions : sequence of Version
    state : dict of str to str
        By name of the version, of `states`.
    """
    table = Table(
        title="Accepted models",
        caption="balanced accuracy with all sensors and calibration error, on people held out",
        box=box.SIMPLE,
        pad_edge=False,
        collapse_padding=True,
    )
    for name in ("version", "time", "method"):
        table.add_column(name, no_wrap=True)
    for name in ("accuracy", "ECE", "people"):
        table.add_column(name, justify="right", min_width=len(name))
    table.add_column("")
    for version in versions:
        table.add_row(
            version.name,
            version.time[:16].replace("T", " "),
            version.method.replace("_", " "),
            _estimate(version, "all"),
            _estimate(version, "ece"),
            str(version.n_people),
            state[version.name],
        )
    return table


def _estimate(version: Version, name: str) -> str:
    value = version.metrics.get(name, [None])[0]
    return "-" if value is None else f"{value:.3f}"

"""Recordings whose sensors contradict each other: ``consilience check --coherence``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import polars as pl
from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from consilience.core.errors import ConsilienceError
from consilience.project import Project
from consilience.schema.tables import RecordingCoherence, read_table

RECORDINGS = "recordings.parquet"  # in the folder of the evaluation
CONTRADICTORY = 0.5  # probability of a mismatch above which it is more probable than none
NONE = "–"
MAX_LINES = 40  # printed; the JSON file contains all


class Contradiction(NamedTuple):
    """A session whose sensors contradict each other.

    Attributes
    ----------
    session, subject : str
    windows : int
        Largest number of windows in which a sensor can be compared.
    probability : float
        That one of the sensors is mismatched.
    sensors : list of str
        The mismatched sensor, or all candidates; empty if a mismatch is improbable.
    shifts_s : dict of str to float
        Shift by which a sensor agrees with the others, positive if it is late. Of several sensors,
        any may be the shifted one: of two, each is late relative to the other.
    """

    session: str
    subject: str
    windows: int
    probability: float
    sensors: list[str]
    shifts_s: dict[str, float]

    def suspects(self, title: Callable[[str], str] = str) -> str:
        """Return the mismatched sensor, or all candidates, named by `title`."""
        return " or ".join(map(title, self.sensors)) or NONE

    def shifts(self, title: Callable[[str], str] = str) -> str:
        """Return the shifts in words; of several, each explains the others."""
        return (
            " or ".join(
                f"{title(sensor)} {abs(shift_s):g} s {'late' if shift_s > 0 else 'early'}"
                for sensor, shift_s in self.shifts_s.items()
            )
            or NONE
        )


def contradictions(table: pl.DataFrame) -> list[Contradiction]:
    """Return the sessions with a probable mismatch or a shift, the most probable mismatch first.

    Parameters
    ----------
    table : polars.DataFrame
        `RecordingCoherence`.
    """
    listed = [
        _contradiction(str(session), group)
        for (session,), group in table.group_by("session", maintain_order=True)
    ]
    return sorted(
        (item for item in listed if item.sensors or item.shifts_s),
        key=lambda item: -item.probability,
    )


def _contradiction(session: str, group: pl.DataFrame) -> Contradiction:
    probability = float(group["probability"].sum())
    named = group.filter("named")
    candidates = named if named.height else group
    shifted = group.drop_nulls("shift_s").sort("shift_gain", descending=True, maintain_order=True)
    return Contradiction(
        session,
        group["subject"][0],
        int(group["windows"].max()),  # type: ignore[arg-type]
        probability,
        candidates["sensor"].to_list() if probability > CONTRADICTORY else [],
        dict(shifted.select("sensor", "shift_s").iter_rows()),
    )


def agreement_per_window(table: pl.DataFrame) -> dict[str, float]:
    """Return the mean LLR of a window by sensor, nats: near 0, its mismatches cannot be seen."""
    sums = table.group_by("sensor", maintain_order=True).agg(
        (pl.col("llr").sum() / pl.col("windows").sum()).alias("mean")
    )
    return dict(sums.iter_rows())


def load(project: Project) -> pl.DataFrame:
    """Read the `RecordingCoherence` of a project.

    Raises
    ------
    ConsilienceError
        If the project is not evaluated.
    """
    path = project.evaluation / RECORDINGS
    if not path.is_file():
        raise ConsilienceError("not evaluated yet", str(path), "run 'dvc repro'")
    return read_table(path, RecordingCoherence)


def as_json(table: pl.DataFrame) -> dict[str, Any]:
    """Return the contradictions and the complete table as nested dicts and lists."""
    return {
        "contradictions": [item._asdict() for item in contradictions(table)],
        "agreement_per_window_nats": agreement_per_window(table),
        "recordings": table.to_dicts(),
    }


def show(table: pl.DataFrame, console: Console) -> None:
    """Print the contradictions, and how well each sensor can be checked."""
    listed = contradictions(table)
    console.print(
        f"[bold]coherence[/bold]: {len(listed)} of {table['session'].n_unique()} recordings "
        "with sensors that contradict each other",
        soft_wrap=True,
    )
    if listed:
        console.print(_rows(listed[:MAX_LINES]))
    if len(listed) > MAX_LINES:
        console.print(f"  and {len(listed) - MAX_LINES} more: --json FILE contains all")
    per_window = agreement_per_window(table)
    if per_window:
        values = ", ".join(f"{name} {value:.2f}" for name, value in per_window.items())
        console.print(
            f"agreement with the other sensors, nats per window: {escape(values)}; the nearer to "
            "0, the more windows are needed to see a mismatch",
            soft_wrap=True,
            highlight=False,
        )


def _rows(listed: list[Contradiction]) -> Table:
    rows = Table(box=box.SIMPLE, pad_edge=False)
    for name in ("recording", "subject", "windows", "mismatched", "probability", "or shifted"):
        rows.add_column(name, justify="right" if name in ("windows", "probability") else "left")
    for item in listed:
        cells = (item.session, item.subject, str(item.windows), item.suspects())
        texts = (*cells, f"{item.probability:.3f}", item.shifts())
        rows.add_row(*map(escape, texts))
    return rows

"""Numbers, differences and tables as Markdown text."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from consilience.evaluation.resampling import Paired


def number(value: float, digits: int = 3) -> str:
    """Return a number without its leading zero; a dash for NaN."""
    if not np.isfinite(value):
        return "–"
    text = f"{value:.{digits}f}"
    return text.replace("0.", ".", 1) if text.lstrip("-").startswith("0.") else text


def bounded(values: Sequence[float], digits: int = 3) -> str:
    """Return an estimate with its interval."""
    return f"{number(values[0], digits)} [{number(values[1], digits)}, {number(values[2], digits)}]"


def signed(value: float, digits: int = 3) -> str:
    """Return a difference with its sign."""
    return ("+" if value >= 0 else "−") + number(abs(value), digits)


def difference(pair: Paired, other: str, p: float | None = None) -> str:
    """Return a difference with its interval, the other entry's name and, if given, the p value."""
    sign = "+" if pair.difference >= 0 else ""
    text = f"{sign}{bounded(pair[:3])} against {other.replace('_', ' ')}"
    return text if p is None else f"{text}, {probability(p)}"


def probability(p: float) -> str:
    """Return a p value."""
    return "p < .001" if p < 0.001 else f"p {number(p)}"


def table(heading: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table."""
    lines = [heading, ["---"] * len(heading), *rows]
    return "\n".join(
        "| " + " | ".join(cell.replace("|", "/") for cell in row) + " |" for row in lines
    )


def anchor(heading: str) -> str:
    """Return the link that GitHub gives a heading."""
    letters = "".join(letter for letter in heading.lower() if letter.isalnum() or letter in " -")
    return letters.replace(" ", "-")

"""Words of messages that depend on a number."""

from __future__ import annotations

from collections.abc import Sequence

MAX_LINES = 50  # of one kind: a run with thousands would bury the rest and fill the server's log


def counted(number: int, noun: str, plural: str = "") -> str:
    """Return a number with its noun: ``1 finding``, ``2 findings``.

    Parameters
    ----------
    number : int
    noun : str
        Singular, with the verb if there is one: ``"row is"``.
    plural : str
        By default the noun with an *s*.
    """
    return f"{number} {noun if number == 1 else plural or f'{noun}s'}"


def first_lines(lines: Sequence[str], where: str, limit: int | None = MAX_LINES) -> list[str]:
    """Return the first lines of a list, and one with the number of the others and their place.

    Parameters
    ----------
    lines : sequence of str
    where : str
        Place of the complete list: ``"in the report"``.
    limit : int or None
        Lines that are kept; None for all.
    """
    if limit is None or len(lines) <= limit:
        return list(lines)
    return [*lines[:limit], f"  and {len(lines) - limit} more, {where}"]

"""Words of messages that depend on a number."""

from __future__ import annotations


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

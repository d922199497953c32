"""Mutated parameter files and cards: each is accepted, or refused in one line."""

from __future__ import annotations

import random
import tempfile
from collections.abc import Callable
from pathlib import Path

from consilience.core.errors import ConsilienceError

HOSTILE = ("../../x", "$(id)", "; id", "\x1b[2J", "é" * 300, "-1", "1e999", "null", "[]", "{", "\0")


def mutated(text: str, chance: random.Random) -> str:
    """Return a text with one line removed, repeated, cut, or with a hostile value or word."""
    lines = text.splitlines()
    place = chance.randrange(len(lines))
    line = lines[place]
    kind = chance.randrange(5)
    if kind == 0:
        del lines[place]
    elif kind == 1:
        lines.insert(place, line)
    elif kind == 2:
        return "\n".join(lines[:place]) + "\n" + line[: chance.randrange(len(line) + 1)]
    elif kind == 3:
        lines[place] = line.partition(":")[0] + ": " + chance.choice(HOSTILE)
    else:
        start = chance.randrange(len(line) + 1)
        lines[place] = line[:start] + chance.choice(HOSTILE) + line[start:]
    return "\n".join(lines) + "\n"


def refusals(text: str, read: Callable[[Path], object], number: int, seed: int) -> list[str]:
    """Return the messages about `number` mutations of a text; empty for an accepted one.

    Parameters
    ----------
    text : str
        A valid file.
    read : callable
        Reads a file, and raises `ConsilienceError` if it is not valid.
    number : int
    seed : int

    Raises
    ------
    Exception
        Whatever else `read` raises: each is a fault of the program.
    """
    chance = random.Random(seed)
    messages = []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "file"
        for _ in range(number):
            path.write_text(mutated(text, chance))
            try:
                read(path)
                messages.append("")
            except ConsilienceError as error:
                messages.append(str(error))
    return messages

"""Names and numbers as the report writes them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

ACRONYMS = {"eeg", "ecg", "eda", "emg", "au"}
ABSENT = "–"


def readable(name: str) -> str:
    """Return an identifier in words: ``face_au`` becomes ``face AU``."""
    return " ".join(word.upper() if word in ACRONYMS else word for word in name.split("_"))


def readable_verdict(verdict: str) -> str:
    """Return a verdict with its sensor in words: ``failing sensor: EEG``."""
    kind, colon, sensor = verdict.partition(": ")
    return f"{kind}{colon}{readable(sensor)}"


def readable_text(text: str, names: Iterable[str]) -> str:
    """Return a sentence with identifiers in words: ``but eeg calm`` becomes ``but EEG calm``."""
    listed = "|".join(map(re.escape, names))
    return re.sub(rf"(?<!\w)(?:{listed})(?!\w)", lambda m: readable(m[0]), text)


def enumerated(names: Sequence[str]) -> str:
    """Join names to ``a``, ``a and b`` or ``a, b and c``."""
    return names[0] if len(names) == 1 else ", ".join(names[:-1]) + " and " + names[-1]


def percent(share: float | None) -> str:
    """Return a share as per cent with one decimal and a no-break space, or a dash for None."""
    return ABSENT if share is None else f"{100 * share:.1f}\u00a0%"


def points(difference: float) -> str:
    """Return a difference of shares in percentage points, always signed, with a true minus."""
    return f"{100 * difference:+.1f}".replace("-", "−")


def decimal(value: float | None) -> str:
    """Return a number with three decimals, or a dash for None."""
    return ABSENT if value is None else f"{value:.3f}"


def brief(value: Any) -> str:
    """Return a number with three significant digits, all of a large one, and a true minus."""
    if value is None:
        return ABSENT
    text = f"{value:.0f}" if abs(value) >= 1000 else f"{value:.3g}"
    return text.replace("-", "−")

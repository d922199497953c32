"""Spellings of physical units in the headers of recordings, resolved to a quantity and a factor.

Recorders write a microvolt as ``uV``, ``UV``, ``microV``, ``µV`` in several encodings, or ``.V``
where the sign was lost. A spelling that is not known for certain is not resolved: a default
factor would make values wrong by orders of magnitude.
"""

from __future__ import annotations

import re
import unicodedata
from contextlib import suppress
from functools import lru_cache
from typing import Final, NamedTuple

VOLTAGE: Final = "voltage"
CONDUCTANCE: Final = "conductance"
RESISTANCE: Final = "resistance"

MICRO: Final = 1e-6

# After compatibility normalisation, which maps the micro sign to the Greek letter.
_MICRO = ("u", "μ", "micro", "mikro", "mc", "mk", "mu", "\\mu")
# What remains of a micro sign that an ASCII program replaced, or that was read in code page 437.
_LOST_MICRO = (".", "?", "_", "\ufffd", "æ")
_PREFIXES: Final = {
    **dict.fromkeys(("",), 1.0),
    **dict.fromkeys(("n", "nano"), 1e-9),
    **dict.fromkeys(_MICRO, MICRO),
    **dict.fromkeys(("m", "milli"), 1e-3),
}
_COMMENT = re.compile(r"\s*[(\[][^)\]]*[)\]]?$|[_ ]raw$|\.+$", re.IGNORECASE)  # "uV (raw)", "uV."
_BLANK = ("", "n/a", "na", "none", "unknown", "-", "a.u", "au", "arb", "arb.u", "arbitrary")
_BRACKETS = re.compile(r"^[(\[](.*)[)\]]$")  # "[uV]"


class Unit(NamedTuple):
    """A resolved unit.

    Attributes
    ----------
    quantity : str
        ``"voltage"``, ``"conductance"`` or ``"resistance"``.
    factor : float
        Volts, siemens or ohms per unit.
    """

    quantity: str
    factor: float


def resolve_unit(spelling: str) -> Unit | None:
    """Return the quantity and the factor to the SI unit of a spelling; None if it is not known.

    Parameters
    ----------
    spelling : str
        As a header states it, for example ``"uV"``, ``"ÂµV"`` or ``"kOhm"``.
    """
    text = _normalised(spelling)
    return _EXACT.get(text) or _FOLDED.get(text.casefold())


def is_blank(spelling: str) -> bool:
    """Return whether a header states no unit, or an arbitrary one."""
    return _normalised(spelling).casefold() in _BLANK


@lru_cache(maxsize=256)  # streams are read every few seconds
def _normalised(spelling: str) -> str:
    text = _repaired(spelling.replace("\0", " ").strip())
    text = unicodedata.normalize("NFKC", text)
    text = _BRACKETS.sub(r"\1", text)
    text = _COMMENT.sub("", text)
    return re.sub(r"(?<=\w)[\s-]+(?=\w)", "", text).strip()


def _repaired(text: str) -> str:
    """Return a text as written, if its UTF-8 or Shift JIS bytes were read as Latin-1."""
    with suppress(UnicodeError):  # not bytes, or not of UTF-8
        text = text.encode("latin-1").decode("utf-8")
    return text.replace("\x83\xca", "μ")


def _table(quantity: str, prefixes: dict[str, float], names: tuple[str, ...]) -> dict[str, Unit]:
    return {
        prefix + name: Unit(quantity, factor)
        for prefix, factor in prefixes.items()
        for name in names
    }


# Regardless of case. Milliohms do not occur in the body, and "mohm" could stand for megohms.
_FOLDED: Final = {
    **_table(VOLTAGE, _PREFIXES, ("v", "volt", "volts")),
    **_table(VOLTAGE, dict.fromkeys(_LOST_MICRO, MICRO), ("v",)),
    **_table(CONDUCTANCE, _PREFIXES, ("siemens", "mho", "mhos")),
    **_table(
        RESISTANCE,
        {"": 1.0, "k": 1e3, "kilo": 1e3, "meg": 1e6, "mega": 1e6},
        ("ohm", "ohms", "ω"),
    ),
}
# In this case alone: "s" is a second, and "ms" a millisecond.
_EXACT: Final = {
    **_table(CONDUCTANCE, {**_PREFIXES, "U": MICRO, "Micro": MICRO}, ("S",)),
    **_table(CONDUCTANCE, dict.fromkeys(_LOST_MICRO, MICRO), ("S",)),
    **_table(RESISTANCE, {"M": 1e6}, ("ohm", "ohms", "Ohm", "Ohms", "Ω")),
}

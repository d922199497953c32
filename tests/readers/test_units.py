"""Spellings of units: the right factor, or none."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from consilience.readers.units import (
    CONDUCTANCE,
    RESISTANCE,
    VOLTAGE,
    Unit,
    is_blank,
    resolve_unit,
)

PREFIXES = {
    1.0: ("",),
    1e-9: ("n", "nano"),
    1e-6: ("u", "µ", "μ", "micro", "mikro", "Micro "),
    1e-3: ("m", "milli"),
}
SPELLINGS = [
    (prefix + name, Unit(VOLTAGE, factor))
    for factor, prefixes in PREFIXES.items()
    for prefix in prefixes
    for name in ("V", "volt", "volts", "Volts")
] + [
    *[(text, Unit(VOLTAGE, 1e-6)) for text in (".V", "?V", "\ufffdV", "\x83\xcaV", "æV", "\\muV")],
    *[(text, Unit(CONDUCTANCE, 1e-6)) for text in ("uS", "µS", "US", "microsiemens", "umho")],
    *[(text, Unit(CONDUCTANCE, 1e-3)) for text in ("mS", "millisiemens")],
    *[(text, Unit(RESISTANCE, 1e3)) for text in ("kOhm", "kohm", "KOHMS", "kΩ", "k\u2126")],
    *[(text, Unit(RESISTANCE, 1e6)) for text in ("MOhm", "MΩ", "megaohm")],
]
DAMAGE = {
    "as written": lambda text: text,
    "padded": lambda text: f" {text}\0\0",
    "commented": lambda text: f"{text} (raw)",
    "bracketed": lambda text: f"[{text}]",
    "abbreviated": lambda text: f"{text}.",
    "UTF-8 read as Latin-1": lambda text: text.encode().decode("latin-1"),
}


@settings(max_examples=50)
@given(st.sampled_from(SPELLINGS), st.sampled_from(sorted(DAMAGE)))
def test_a_spelling_resolves_to_its_factor(spelling: tuple[str, Unit], damage: str) -> None:
    text, unit = spelling
    assert resolve_unit(DAMAGE[damage](text)) == unit


@settings(max_examples=50)
@given(st.sampled_from(SPELLINGS), st.sampled_from("µμumnkMGp^/*0123456789bitrms "), st.booleans())
def test_a_spelling_with_another_character_never_gets_the_factor_of_another_quantity(
    spelling: tuple[str, Unit], other: str, before: bool
) -> None:
    text, unit = spelling
    resolved = resolve_unit(other + text if before else text + other)
    assert resolved is None or resolved.quantity == unit.quantity


@pytest.mark.parametrize("case", [str.upper, str.lower, str.title])
def test_case_does_not_matter_for_voltages(case) -> None:
    assert resolve_unit(case("uv")) == resolve_unit(case("microvolts")) == Unit(VOLTAGE, 1e-6)


@pytest.mark.parametrize(
    "text", ["", "foo", "uV/bit", "uV^2", "10uV", "pV", "ms", "us", "s", "mohm", "Boolean", "%"]
)
def test_other_spellings_are_not_resolved(text: str) -> None:
    assert resolve_unit(text) is None


def test_blank_units_differ_from_unknown_ones() -> None:
    assert [is_blank(text) for text in ("", "  ", "\0\0", "n/a", "a.u.", "foo")] == [True] * 5 + [
        False
    ]

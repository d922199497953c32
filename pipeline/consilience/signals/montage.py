"""Electrode positions of the international 10-20 system and its extensions, by name."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from types import MappingProxyType

# MNE-Python's montage "colin27_1020", in its order; stated here because importing MNE is slow.
_ROWS = """
    Fp1 Fpz Fp2 AF9 AF7 AF5 AF3 AF1 AFz AF2 AF4 AF6 AF8 AF10
    F9 F7 F5 F3 F1 Fz F2 F4 F6 F8 F10 FT9 FT7 FC5 FC3 FC1 FCz FC2 FC4 FC6 FT8 FT10
    T9 T7 C5 C3 C1 Cz C2 C4 C6 T8 T10 TP9 TP7 CP5 CP3 CP1 CPz CP2 CP4 CP6 TP8 TP10
    P9 P7 P5 P3 P1 Pz P2 P4 P6 P8 P10 PO9 PO7 PO5 PO3 PO1 POz PO2 PO4 PO6 PO8 PO10
    O1 Oz O2 O9 Iz O10 T3 T5 T4 T6 M1 M2 A1 A2
"""
POSITIONS = tuple(_ROWS.split())
OLD_NAMES = {"T3": "T7", "T4": "T8", "T5": "P7", "T6": "P8"}
_STANDARD = {name.casefold(): name for name in POSITIONS} | {
    old.casefold(): new for old, new in OLD_NAMES.items()
}
# Of OpenBCI's channels, in their order: those of its headset (Ultracortex) and of its program.
OPENBCI = (
    *("Fp1", "Fp2", "C3", "C4", "P7", "P8", "O1", "O2"),
    *("F7", "F8", "F3", "F4", "T7", "T8", "P3", "P4"),
)
_EXG = re.compile(r"EXG Channel (\d{1,2})", re.IGNORECASE)
# What recorders and exporters add to a position's name: "EEG Fp1-REF", "POL Fp1", "Fp1 (uV)",
# "EEG.Fp1", "RAW_TP9", "Cz..", "C3-A1A2". A suffix that is itself a scalp position, as in
# "Fp1-F7", makes another signal and is not among them.
_PREFIX = re.compile(r"^(EEG\s*[ ._:-]?\s*|(POL|RAW)\s*[ ._:-]\s*)", re.IGNORECASE)
_UNIT = re.compile(r"\s*[(\[][^)\]]*[)\]]?$|\.+$")
_EARS = r"[AM][12](\s*[+/]?\s*[AM][12])?"
_COMMON = r"V?REF[A-Z0-9]*|LE|CLE|AV[GE]?|AVERAGE|AR|CAR|ORG|LINKED[ _]?(EARS|MASTOIDS)?|GND"
_REFERENCE = re.compile(
    rf"\s*([ _:/\u2013-]\s*({_COMMON}|\(?{_EARS}\)?(/2)?)|{_EARS})$", re.IGNORECASE
)
_BETWEEN_EARS = re.compile(rf"[AM][12]\s*[ _:/\u2013-]?\s*{_EARS}", re.IGNORECASE)
# Electrodes of BioSemi's caps, which are numbered from A1 to A32 and on to B1: A1 is not an ear.
_NUMBERED = re.compile(r"(EEG[ -]?)?[AB]([3-9]|[12][0-9]|3[0-2])", re.IGNORECASE)


NO_ALIASES: Mapping[str, str] = MappingProxyType({})


def standard_name(name: str) -> str | None:
    """Return the standard name of the 10-20 position that a channel's name states, or None.

    Prefixes of the kind of signal, and suffixes of the unit or of a common reference are ignored.
    One ear against the other, ``A2-A1``, is a derivation without a position.
    """
    bare = _UNIT.sub("", _PREFIX.sub("", name.strip())).strip()
    if _BETWEEN_EARS.fullmatch(bare):
        return None
    return _STANDARD.get(bare.casefold()) or _STANDARD.get(_REFERENCE.sub("", bare).casefold())


def standard_names(names: Iterable[str], aliases: Mapping[str, str] = NO_ALIASES) -> dict[str, str]:
    """Return the channels that lie at a 10-20 position, with the position's standard name.

    Parameters
    ----------
    names : iterable of str
        Channel names as a file has them.
    aliases : mapping of str to str
        10-20 name by the file's name, regardless of case; it has priority.

    Returns
    -------
    dict of str to str
        Standard name by the file's name; of several channels at one position, the first. Without
        A1 and A2 where they are the first of a numbered cap.
    """
    names = list(names)
    numbered = any(_NUMBERED.fullmatch(name.strip()) for name in names)
    standard_of: dict[str, str] = {}
    for name in names:
        standard = _position(name, aliases)
        if numbered and standard in ("A1", "A2") and name not in aliases:
            continue
        if standard and standard not in standard_of.values():
            standard_of[name] = standard
    return standard_of


def duplicate_positions(
    names: Iterable[str], aliases: Mapping[str, str] = NO_ALIASES
) -> dict[str, list[str]]:
    """Return the channels of each position that has several, by its standard name."""
    channels: dict[str, list[str]] = {}
    for name in names:
        standard = _position(name, aliases)
        if standard:
            channels.setdefault(standard, []).append(name)
    return {standard: several for standard, several in channels.items() if len(several) > 1}


def openbci_positions(names: Iterable[str]) -> dict[str, str]:
    """Return the usual position of each anonymous channel of OpenBCI, by the channel's name."""
    numbers = {name: int(match[1]) for name in names if (match := _EXG.fullmatch(name))}
    return {name: OPENBCI[number] for name, number in numbers.items() if number < len(OPENBCI)}


def _position(name: str, aliases: Mapping[str, str]) -> str | None:
    by_alias = {alias.casefold(): standard for alias, standard in aliases.items()}
    return standard_name(by_alias.get(name.strip().casefold(), name))

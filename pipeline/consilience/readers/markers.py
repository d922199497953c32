"""Markers of a recording: codes on a trigger channel, and annotations.

A trigger channel holds an integer code, which rests at one value and changes for every marker.
Markers of different kinds have different codes; those for synchronisation are the most frequent,
unless the dataset names their code.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Hashable, Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from consilience.core.scratch import blocks
from consilience.core.wording import counted

Array = NDArray[np.float64]
Indices = NDArray[np.intp]
Kind = TypeVar("Kind", bound=Hashable)

# Higher bits of BioSemi's status channel are flags of the amplifier: start of an epoch, CMS in
# range, low battery.
CODE_BITS = 0xFFFF
UPPER_BYTE = 0xFF00
TRIGGERS = re.compile(r"^((trig(ger)?s?|markers?|events?|ttl|status)[ _]?\d*|sti.*)$", re.I)
SYNC = re.compile(r"(sync|trig|ttl|pulse)", re.IGNORECASE)  # start of an annotation
STIMULUS = re.compile(r"stimulus/", re.IGNORECASE)
NOISY = 0.05  # share of changes from sample to sample above which a channel is not a code
WHOLE = 0.1  # an integer code, after scaling, deviates less from a whole number


def code_events(line: Array) -> list[tuple[int, int]] | None:
    """Decode the markers of a trigger channel.

    Changes at consecutive samples are one: the lines of a code do not change at the same moment.

    Parameters
    ----------
    line : ndarray of float64, shape (n_samples,)

    Returns
    -------
    list of (int, int) or None
        Index of the first sample of each marker, and its code: the bits that differ from those
        at rest. None if the channel does not hold whole numbers, or is noisy.
    """
    codes = _codes(line)
    if codes is None:
        return None
    changes = np.flatnonzero(codes[1:] != codes[:-1]) + 1
    if len(changes) > NOISY * len(codes):
        return None
    codes ^= _resting_code(codes)
    runs = np.split(changes, np.flatnonzero(np.diff(changes) > 1) + 1)
    events = (_event(codes, run) for run in runs if len(run))
    return [event for event in events if event is not None]


def sync_onsets(line: Array, code: int | None = None) -> Indices:
    """Return the samples at which the synchronisation markers of a trigger channel begin.

    Parameters
    ----------
    line : ndarray of float64, shape (n_samples,)
    code : int, optional
        Code of the markers; the most frequent by default, several if equally frequent.
    """
    events = code_events(line)
    if events is None:
        return rising_edges(line)
    wanted = frequent([number for _, number in events]) if code is None else {code}
    return np.array([index for index, number in events if number in wanted], np.intp)


def sync_descriptions(descriptions: Sequence[str], code: int | None = None) -> set[str]:
    """Return which descriptions of annotations are those of synchronisation markers.

    Parameters
    ----------
    descriptions : sequence of str
        Of all annotations, with repetitions.
    code : int, optional
        The number in which they end; by default, those called sync, trigger, TTL or pulse, or
        else the most frequent stimulus.
    """
    if code is not None:
        return {text for text in descriptions if _number(text) == code}
    named = {text for text in descriptions if SYNC.match(text)}
    return named or frequent([text for text in descriptions if STIMULUS.match(text)])


def frequent(kinds: Sequence[Kind]) -> set[Kind]:
    """Return the most frequent value, or several that are equally frequent."""
    counts = Counter(kinds)
    most = max(counts.values(), default=0)
    return {kind for kind, count in counts.items() if count == most}


def describe_codes(channel: str, line: Array) -> list[str]:
    """Return a description of the codes of a trigger channel, if there are several."""
    counts = Counter(number for _, number in code_events(line) or ())
    if len(counts) < 2:
        return []
    listed = ", ".join(
        f"{number} ({counted(count, 'time')})" for number, count in counts.most_common(8)
    )
    used = ", ".join(str(number) for number in sorted(frequent(list(counts.elements())))[:8])
    return [f"{channel} has the codes {listed}; synchronisation uses {used}"]


def rising_edges(line: Array) -> Indices:
    """Return the indices at which a trigger channel, shape (n_samples,), rises above half."""
    # The median is the resting level: the channel rests most of the time, and not always at 0.
    rest, top = np.median(line), np.max(line)
    high = line > (rest + top) / 2
    return np.flatnonzero(high[1:] & ~high[:-1]) + 1


def _codes(line: Array) -> NDArray[np.uint16] | None:
    """Return the bits of the codes, block by block; None if a value is not a whole number."""
    codes = np.empty(len(line), np.uint16)
    for places in blocks(line):
        whole = np.rint(line[places])
        if not np.isfinite(whole).all() or (np.abs(line[places] - whole) > WHOLE).any():
            return None
        codes[places] = whole.astype(np.int64) & CODE_BITS
    return codes


def _resting_code(codes: NDArray[np.uint16]) -> int:
    """Return the code that holds most of the time; if none does, the bits of an idle upper byte."""
    values, counts = np.unique(codes, return_counts=True)
    if counts.max(initial=0) > len(codes) / 2:
        return int(values[np.argmax(counts)])
    # Codes of 8 bits, each held until the next: the lines of the upper byte are not connected.
    upper = np.unique(values & UPPER_BYTE)
    return int(upper[0]) if len(upper) == 1 else 0


def _event(codes: NDArray[np.uint16], run: Indices) -> tuple[int, int] | None:
    """Return the marker of a run of changes at consecutive samples; None if a marker ends."""
    before, settled = int(codes[run[0] - 1]), int(codes[run[-1]])
    if not settled and not before:  # a marker of a few samples
        settled = int(codes[run[0]])
    return (int(run[0]), settled) if settled and settled != before else None


def _number(text: str) -> int | None:
    digits = re.search(r"(\d+)\s*$", text)
    return int(digits[1]) if digits else None

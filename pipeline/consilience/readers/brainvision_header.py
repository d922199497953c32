"""Entries of BrainVision files that MNE-Python does not report: units, length and pauses.

Format: https://www.brainproducts.com/support-resources/brainvision-core-data-format-1-0/
"""

from __future__ import annotations

import itertools
import re
from datetime import datetime
from pathlib import Path

from consilience.readers.brainvision import companion, header_text
from consilience.readers.timeline import Gaps

MAX_OVERLAP_S = 1.0  # between segments, by the resolution of their dates
SEGMENT = re.compile(r"^Mk\d+=New Segment,[^,]*,(\d+),[^,]*,[^,]*(?:,(\d{14,20}))?", re.MULTILINE)
CHANNEL = re.compile(r"^Ch\d+=([^,\n]*),[^,\n]*(?:,[^,\n]*)?(?:,([^,\n]*))?", re.MULTILINE)


def channel_units(path: Path) -> dict[str, str]:
    """Return the unit of each channel of a header; microvolts, as the format prescribes, if none.

    MNE-Python replaces a unit that it does not recognise.
    """
    channels = CHANNEL.findall(header_text(path))
    return {name.replace(r"\1", ","): unit.strip() or "µV" for name, unit in channels}


def declared_samples(path: Path) -> int | None:
    """Return the samples per channel that a header declares; None if it declares none."""
    entry = re.search(r"^DataPoints=(\d+)\s*$", header_text(path), re.MULTILINE)
    return int(entry[1]) if entry else None


def samples_are_text(path: Path) -> bool:
    """Return whether a header declares samples in decimal numbers instead of binary ones."""
    return re.search(r"^DataFormat=ASCII\s*$", header_text(path), re.MULTILINE) is not None


def segment_gaps(path: Path, rate_hz: float) -> tuple[Gaps, list[str]]:
    """Return the pauses between the segments of a recording, from their dates.

    Parameters
    ----------
    path : Path
        The header.
    rate_hz : float

    Returns
    -------
    gaps : list of (int, float)
        Index of the first sample after each pause, and its duration in seconds.
    findings : list of str
        Segments whose dates do not state a pause.
    """
    markers = companion(path, "MarkerFile")
    text = header_text(markers) if markers else ""
    segments = [(int(mark[1]) - 1, _date_s(mark[2])) for mark in SEGMENT.finditer(text)]
    gaps, findings = [], []
    for (first, date_s), (second, next_s) in itertools.pairwise(sorted(segments, key=_position)):
        if date_s is None or next_s is None:
            findings.append(f"a pause of unknown duration at {second / rate_hz:.1f} s")
            continue
        pause_s = next_s - date_s - (second - first) / rate_hz
        if pause_s < -MAX_OVERLAP_S:
            findings.append(
                f"the segment at {second / rate_hz:.1f} s begins {-pause_s:.1f} s before "
                "the end of the previous one: its date is not used"
            )
        elif pause_s > 0.5 / rate_hz:
            gaps.append((second, pause_s))
    return gaps, findings


def _position(segment: tuple[int, float | None]) -> int:
    return segment[0]


def _date_s(digits: str | None) -> float | None:
    """Return a date, YYYYMMDDhhmmss and up to six digits of the second, in seconds."""
    if not digits:
        return None
    try:
        whole = datetime.strptime(digits[:14], "%Y%m%d%H%M%S")
    except ValueError:  # zeros, where the recorder states no date
        return None
    return (whole - datetime.min).total_seconds() + float(f"0.{digits[14:] or 0}")

"""Time stamps of a container that begin again: files joined byte by byte, and clocks set back."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from consilience.core.errors import RecordingError

Times = NDArray[np.float64]

BACK_S = 0.1  # a smaller step back is jitter of the stamps
AHEAD_S = 12 * 3600.0  # a larger step ahead is another clock, not a pause
AROUND = 3  # packets before and after, whose medians confirm a step


@dataclass
class Packets:
    """Time stamps of one stream's packets, in order of the file, in seconds."""

    dts_s: list[float] = field(default_factory=list)
    pts_s: list[float] = field(default_factory=list)
    durations_s: list[float] = field(default_factory=list)

    def add(self, dts_s: float, pts_s: float, duration_s: float) -> None:
        """Append a packet; NaN where the container states nothing."""
        self.dts_s.append(dts_s)
        self.pts_s.append(pts_s)
        self.durations_s.append(duration_s)

    def starts_s(self) -> Times:
        """Return the presentation time of each packet, shape (n_packets,)."""
        pts_s = np.array(self.pts_s)
        return np.where(np.isnan(pts_s), self.dts_s, pts_s)

    def ends_s(self) -> Times:
        """Return the end of each packet; its duration is the usual one if it is not stated."""
        durations_s = np.array(self.durations_s)
        usual_s = float(np.median(np.abs(np.diff(self.dts_s)))) if len(self.dts_s) > 1 else 0.0
        return self.starts_s() + np.where(durations_s > 0, durations_s, usual_s)


class Restarts(NamedTuple):
    """Packets at which the time stamps begin again.

    Attributes
    ----------
    first : dict of int to tuple of int
        By stream, the number of the first packet of each part but the first.
    offsets_s : tuple of float
        What is added to the stamps of each part but the first, so that it follows the part before.
    """

    first: Mapping[int, tuple[int, ...]]
    offsets_s: tuple[float, ...]

    def shifts_s(self, stream: int) -> Callable[[int], float] | None:
        """Return the function from a stream's packet number to its shift; None without any."""
        first = self.first.get(stream, ())
        if not first:
            return None
        return lambda number: (0.0, *self.offsets_s)[bisect_right(first, number)]

    def end_s(self, stream: int, packets: Packets) -> float:
        """Return when the last packet of a stream ends, on the clock of the first part."""
        last = self.first.get(stream, (0,))[-1]
        offset_s = self.offsets_s[-1] if self.offsets_s else 0.0
        return float(packets.ends_s()[last:].max()) + offset_s


NO_RESTARTS = Restarts({}, ())


def find_restarts(streams: Mapping[int, Packets], path: Path) -> Restarts:
    """Find where the time stamps begin again in all streams of a container.

    The parts follow each other without a pause, because its length is unknown; within each part,
    the streams keep their relation.

    Parameters
    ----------
    streams : mapping of int to Packets
    path : Path
        The container, for the message.

    Raises
    ------
    RecordingError
        If the streams begin again a different number of times.
    """
    present = {index: packets for index, packets in streams.items() if len(packets.dts_s)}
    first = {index: steps(np.array(packets.dts_s)) for index, packets in present.items()}
    counts = {len(numbers) for numbers in first.values()}
    if counts <= {0}:
        return NO_RESTARTS
    if len(counts) > 1:
        raise RecordingError(
            "the time stamps of picture and sound begin again at different places "
            f"({' and '.join(str(len(numbers)) for numbers in first.values())} times)",
            str(path),
            "export its parts as one recording with a video editor",
        )
    takes = [_take_spans_s(present[index], numbers) for index, numbers in first.items()]
    offsets_s: list[float] = []
    end_s = max(spans[0][1] for spans in takes)
    for number in range(1, counts.pop() + 1):
        start_s = min(spans[number][0] for spans in takes)
        offsets_s.append(end_s - start_s)
        end_s = max(spans[number][1] for spans in takes) + offsets_s[-1]
    return Restarts(first, tuple(offsets_s))


def steps(stamps_s: Times) -> tuple[int, ...]:
    """Return the numbers of the packets at which the stamps begin again.

    A single wrong stamp is not a restart: the medians around it agree.
    """
    difference = np.diff(stamps_s)
    candidates = np.flatnonzero((difference < -BACK_S) | (difference > AHEAD_S)) + 1
    return tuple(int(n) for n in candidates if _is_step(stamps_s, int(n)))


def _is_step(stamps_s: Times, number: int) -> bool:
    before = np.median(stamps_s[max(number - AROUND, 0) : number])
    change = float(np.median(stamps_s[number : number + AROUND]) - before)
    return change < -BACK_S / 2 or change > AHEAD_S


def _take_spans_s(packets: Packets, first: tuple[int, ...]) -> list[tuple[float, float]]:
    """Return the start and end of each part of a stream on its own clock, in seconds."""
    starts_s, ends_s = packets.starts_s(), packets.ends_s()
    edges = [0, *first, starts_s.size]
    return [(float(starts_s[a:b].min()), float(ends_s[a:b].max())) for a, b in pairwise(edges)]

"""Samples lost between a wireless headset and its recorder, from the headset's packet counter."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from consilience.core.wording import counted

Array = NDArray[np.float64]

COUNTER = "counter"  # name of the channel, in lower case
MICRO = 1e-6
MIN_UNIT_STEPS = 0.5  # least share of steps by one: other channels rarely increase by one
MAX_PER_PACKET = 16
ALIKE = 0.9  # share of the packets that have as many samples as is usual
MIN_PERIOD = 8  # a counter of a shorter period cannot distinguish losses


@dataclass(frozen=True)
class Packets:
    """Losses and repetitions in a packet counter; a packet holds one or a few samples.

    Attributes
    ----------
    position : ndarray of intp, shape (n_samples,)
        Index that each sample would have if none had been lost or repeated.
    repeated : ndarray of bool, shape (n_samples,)
        Samples that were received a second time.
    jumps : int
        Steps other than by one, without decreases. A decrease is the wrap-around of the counter,
        so that a gap over a wrap-around is counted as a gap but not as a jump.
    gaps : int
        Gaps with missing samples, including those over a wrap-around.
    lost : int
        Missing samples in total.
    """

    position: NDArray[np.intp]
    repeated: NDArray[np.bool_]
    jumps: int
    gaps: int
    lost: int

    @property
    def lost_fraction(self) -> float:
        """The share of the sent samples that is missing."""
        return self.lost / (int(self.position[-1]) + 1)

    def findings(self) -> list[str]:
        """Return a description of the losses; empty without losses."""
        if not self.jumps and not self.gaps:
            return []
        missing = f"{counted(self.lost, 'sample')} ({100 * self.lost_fraction:.1f} %) missing"
        return [
            f"packet losses: {counted(self.jumps, 'counter jump')}; {missing} in "
            f"{counted(self.gaps, 'gap')}, "
            f"{self.repeated.sum()} are repeated"
        ]


def count(counter: Array) -> Packets | None:
    """Locate losses in the values of a packet counter.

    A gap of a period of the counter or more looks like a shorter one.

    Parameters
    ----------
    counter : ndarray of float64, shape (n_samples,)
        It increases by one per packet, and wraps around after its largest value.

    Returns
    -------
    Packets or None
        None if the channel does not count packets.
    """
    if len(counter) < 2 or not np.isfinite(counter).all():
        return None
    # Some EDF files label the counter with a unit of volts, which readers scale by 1e-6.
    scale = 1 / MICRO if np.abs(counter).max() < 1 else 1.0
    numbers = np.rint(counter * scale).astype(np.int64)
    per_packet = _samples_per_packet(numbers)
    if per_packet > 1:  # numbered within their packet, they count samples
        numbers = numbers * per_packet + _within_packet(numbers, per_packet)
    steps = np.diff(numbers)
    first = _first_number(numbers)
    # Modulo the period, a wrap-around is a step by one like any other.
    forward = steps % (int(numbers.max()) + 1 - first)
    unit_steps = np.mean(forward == 1)
    if numbers.min() < 0 or numbers.max() - first < MIN_PERIOD or unit_steps < MIN_UNIT_STEPS:
        return None
    return Packets(
        position=np.concatenate([[0], np.cumsum(forward)]),
        repeated=np.concatenate([[False], forward == 0]),
        jumps=int(np.count_nonzero((steps != 1) & (steps >= 0))),
        gaps=int(np.count_nonzero(forward > 1)),
        lost=int(np.sum(forward[forward > 1] - 1)),
    )


def _runs(numbers: NDArray[np.int64]) -> NDArray[np.intp]:
    """Return where runs of equal numbers begin, and the end of the last, shape (n_runs + 1,)."""
    return np.concatenate([[0], np.flatnonzero(np.diff(numbers)) + 1, [len(numbers)]])


def _samples_per_packet(numbers: NDArray[np.int64]) -> int:
    """Return how many samples have the same number, if nearly all numbers have as many; else 1."""
    lengths = np.diff(_runs(numbers))[1:-1]  # the outer ones may be cut
    usual = int(np.median(lengths)) if len(lengths) else 1
    alike = np.mean(lengths == usual) if len(lengths) else 0.0
    return usual if usual <= MAX_PER_PACKET and alike >= ALIKE else 1


def _within_packet(numbers: NDArray[np.int64], per_packet: int) -> NDArray[np.int64]:
    """Return the number of each sample in its packet, from 0; a cut first packet lacks its first.

    Samples beyond the usual number repeat the last.
    """
    runs = _runs(numbers)
    lengths = np.diff(runs)
    within = np.arange(len(numbers)) - np.repeat(runs[:-1], lengths)
    within[: lengths[0]] += max(per_packet - int(lengths[0]), 0)
    return np.minimum(within, per_packet - 1)


def _first_number(numbers: NDArray[np.int64]) -> int:
    """Return the number that follows the largest: 0, or another that most wrap-arounds lead to."""
    values, counts = np.unique(numbers[1:][np.diff(numbers) < 0], return_counts=True)
    usual = counts.max(initial=0)
    return int(values[np.argmax(counts)]) if usual > 1 and usual > counts.sum() / 2 else 0

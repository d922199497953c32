"""Packets lost on the way from a wireless headset, by the counter that came with each sample."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from consilience.core.errors import RecordingError
from consilience.readers.recording import Recording, open_recording

Array = NDArray[np.float64]

COUNTER = "counter"
MICRO = 1e-6
STEADY = 0.5  # share of steps by one below which a channel counts something else
LEAST_ROUND = 8  # a shorter one could hardly tell a loss
GAP = 1.5  # sampling intervals


@dataclass(frozen=True)
class Packets:
    """What a packet counter shows.

    Attributes
    ----------
    position : ndarray of intp, shape (n_samples,)
        Where each sample belongs had none been lost or repeated.
    repeated : ndarray of bool, shape (n_samples,)
        Samples that came a second time.
    jumps : int
        Steps other than by one that are no fall: a fall is how a counter that starts again at 0
        wraps around, so a gap over the wrap-around counts as a gap and not as a jump.
    gaps : int
        Places where samples are missing, those over a wrap-around included.
    lost : int
        Samples missing in all.
    """

    position: NDArray[np.intp]
    repeated: NDArray[np.bool_]
    jumps: int
    gaps: int
    lost: int

    @property
    def lost_fraction(self) -> float:
        """The share of the samples sent that are missing."""
        return self.lost / (int(self.position[-1]) + 1)

    def findings(self) -> list[str]:
        """Tell what is wrong, if anything."""
        if not self.jumps and not self.gaps:
            return []
        missing = f"{self.lost} samples ({100 * self.lost_fraction:.1f} %) are missing"
        return [
            f"packet losses: {self.jumps} counter jumps; {missing} in {self.gaps} gaps, "
            f"{self.repeated.sum()} came twice"
        ]


def count(counter: Array) -> Packets | None:
    """Read a packet counter, shape (n_samples,), that starts again at 0 after its largest number.

    A gap of a whole round of the counter or more cannot be told from a shorter one.

    Returns
    -------
    Packets or None
        None if the channel does not count samples.
    """
    if len(counter) < 2 or not np.isfinite(counter).all():
        return None
    scale = 1 / MICRO if np.abs(counter).max() < 1 else 1.0  # EDF files may call its unit a volt
    numbers = np.rint(counter * scale).astype(np.int64)
    steps = np.diff(numbers)
    forward = steps % (int(numbers.max()) + 1)
    if numbers.min() < 0 or numbers.max() < LEAST_ROUND or np.mean(forward == 1) < STEADY:
        return None
    return Packets(
        position=np.concatenate([[0], np.cumsum(forward)]),
        repeated=np.concatenate([[False], forward == 0]),
        jumps=int(np.count_nonzero((steps != 1) & (steps >= 0))),
        gaps=int(np.count_nonzero(forward > 1)),
        lost=int(np.sum(forward[forward > 1] - 1)),
    )


def packets_of(recording: Recording) -> Packets | None:
    """Return what a recording's packet counter shows; None if it has none."""
    for name in recording.names:
        if name.casefold() == COUNTER:
            return count(recording.values([name], 1.0)[:, 0])
    return None


def counted_times(path: Path, nominal_s: Array) -> Array:
    """Return when moments were that are told in a file's own samples, as if none were missing.

    Parameters
    ----------
    path : Path
        A recording; one that cannot be read, or has no packet counter, changes nothing.
    nominal_s : ndarray of float64
        Sample numbers over the rate.
    """
    try:
        recording = open_recording(path, None)
        packets = packets_of(recording)
    except (OSError, RecordingError):
        return nominal_s
    if packets is None:
        return nominal_s
    samples = np.arange(recording.n_samples)
    drift = packets.position - samples
    moved: Array = nominal_s + (
        np.interp(nominal_s * recording.rate_hz, samples, drift) / recording.rate_hz
    )
    return moved


def gaps_in(times_s: Array, rate_hz: float) -> list[str]:
    """Tell of gaps in time stamps."""
    steps_s = np.diff(times_s)
    wide = steps_s[steps_s > GAP / rate_hz]
    if not len(wide):
        return []
    return [f"{len(wide)} gaps in the time stamps, {wide.sum():.1f} s in all"]

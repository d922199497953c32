"""Samples lost between a wireless headset and its recorder, from the headset's packet counter."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from consilience.core.errors import RecordingError
from consilience.readers.recording import Recording, open_recording

Array = NDArray[np.float64]

COUNTER = "counter"  # name of the channel, in lower case
MICRO = 1e-6
MIN_UNIT_STEPS = 0.5  # least share of steps by one: other channels rarely increase by one
MIN_PERIOD = 8  # a counter of a shorter period cannot distinguish losses
GAP = 1.5  # sampling intervals; a longer step of the time stamps is a gap


@dataclass(frozen=True)
class Packets:
    """Losses and repetitions in a packet counter.

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
        missing = f"{self.lost} samples ({100 * self.lost_fraction:.1f} %) are missing"
        return [
            f"packet losses: {self.jumps} counter jumps; {missing} in {self.gaps} gaps, "
            f"{self.repeated.sum()} are repeated"
        ]


def count(counter: Array) -> Packets | None:
    """Locate losses in the values of a packet counter.

    A gap of a period of the counter or more looks like a shorter one.

    Parameters
    ----------
    counter : ndarray of float64, shape (n_samples,)
        It increases by one per sample, and wraps around to 0 after its largest value.

    Returns
    -------
    Packets or None
        None if the channel does not count samples.
    """
    if len(counter) < 2 or not np.isfinite(counter).all():
        return None
    # Some EDF files label the counter with a unit of volts, which readers scale by 1e-6.
    scale = 1 / MICRO if np.abs(counter).max() < 1 else 1.0
    numbers = np.rint(counter * scale).astype(np.int64)
    steps = np.diff(numbers)
    # Modulo the period, a wrap-around is a step by one like any other.
    forward = steps % (int(numbers.max()) + 1)
    unit_steps = np.mean(forward == 1)
    if numbers.min() < 0 or numbers.max() < MIN_PERIOD or unit_steps < MIN_UNIT_STEPS:
        return None
    return Packets(
        position=np.concatenate([[0], np.cumsum(forward)]),
        repeated=np.concatenate([[False], forward == 0]),
        jumps=int(np.count_nonzero((steps != 1) & (steps >= 0))),
        gaps=int(np.count_nonzero(forward > 1)),
        lost=int(np.sum(forward[forward > 1] - 1)),
    )


def packets_of(recording: Recording) -> Packets | None:
    """Return the losses of a recording; None if it has no packet counter."""
    for name in recording.names:
        if name.casefold() == COUNTER:
            return count(recording.values([name], 1.0)[:, 0])
    return None


class SampleTimes(NamedTuple):
    """Times of the samples of a recording, corrected for losses.

    Attributes
    ----------
    kept : ndarray of bool, shape (n_samples,)
        Samples that are not repetitions.
    times_s : ndarray of float64, shape (n_samples,)
    pulses_s : ndarray of float64, shape (n_pulses,)
        Times of the synchronisation markers.
    """

    kept: NDArray[np.bool_]
    times_s: Array
    pulses_s: Array


def sample_times(recording: Recording, code: int | None = None) -> SampleTimes:
    """Return the times of samples and markers, by time stamps or else by the packet counter.

    Parameters
    ----------
    recording : Recording
    code : int, optional
        Code of the synchronisation markers, see `Recording.pulses_s`.
    """
    times_s, pulses_s = recording.times_s(), recording.pulses_s(code)
    packets = packets_of(recording)
    if packets is None:
        return SampleTimes(np.ones(len(times_s), bool), times_s, pulses_s)
    if not recording.stamped:
        # Without time stamps, the packet counter is what shows where samples were lost.
        times_s = packets.position / recording.rate_hz
        nearest = np.rint(pulses_s * recording.rate_hz).astype(np.intp)
        pulses_s = times_s[np.minimum(nearest, len(times_s) - 1)]
    return SampleTimes(~packets.repeated, times_s, pulses_s)


def true_times(path: Path, nominal_s: Array) -> Array:
    """Map nominal sample times to true times, using the packet counter to add lost samples.

    Parameters
    ----------
    path : Path
        A recording. If it cannot be read or has no packet counter, the times are unchanged.
    nominal_s : ndarray of float64, shape (n_times,)
        Index of a sample in the file, divided by the sampling rate.

    Returns
    -------
    ndarray of float64, shape (n_times,)
        Seconds on the recording's clock.
    """
    try:
        recording = open_recording(path, None)
        packets = packets_of(recording)
    except (OSError, RecordingError):
        return nominal_s
    if packets is None:
        return nominal_s
    samples = np.arange(recording.n_samples)
    delay = packets.position - samples  # in samples: those lost so far, less those repeated
    times_s: Array = nominal_s + (
        np.interp(nominal_s * recording.rate_hz, samples, delay) / recording.rate_hz
    )
    return times_s


def describe_gaps(times_s: Array, rate_hz: float) -> list[str]:
    """Return a description of the gaps in time stamps, shape (n_samples,); empty if none."""
    steps_s = np.diff(times_s)
    wide = steps_s[steps_s > GAP / rate_hz]
    if not len(wide):
        return []
    return [f"{len(wide)} gaps in the time stamps, {wide.sum():.1f} s in all"]

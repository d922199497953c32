"""Times of the samples of a recording, by its time stamps or else by its packet counter."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from consilience.core.errors import RecordingError
from consilience.core.scratch import blocks
from consilience.core.wording import counted
from consilience.readers.packet_counter import COUNTER, Packets, count
from consilience.readers.recording import Recording, open_recording
from consilience.readers.stamps import GAP

Array = NDArray[np.float64]


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
        return SampleTimes(np.broadcast_to(True, len(times_s)), times_s, pulses_s)
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
    steps = (np.diff(times_s[rows.start : rows.stop + 1]) for rows in blocks(times_s))
    wide = np.concatenate([steps_s[steps_s > GAP / rate_hz] for steps_s in steps])
    if not len(wide):
        return []
    return [f"{counted(len(wide), 'gap')} in the time stamps, {wide.sum():.1f} s in all"]

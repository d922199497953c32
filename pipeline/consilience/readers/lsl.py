"""Clock offsets and time stamps of the Lab Streaming Layer (LSL) in XDF files."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Times = NDArray[np.float64]
Positions = NDArray[np.intp]

RESET_S = 1.0  # a larger change of the offset means that the clock was set or restarted
BREAK_S = 1.0  # a break is longer than this and than BREAK_SAMPLES, as in pyxdf
BREAK_SAMPLES = 500


def unfold(stamps_s: Times, measured_s: Times, offsets_s: Times) -> tuple[Times, Times]:
    """Remove resets of a stream's clock from its time stamps.

    A restarted source may begin again at zero; the offset that the recorder measures then jumps by
    as much. Stamps and anchors after the reset are moved by the jump, so that the stream's clock
    continues.

    Parameters
    ----------
    stamps_s : ndarray of float64, shape (n_samples,)
        Time stamps on the stream's clock, in order of arrival.
    measured_s, offsets_s : ndarray of float64, shape (n_offsets,)
        Times of the recorder's measurements on the stream's clock, and the measured offsets:
        session minus stream; in order of arrival.

    Returns
    -------
    stamps_s : ndarray of float64, shape (n_samples,)
    anchors_s : ndarray of float64, shape (n_offsets, 2)
        Stream time and session time of every measurement.
    """
    stamps, measured = stamps_s.astype(np.float64), measured_s.astype(np.float64)
    anchors = np.stack([measured, measured + offsets_s], axis=1)
    first = 0
    for index in np.flatnonzero(_resets(measured_s, offsets_s)):
        step = offsets_s[index + 1] - offsets_s[index]
        first += _first_after(stamps_s[first:], measured_s[index : index + 2], step)
        stamps[first:] += step
        anchors[index + 1 :, 0] += step
    return stamps, anchors


def _resets(measured_s: Times, offsets_s: Times) -> NDArray[np.bool_]:
    """Return after which measurements the stream's clock was reset, shape (n_offsets - 1,).

    At a reset, the intervals of session time stay regular and those of stream time do not. If a
    measurement is wrong, it is the reverse.
    """
    stream_steps, session_steps = np.diff(measured_s), np.diff(measured_s + offsets_s)
    if not len(stream_steps):
        return np.zeros(0, dtype=bool)
    usual = np.median(session_steps)
    jumps: NDArray[np.bool_] = np.abs(np.diff(offsets_s)) > RESET_S
    return jumps & (np.abs(session_steps - usual) < np.abs(stream_steps - usual))


def _first_after(stamps_s: Times, measured_s: Times, step_s: float) -> int:
    """Return the index of the first stamp after a reset between two measurements.

    Stamps jump there by the negative of the offset's jump. If no stamp jumps, because the reset
    coincides with a pause of the same length, the index is that of the first stamp closer to the
    second measurement.
    """
    jumps = np.diff(stamps_s)
    large = np.flatnonzero(np.abs(jumps) > RESET_S / 2)
    if len(large):
        return int(large[np.argmin(np.abs(jumps[large] + step_s))]) + 1
    before, after = measured_s
    closer = np.abs(stamps_s - before) >= np.abs(stamps_s - after)
    return int(np.argmax(closer)) if closer.any() else len(closer)


def dejitter(
    stamps_s: Times,
    rate_hz: float,
    can_drop_samples: bool = False,
    positions: Positions | None = None,
) -> Times:
    """Return evenly spaced time stamps, at the effective rate of each segment without a break.

    Parameters
    ----------
    stamps_s : ndarray of float64, shape (n_samples,)
    rate_hz : float
        Nominal rate; 0 for a stream of events, whose stamps are returned unchanged.
    can_drop_samples : bool
        Whether the stream declares that it drops samples, as cameras do; its stamps are exact, and
        are returned unchanged.
    positions : ndarray of intp, shape (n_samples,), optional
        As in `fitted`.

    Returns
    -------
    ndarray of float64, shape (n_samples,)

    Notes
    -----
    Linear regression of the stamps on the sample index, between breaks of more than a second and
    500 samples, as in ``pyxdf``; a test compares the results.
    """
    if rate_hz <= 0 or can_drop_samples or len(stamps_s) < 2:
        return stamps_s.astype(np.float64)
    breaks = np.abs(np.diff(stamps_s)) > max(BREAK_S, BREAK_SAMPLES / rate_hz)
    return fitted(stamps_s, breaks, positions)


def fitted(stamps_s: Times, breaks: NDArray[np.bool_], positions: Positions | None = None) -> Times:
    """Return evenly spaced times: a line through the stamps of each segment.

    Parameters
    ----------
    stamps_s : ndarray of float64, shape (n_samples,)
    breaks : ndarray of bool, shape (n_samples - 1,)
        Whether a segment ends behind each sample.
    positions : ndarray of intp, shape (n_samples,), optional
        Index of each sample if none had been lost; by default, none was.
    """
    if positions is None:
        positions = np.arange(len(stamps_s))
    even = stamps_s.astype(np.float64)
    borders = [0, *(np.flatnonzero(breaks) + 1).tolist(), len(stamps_s)]
    for segment in map(slice, borders, borders[1:]):
        # Centred index and stamps: large time stamps would cost digits in the sums of squares.
        index = positions[segment] - positions[segment].mean()
        squares = float(index @ index)
        mean = float(stamps_s[segment].mean())
        period = float(index @ (stamps_s[segment] - mean)) / squares if squares else 0.0
        even[segment] = mean + period * index
    return even

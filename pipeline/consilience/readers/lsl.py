"""Clock offsets and time stamps of the Lab Streaming Layer, as XDF files hold them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Times = NDArray[np.float64]

RESET_S = 1.0  # offsets that differ by more are of a clock that was set or restarted between them
BREAK_S = 1.0
BREAK_SAMPLES = 500


def unfold(stamps_s: Times, measured_s: Times, offsets_s: Times) -> tuple[Times, Times]:
    """Undo steps of a stream's clock, so that its time stamps go on where they left off.

    A source that is restarted may begin again at zero; the offset that the recorder then
    measures jumps by as much. Stamps after the jump are moved by it, and so are the anchors.

    Parameters
    ----------
    stamps_s : ndarray of float64, shape (n_samples,)
        Time stamps on the stream's clock, in order of arrival.
    measured_s, offsets_s : ndarray of float64, shape (n_offsets,)
        When the recorder measured the offset, on the stream's clock, and the offset: session
        minus stream; in order of arrival.

    Returns
    -------
    stamps_s : ndarray of float64, shape (n_samples,)
    anchors_s : ndarray of float64, shape (n_offsets, 2)
        Own and session time of every measurement.
    """
    stamps, measured = stamps_s.astype(np.float64), measured_s.astype(np.float64)
    anchors = np.stack([measured, measured + offsets_s], axis=1)
    begun = 0
    for index in np.flatnonzero(_resets(measured_s, offsets_s)):
        step = offsets_s[index + 1] - offsets_s[index]
        begun += _first_after(stamps_s[begun:], measured_s[index : index + 2], step)
        stamps[begun:] += step
        anchors[index + 1 :, 0] += step
    return stamps, anchors


def _resets(measured_s: Times, offsets_s: Times) -> NDArray[np.bool_]:
    """Say after which measurement the stream's clock jumped, and not the measurement went wrong.

    At a reset the session's time goes on at its pace, and the stream's does not.
    """
    own, session = np.diff(measured_s), np.diff(measured_s + offsets_s)
    if not len(own):
        return np.zeros(0, dtype=bool)
    pace = np.median(session)
    jumps: NDArray[np.bool_] = np.abs(np.diff(offsets_s)) > RESET_S
    return jumps & (np.abs(session - pace) < np.abs(own - pace))


def _first_after(stamps_s: Times, measured_s: Times, step_s: float) -> int:
    """Return which stamp is the first after a reset that lies between two measurements.

    Stamps jump there by the opposite of what the offset does. If none does, as where the jump
    falls together with a pause as long, it is the first one nearer to the second measurement.
    """
    jumps = np.diff(stamps_s)
    large = np.flatnonzero(np.abs(jumps) > RESET_S / 2)
    if len(large):
        return int(large[np.argmin(np.abs(jumps[large] + step_s))]) + 1
    last, first = measured_s
    later = np.abs(stamps_s - last) >= np.abs(stamps_s - first)
    return int(np.argmax(later)) if later.any() else len(later)


def dejitter(stamps_s: Times, rate_hz: float, can_drop_samples: bool = False) -> Times:
    """Lay samples evenly, at the effective rate of each stretch without a break.

    Parameters
    ----------
    stamps_s : ndarray of float64, shape (n_samples,)
    rate_hz : float
        Nominal; 0 for a stream of events, which has no rate to even out.
    can_drop_samples : bool
        As the stream says of itself: a camera's stamps are when frames were taken.

    Notes
    -----
    Least squares over the sample's number between breaks of more than a second and 500 samples,
    as ``pyxdf`` does, whose results tests compare.
    """
    if rate_hz <= 0 or can_drop_samples or len(stamps_s) < 2:
        return stamps_s.astype(np.float64)
    breaks = np.abs(np.diff(stamps_s)) > max(BREAK_S, BREAK_SAMPLES / rate_hz)
    even = stamps_s.astype(np.float64)
    for part in np.split(np.arange(len(stamps_s)), np.flatnonzero(breaks) + 1):
        number = part - part.mean()
        spread = float(number @ number)
        mean = float(stamps_s[part].mean())
        period = float(number @ (stamps_s[part] - mean)) / spread if spread else 0.0
        even[part] = mean + period * number
    return even

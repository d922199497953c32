"""Time stamps of samples: even times, gaps and jumps, and the rate they imply."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from consilience.core.wording import counted
from consilience.readers.lsl import fitted

Array = NDArray[np.float64]

REGULAR = 0.95  # least share of steps that are regular, in evenly stamped samples
GAP = 1.5  # sampling intervals; a longer step of regular stamps is a gap
BREAK_S = 1.0  # stamps of packets come in bursts; a longer step between bursts is a gap


class EvenTimes(NamedTuple):
    """Times of samples without jitter.

    Attributes
    ----------
    times_s : ndarray of float64, shape (n_samples,)
        Increasing, from about 0.
    rate_hz : float
        Of the stretches without a gap.
    notes : list of str
        Jumps of the clock.
    """

    times_s: Array
    rate_hz: float
    notes: list[str]


def even_times(stamps_s: Array, positions: NDArray[np.intp] | None = None) -> EvenTimes | None:
    """Remove the jitter of time stamps and the backward jumps of their clock.

    A line is fitted to every stretch without a gap. After a backward jump the samples continue
    at the usual interval, because the true duration of the pause is not known.

    Parameters
    ----------
    stamps_s : ndarray of float64, shape (n_samples,)
        Finite, in the order of the samples.
    positions : ndarray of intp, shape (n_samples,), optional
        Index of each sample if none had been lost; by default, none was.

    Returns
    -------
    EvenTimes or None
        None if the stamps do not advance.
    """
    steps_s = np.diff(stamps_s)
    forward_s = steps_s[steps_s > 0]
    if not len(forward_s):
        return None
    if positions is None:
        positions = np.arange(len(stamps_s))
    sent = np.diff(positions)
    usual_s = float(np.median(steps_s)) or float(np.median(forward_s))
    within = (steps_s > 0.5 * usual_s) & (steps_s < GAP * usual_s)
    if within.mean() >= REGULAR:
        # The mean, because stamps rounded to milliseconds have a rounded median.
        period_s = float(steps_s[within].mean() / sent[within].mean())
        limit_s = GAP * usual_s
    else:
        limit_s = BREAK_S
        together = (steps_s >= 0) & (steps_s <= limit_s)
        n_sent = int(sent[together].sum())
        period_s = float(steps_s[together].sum() / n_sent) if n_sent else 0.0
        limit_s = max(limit_s, GAP * period_s)
    if period_s <= 0:
        return None
    backward = steps_s < -limit_s
    continued_s = stamps_s[0] + np.concatenate(
        [[0.0], np.cumsum(np.where(backward, period_s, steps_s))]
    )
    notes = [
        f"the time stamps jump back by {-steps_s[index]:.3g} s after sample {index + 1}: "
        "the samples are read as consecutive"
        for index in np.flatnonzero(backward)[:1]
    ]
    if backward.sum() > 1:
        notes[0] += f"; and {counted(int(backward.sum()) - 1, 'more such jump')}"
    times_s = fitted(continued_s - stamps_s[0], np.diff(continued_s) > limit_s, positions)
    return EvenTimes(times_s, 1 / period_s, notes)

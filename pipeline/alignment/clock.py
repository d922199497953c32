"""Clock of a recording: offset and drift, from the synchronisation pulses it holds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import overload

import numpy as np
from numpy.typing import NDArray
from scipy.stats import poisson

from pipeline.params import AlignmentParams

Times = NDArray[np.float64]
Indices = NDArray[np.intp]

CANDIDATES = 8
ITERATIONS = 20
SIGMA_FLOOR_S = 1e-4
HUBER_SIGMAS = 1.345
OUTLIER_SIGMAS = 4.0
CHANCE = 1e-3


@dataclass(frozen=True)
class Clock:
    """A line from a recording's own clock to the session's.

    ``session_s = (1 + 1e-6 * drift_ppm) * native_s + offset_s``
    """

    offset_s: float = 0.0
    drift_ppm: float = 0.0

    @overload
    def to_session(self, native_s: float) -> float: ...
    @overload
    def to_session(self, native_s: Times) -> Times: ...
    def to_session(self, native_s: float | Times) -> float | Times:
        """Return session times of native times, in seconds."""
        return (1 + 1e-6 * self.drift_ppm) * native_s + self.offset_s

    @overload
    def to_native(self, session_s: float) -> float: ...
    @overload
    def to_native(self, session_s: Times) -> Times: ...
    def to_native(self, session_s: float | Times) -> float | Times:
        """Return native times of session times, in seconds."""
        return (session_s - self.offset_s) / (1 + 1e-6 * self.drift_ppm)


@dataclass(frozen=True)
class ClockFit:
    """A clock, how it was found, and whether to rely on it.

    Attributes
    ----------
    clock : Clock or None
        None if the recording could not be aligned.
    n_anchors : int
        Pulses matched to the schedule.
    residual_ms : float or None
        Root of the mean squared residual over the anchors' ``n_anchors - 2`` degrees of freedom.
    status : {"aligned", "coarse", "unaligned"}
        Coarse: the line was found, but is not known within the tolerance.
    reason : str or None
        Why it is not aligned.
    """

    clock: Clock | None
    n_anchors: int
    residual_ms: float | None
    status: str
    reason: str | None = None


def fit_clock(
    pulses_s: Times,
    schedule_s: Times,
    params: AlignmentParams,
    duration_s: float,
    rate_hz: float | None = None,
) -> ClockFit:
    """Find the clock under which a recording's pulses fall on the session's schedule.

    Pulses may be missing on either side, spurious, or jittered by half a frame. Clocks within
    the parameters' bounds are voted for by all pairs of a pulse and a scheduled pulse (a Hough
    transform of lines); the best few are refined by matching mutual nearest neighbours and
    Huber's regression in turn. A fit that as many random pulses could have had, or that
    another clock equals, is refused.

    Parameters
    ----------
    pulses_s : ndarray of float64, shape (n_pulses,)
        Pulses seen in the recording, in seconds of its own clock.
    schedule_s : ndarray of float64, shape (n_scheduled,)
        Pulses emitted, in seconds of the session clock.
    params : AlignmentParams
        Bounds and tolerances.
    duration_s : float
        Length of the recording: the line must be known within the tolerance over all of it.
    rate_hz : float or None
        Sampling rate; jitter of half a sample is tolerated even if above `params.tolerance_ms`.

    Returns
    -------
    ClockFit
    """
    pulses, schedule = np.unique(pulses_s), np.unique(schedule_s)
    if not len(pulses):
        return _unaligned(0, "no synchronisation pulse was found in the recording")
    if not len(schedule):
        return _unaligned(0, "the session has no pulse schedule")
    fits = [_refine(clock, pulses, schedule, params) for clock in _vote(pulses, schedule, params)]
    fits = [fit for fit in fits if abs(fit.clock.offset_s) <= params.max_offset_s]
    if not fits:
        return _unaligned(0, f"no offset within {params.max_offset_s:g} s matches any pulse")
    best, *others = sorted(fits, key=lambda fit: (-len(fit.matched), fit.sigma_s))
    refusal = _refusal(best, others, pulses, schedule, params)
    if refusal:
        return _unaligned(len(best.matched), refusal)
    tolerance_ms = max(params.tolerance_ms, 500 / rate_hz if rate_hz else 0.0)
    doubt = _doubt(best, duration_s, tolerance_ms)
    return ClockFit(
        best.clock,
        len(best.matched),
        1e3 * best.sigma_s,
        "coarse" if doubt else "aligned",
        doubt,
    )


@dataclass(frozen=True)
class _Fit:
    clock: Clock
    matched: Times  # native times of the anchors
    sigma_s: float


def _unaligned(n_anchors: int, reason: str) -> ClockFit:
    return ClockFit(None, n_anchors, None, "unaligned", reason)


def _vote(pulses: Times, schedule: Times, params: AlignmentParams) -> list[Clock]:
    """Return the clocks, apart from one another, that bring most pairs together."""
    tolerance = 1e-3 * params.match_tolerance_ms
    bound = 1e-6 * params.max_drift_ppm
    native, session = (axis.ravel() for axis in np.meshgrid(pulses, schedule))
    near = np.abs(session - native) <= params.max_offset_s + bound * np.abs(native)
    native, session = native[near], session[near]
    # Between neighbouring drifts of the grid no pulse moves by more than half the tolerance.
    steps = int(np.ceil(bound * np.abs(pulses).max() / (tolerance / 4)))
    votes, offsets, drifts = [], [], []
    for drift in np.linspace(-bound, bound, 2 * steps + 1):
        difference = np.sort(session - (1 + drift) * native)
        ends = np.searchsorted(difference, difference + tolerance, "right")
        votes.append(ends - np.arange(len(difference)))
        offsets.append((difference + difference[ends - 1]) / 2)
        drifts.append(np.full(len(difference), drift))
    return _peaks(np.concatenate(votes), np.concatenate(offsets), np.concatenate(drifts), tolerance)


def _peaks(votes: Indices, offsets: Times, drifts: Times, tolerance: float) -> list[Clock]:
    chosen: list[Clock] = []
    open_ = np.ones(len(votes), dtype=bool)
    while open_.any() and len(chosen) < CANDIDATES:
        best = int(np.argmax(np.where(open_, votes, 0)))
        chosen.append(Clock(float(offsets[best]), 1e6 * float(drifts[best])))
        open_ &= np.abs(offsets - offsets[best]) > tolerance
    return chosen


def _refine(clock: Clock, pulses: Times, schedule: Times, params: AlignmentParams) -> _Fit:
    """Match and fit in turn, the matching growing stricter as the fit grows better."""
    limit = tolerance = 1e-3 * params.match_tolerance_ms
    sigma = tolerance
    native = np.empty(0)
    for _ in range(ITERATIONS):
        of_pulse, of_schedule = _match(clock.to_session(pulses), schedule, tolerance)
        native, session = pulses[of_pulse], schedule[of_schedule]
        if not len(native):
            break
        residual = np.abs(session - clock.to_session(native))
        weights = 1 / np.maximum(1, residual / (HUBER_SIGMAS * sigma))
        clock = _line(native, session, weights, params.max_drift_ppm)
        residual = np.abs(session - clock.to_session(native))
        sigma = max(SIGMA_FLOOR_S, 1.4826 * float(np.median(residual)))
        tolerance = min(limit, OUTLIER_SIGMAS * sigma + SIGMA_FLOOR_S)
    squares = (session - clock.to_session(native)) ** 2
    return _Fit(clock, native, float(np.sqrt(squares.sum() / max(1, len(native) - 2))))


def _match(times: Times, schedule: Times, tolerance: float) -> tuple[Indices, Indices]:
    """Return index pairs of mutual nearest neighbours not further apart than `tolerance`."""
    forth, back = _nearest(times, schedule), _nearest(schedule, times)
    mutual = back[forth] == np.arange(len(times))
    close = np.abs(times - schedule[forth]) <= tolerance
    of_times = np.flatnonzero(mutual & close)
    return of_times, forth[of_times]


def _nearest(times: Times, among: Times) -> Indices:
    right = np.clip(np.searchsorted(among, times), 1, max(1, len(among) - 1))
    right = np.minimum(right, len(among) - 1)
    left = np.maximum(right - 1, 0)
    return np.where(times - among[left] <= among[right] - times, left, right)


def _line(native: Times, session: Times, weights: Times, max_drift_ppm: float) -> Clock:
    """Weighted least squares, the drift held within its bounds."""
    native_mean = np.average(native, weights=weights)
    difference = session - native
    difference_mean = np.average(difference, weights=weights)
    centred = native - native_mean
    spread = float(np.sum(weights * centred**2))
    drift = float(np.sum(weights * centred * difference)) / spread if spread > 0 else 0.0
    drift_ppm = float(np.clip(1e6 * drift, -max_drift_ppm, max_drift_ppm))
    return Clock(float(difference_mean - 1e-6 * drift_ppm * native_mean), drift_ppm)


def _refusal(
    best: _Fit, others: list[_Fit], pulses: Times, schedule: Times, params: AlignmentParams
) -> str | None:
    """Say why the best fit cannot be believed, if so."""
    n = len(best.matched)
    if n < params.min_anchors:
        return f"{n} of {len(pulses)} pulses match the schedule, {params.min_anchors} are needed"
    if _chance(best, pulses, schedule, params) > CHANCE:
        return f"{n} of {len(pulses)} pulses match the schedule, as many as chance would bring"
    for other in others:
        apart = abs(other.clock.offset_s - best.clock.offset_s)
        if len(other.matched) >= n and apart > 1e-3 * params.match_tolerance_ms:
            return (
                f"offsets of {best.clock.offset_s:.3f} s and {other.clock.offset_s:.3f} s "
                "match the pulse schedule equally well"
            )
    return None


def _chance(best: _Fit, pulses: Times, schedule: Times, params: AlignmentParams) -> float:
    """Bound the probability that unrelated pulses match as well anywhere in the search range.

    Pairs of unrelated pulses differ by anything within the range of offsets; how many fall into
    one band of the fit's width is Poisson distributed, and there are so many bands to try.
    """
    n = len(best.matched)
    band = 2 * min(1e-3 * params.match_tolerance_ms, OUTLIER_SIGMAS * max(best.sigma_s, 1e-3))
    offsets = 2 * params.max_offset_s
    n_pairs = int(np.sum(np.abs(pulses[:, None] - schedule) <= params.max_offset_s))
    drifts = 2e-6 * params.max_drift_ppm * float(np.ptp(pulses))
    trials = (offsets / band) * max(1.0, drifts / band)
    return float(poisson.sf(n - 1, max(0, n_pairs - n) * band / offsets)) * trials


def _doubt(fit: _Fit, duration_s: float, tolerance_ms: float) -> str | None:
    """Say why the line is not known within the tolerance, if so."""
    n = len(fit.matched)
    if n < 3:
        return f"{n} pulses leave no residual to judge the clock by"
    if 1e3 * fit.sigma_s > tolerance_ms:
        return f"the residual of {1e3 * fit.sigma_s:.1f} ms exceeds {tolerance_ms:.1f} ms"
    mean = fit.matched.mean()
    reach = max(abs(mean), abs(duration_s - mean))
    spread = float(np.sum((fit.matched - mean) ** 2))
    error_ms = 1e3 * fit.sigma_s * np.sqrt(1 / n + reach**2 / spread)
    if error_ms > tolerance_ms:
        return f"the clock's standard error at the recording's end is {error_ms:.1f} ms"
    return None

"""A recording's clock from the synchronisation pulses it holds."""

from __future__ import annotations

from math import inf, sqrt

import numpy as np
from numpy.typing import NDArray
from scipy.stats import poisson

from consilience.alignment.clock import ClockFit, Line, Times, unaligned
from consilience.alignment.piecewise_fit import (
    HUBER_SIGMAS,
    ITERATIONS,
    OUTLIER_SIGMAS,
    Segment,
    clock_from_segments,
    fit_segments,
    hough_line,
    rms,
    weighted_line,
)
from consilience.schema.params.alignment import AlignmentParams

Indices = NDArray[np.intp]
Counts = NDArray[np.int64]

METHOD = "pulses"
CANDIDATES, LEFT_OVER = 8, 3
SIGMA_FLOOR_S = 1e-4
CHANCE = 1e-3
SWITCH = 4.0  # unexplained pulses that going over to another line and staying there must save
MISSED = 3  # scheduled pulses in a row that are not seen where a clock is no longer right


def fit_pulses(
    pulses_s: Times,
    schedule_s: Times,
    params: AlignmentParams,
    span_s: tuple[float, float],
    rate_hz: float | None = None,
    gaps_s: NDArray[np.float64] | None = None,
) -> ClockFit:
    """Find the clock under which a recording's pulses fall on the session's schedule.

    Pulses may be missing on either side, spurious, or jittered by half a frame; the clock may
    have been reset. Lines within the parameters' bounds are voted for by all pairs of a pulse
    and a scheduled pulse (a Hough transform), each after the pairs of those before it are gone,
    and by the pulses that the best line leaves over; the path of least cost leads from pulse to
    pulse over these lines; the pairs along it are divided into stretches of one line each
    (`fit_segments`). A stretch that as many random pulses could have had, or that another line
    explains as well, is refused.

    Parameters
    ----------
    pulses_s : ndarray of float64, shape (n_pulses,)
        Pulses seen in the recording, in seconds of its own clock.
    schedule_s : ndarray of float64, shape (n_scheduled,)
        Pulses emitted, in seconds of the session clock.
    params : AlignmentParams
        Bounds and tolerances.
    span_s : tuple of 2 floats
        Native times of the recording's first and last sample: the clock must be known within
        the tolerance over all of it.
    rate_hz : float or None
        Sampling rate; jitter of half a sample is tolerated even if above `params.tolerance_ms`.
    gaps_s : ndarray of float64, shape (n_gaps, 2), or None
        Native times between which nothing was recorded: the likely moments of resets.
    """
    pulses, schedule = np.unique(pulses_s), np.unique(schedule_s)
    if not len(pulses):
        return unaligned(METHOD, "no synchronisation pulse was found in the recording")
    if not len(schedule):
        return unaligned(METHOD, "the session has no pulse schedule")
    candidates = _candidates(pulses, schedule, params)
    if not candidates:
        return unaligned(METHOD, f"no offset within {params.max_offset_s:g} s matches any pulse")
    parts, refusals = _segments(candidates, pulses, schedule, params)
    if not parts:
        return unaligned(METHOD, refusals[0])
    floor_s = max(SIGMA_FLOOR_S, 1 / (rate_hz * sqrt(12))) if rate_hz else SIGMA_FLOOR_S
    return clock_from_segments(
        METHOD,
        parts,
        span_s,
        floor_s,
        params.sample_tolerance_ms(rate_hz),
        params,
        trusted_s=_trusted(parts, schedule, span_s),
        gaps_s=gaps_s,
    )


def _segments(
    candidates: list[Segment], pulses: Times, schedule: Times, params: AlignmentParams
) -> tuple[list[Segment], list[str]]:
    """Return the stretches that can be believed, and why others cannot."""
    native, session = _pairs(candidates, pulses, schedule, params)
    parts, refusals = [], []
    for part in fit_segments(native, session, SIGMA_FLOOR_S, params):
        own = pulses[(pulses >= part.native_s[0]) & (pulses <= part.native_s[-1])]
        part = _refine(part.line, own, schedule, params)
        refusal = _refusal(part, candidates, own, len(pulses), schedule, params)
        if refusal:
            refusals.append(refusal)
        else:
            parts.append(part)
    return parts, refusals


def _candidates(pulses: Times, schedule: Times, params: AlignmentParams) -> list[Segment]:
    """Return lines that many pairs of a pulse and a scheduled one lie on, the best one first.

    What the best one matches would drown the line of a short stretch after a reset, so the
    pulses that it leaves over vote once more, alone.
    """
    found = _best_lines(pulses, schedule, CANDIDATES, params)
    left_p, left_s, more = pulses, schedule, found[:1]
    while more and len(found) < CANDIDATES + LEFT_OVER:
        times = more[0].line.to_session(left_p)
        of_pulse, of_schedule = _match(times, left_s, _strict(more[0], params))
        left_p, left_s = np.delete(left_p, of_pulse), np.delete(left_s, of_schedule)
        if not len(left_p) or not len(left_s):
            break
        more = _best_lines(left_p, left_s, 1, params)
        found += more
    return found


def _best_lines(
    pulses: Times, schedule: Times, n_lines: int, params: AlignmentParams
) -> list[Segment]:
    tolerance = 1e-3 * params.match_tolerance_ms
    bound = 1e-6 * params.max_drift_ppm
    of_pulse, of_schedule = _near(pulses, schedule, params.max_offset_s + bound * np.abs(pulses))
    native, session = pulses[of_pulse], schedule[of_schedule]
    found: list[Segment] = []
    for _ in range(n_lines):
        if not len(native):
            break
        line = hough_line(native, session, tolerance, bound)
        voted = np.abs(session - line.to_session(native)) <= tolerance
        native, session = native[~voted], session[~voted]
        refined = _refine(line, pulses, schedule, params)
        if abs(refined.line.offset_s) <= params.max_offset_s:
            found.append(refined)
    return sorted(found, key=lambda part: (-len(part.native_s), part.sigma_s))


def _near(pulses: Times, schedule: Times, reach_s: Times) -> tuple[Indices, Indices]:
    """Return the index pairs of all scheduled pulses within each pulse's reach."""
    first = np.searchsorted(schedule, pulses - reach_s, "left")
    n_near = np.searchsorted(schedule, pulses + reach_s, "right") - first
    of_pulse = np.repeat(np.arange(len(pulses)), n_near)
    before = np.repeat(np.cumsum(n_near) - n_near, n_near)
    return of_pulse, first[of_pulse] + np.arange(len(of_pulse)) - before


def _pairs(
    candidates: list[Segment], pulses: Times, schedule: Times, params: AlignmentParams
) -> tuple[Times, Times]:
    """Return the pairs of a pulse and a scheduled one along the cheapest path over the lines."""
    matched = np.full((len(candidates), len(pulses)), -1)
    cost = np.ones(matched.shape)
    for row, part in enumerate(candidates):
        tolerance = _strict(part, params)
        times = part.line.to_session(pulses)
        of_pulse, of_schedule = _match(times, schedule, tolerance)
        matched[row, of_pulse] = of_schedule
        cost[row, of_pulse] = ((schedule[of_schedule] - times[of_pulse]) / tolerance) ** 2
    path = _path(cost)
    chosen = matched[path, np.arange(len(pulses))]
    return pulses[chosen >= 0], schedule[chosen[chosen >= 0]]


def _strict(part: Segment, params: AlignmentParams) -> float:
    """Return how far from a line's schedule a pulse may be, in seconds."""
    return min(1e-3 * params.match_tolerance_ms, OUTLIER_SIGMAS * part.sigma_s + SIGMA_FLOOR_S)


def _path(cost: NDArray[np.float64]) -> Indices:
    """Return the row of every column on the cheapest way through, where changing rows costs."""
    total, came_from = cost[:, 0].copy(), []
    for column in cost.T[1:]:
        cheapest = int(np.argmin(total))
        change = total > total[cheapest] + SWITCH
        came_from.append(np.where(change, cheapest, np.arange(len(total))))
        total = np.minimum(total, total[cheapest] + SWITCH) + column
    path = [int(np.argmin(total))]
    for step in reversed(came_from):
        path.append(int(step[path[-1]]))
    return np.array(path[::-1])


def _refine(line: Line, pulses: Times, schedule: Times, params: AlignmentParams) -> Segment:
    """Match and fit in turn, the matching growing stricter as the fit grows better."""
    limit = tolerance = 1e-3 * params.match_tolerance_ms
    sigma = tolerance
    native = session = np.empty(0)
    for _ in range(ITERATIONS):
        of_pulse, of_schedule = _match(line.to_session(pulses), schedule, tolerance)
        native, session = pulses[of_pulse], schedule[of_schedule]
        if not len(native):
            break
        residual = np.abs(session - line.to_session(native))
        weights = 1 / np.maximum(1, residual / (HUBER_SIGMAS * sigma))
        line = weighted_line(native, session, weights, params.max_drift_ppm)
        residual = np.abs(session - line.to_session(native))
        sigma = max(SIGMA_FLOOR_S, 1.4826 * float(np.median(residual)))
        tolerance = min(limit, OUTLIER_SIGMAS * sigma + SIGMA_FLOOR_S)
    return Segment(line, native, session, rms(line, native, session))


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


def _refusal(
    part: Segment,
    candidates: list[Segment],
    pulses: Times,
    n_all: int,
    schedule: Times,
    params: AlignmentParams,
) -> str | None:
    """Say why a stretch cannot be believed, if so."""
    n = len(part.native_s)
    if n < params.min_anchors:
        return f"{n} of {len(pulses)} pulses match the schedule, {params.min_anchors} are needed"
    if _chance(part, pulses, n_all, schedule, params) > CHANCE:
        return f"{n} of {len(pulses)} pulses match the schedule, as many as chance would bring"
    tolerance = 1e-3 * params.match_tolerance_ms
    for other in candidates:
        rival = _refine(other.line, pulses, schedule, params)
        if len(rival.native_s) >= n:
            apart = rival.line.to_session(part.native_s) - part.line.to_session(part.native_s)
            if np.abs(apart).max() > tolerance:
                return (
                    f"offsets of {part.line.offset_s:.3f} s and {rival.line.offset_s:.3f} s "
                    "match the pulse schedule equally well"
                )
    return None


def _chance(
    part: Segment, pulses: Times, n_all: int, schedule: Times, params: AlignmentParams
) -> float:
    """Bound the probability that unrelated pulses match as well anywhere in the search range.

    Pairs of unrelated pulses differ by anything within the range of offsets; how many fall into
    one band of the fit's width is Poisson distributed, and there are so many bands to try, and so
    many stretches of at least as many of the recording's `n_all` pulses.
    """
    n = len(part.native_s)
    band = 2 * min(1e-3 * params.match_tolerance_ms, OUTLIER_SIGMAS * max(part.sigma_s, 1e-3))
    offsets = 2 * params.max_offset_s
    n_pairs = len(_near(pulses, schedule, np.full(len(pulses), params.max_offset_s))[0])
    drifts = 2e-6 * params.max_drift_ppm * float(np.ptp(pulses))
    stretches = (n_all - len(pulses) + 1) * (n_all - len(pulses) + 2) / 2
    trials = (offsets / band) * max(1.0, drifts / band) * stretches
    return float(poisson.sf(n - 1, max(0, n_pairs - n) * band / offsets)) * trials


def _trusted(
    parts: list[Segment], schedule: Times, span_s: tuple[float, float]
) -> tuple[float, float]:
    """Return between which native times the outermost lines have nothing against them.

    Where several pulses in a row should have been seen and were not, a clock may have been reset.
    """
    first, last = parts[0], parts[-1]
    before = schedule[schedule < first.session_s[0] - SIGMA_FLOOR_S]
    after = schedule[schedule > last.session_s[-1] + SIGMA_FLOOR_S]
    missed_before = len(before) >= MISSED and first.line.to_native(before[-MISSED]) > span_s[0]
    missed_after = len(after) >= MISSED and last.line.to_native(after[MISSED - 1]) < span_s[1]
    return (
        float(first.native_s[0]) if missed_before else -inf,
        float(last.native_s[-1]) if missed_after else inf,
    )

"""Clocks from the synchronisation pulses in a recording and the schedule of the session."""

from __future__ import annotations

from math import inf, sqrt

import numpy as np
from numpy.typing import NDArray

from consilience.alignment.chance import poisson_tail
from consilience.alignment.clock import ClockFit, Line, Times, unaligned
from consilience.alignment.piecewise_fit import (
    HUBER_SIGMAS,
    ITERATIONS,
    OUTLIER_SIGMAS,
    Segment,
    clock_from_segments,
    fit_segments,
    hough_line,
    rms_s,
    weighted_line,
)
from consilience.schema.params.alignment import AlignmentParams
from consilience.signals.robust import MAD_TO_SD

Indices = NDArray[np.intp]

METHOD = "pulses"
CANDIDATES, RESIDUAL_CANDIDATES = 8, 3  # lines from all pairs, and from unexplained pulses
SIGMA_FLOOR_S = 1e-4
MAX_FALSE_ALARM = 1e-3  # probability that random pulses match as well
SWITCH_COST = 4.0  # unexplained pulses that a change to another line must save
MISSED_PULSES = 3  # unseen scheduled pulses in a row that invalidate a clock


def fit_pulses(
    pulses_s: Times,
    schedule_s: Times,
    params: AlignmentParams,
    span_s: tuple[float, float],
    rate_hz: float | None = None,
    gaps_s: NDArray[np.float64] | None = None,
) -> ClockFit:
    """Fit the clock that maps a recording's pulses to the session's pulse schedule.

    Pulses may be missing on either side, spurious, or jittered by half a frame, and the device's
    clock may have been reset. The fit has four steps:

    1. Candidate lines: a Hough transform over all pairs of a pulse and a scheduled pulse, then
       over the pulses that the best line does not explain.
    2. Path: dynamic programming assigns each pulse to a candidate line; a change of line costs
       as much as `SWITCH_COST` unexplained pulses.
    3. Segments: the pairs on the path are split at resets (`fit_segments`).
    4. Test: a segment is rejected if random pulses would match as well, or if another line
       explains it equally well.

    Parameters
    ----------
    pulses_s : ndarray of float64, shape (n_pulses,)
        Pulses detected in the recording, in native time.
    schedule_s : ndarray of float64, shape (n_scheduled,)
        Pulses emitted, in session time.
    params : AlignmentParams
        Bounds and tolerances.
    span_s : tuple of 2 floats
        Native times of the recording's first and last sample. The clock must be accurate within
        the tolerance in the whole span.
    rate_hz : float or None
        Sampling rate; a jitter of half a sample is tolerated even if it exceeds
        `params.tolerance_ms`.
    gaps_s : ndarray of float64, shape (n_gaps, 2), or None
        Native times between which nothing was recorded: the likely moments of resets.

    Returns
    -------
    ClockFit
    """
    pulses, schedule = np.unique(pulses_s), np.unique(schedule_s)
    if not len(pulses):
        return unaligned(METHOD, "no synchronisation pulse was found in the recording")
    if not len(schedule):
        return unaligned(METHOD, "the session has no pulse schedule")
    candidates = _candidate_lines(pulses, schedule, params)
    if not candidates:
        return unaligned(METHOD, f"no offset within {params.max_offset_s:g} s matches any pulse")
    segments, rejections = _accepted_segments(candidates, pulses, schedule, params)
    if not segments:
        return unaligned(METHOD, rejections[0])
    # Rounding to a sample has the standard deviation of a uniform distribution.
    floor_s = max(SIGMA_FLOOR_S, 1 / (rate_hz * sqrt(12))) if rate_hz else SIGMA_FLOOR_S
    return clock_from_segments(
        METHOD,
        segments,
        span_s,
        floor_s,
        params.sample_tolerance_ms(rate_hz),
        params,
        valid_s=_valid_range_s(segments, schedule, span_s),
        gaps_s=gaps_s,
    )


def _accepted_segments(
    candidates: list[Segment], pulses: Times, schedule: Times, params: AlignmentParams
) -> tuple[list[Segment], list[str]]:
    """Return the segments that pass the test, and why the others do not."""
    native, session = _path_pairs(candidates, pulses, schedule, params)
    accepted, rejections = [], []
    for segment in fit_segments(native, session, SIGMA_FLOOR_S, params):
        first, last = segment.native_s[0], segment.native_s[-1]
        inside = pulses[(pulses >= first) & (pulses <= last)]
        # Away from the resets, each pulse can be matched to this line alone.
        segment = _refine(segment.line, inside, schedule, params)
        reason = _rejection(segment, candidates, inside, len(pulses), schedule, params)
        if reason:
            rejections.append(reason)
        else:
            accepted.append(segment)
    return accepted, rejections


def _candidate_lines(pulses: Times, schedule: Times, params: AlignmentParams) -> list[Segment]:
    """Return lines that many pairs lie on, the best one first.

    The chance pairs of a long stretch outnumber the true pairs of a short one after a reset, so
    the pulses that the best line does not explain are searched again on their own.
    """
    candidates = _best_lines(pulses, schedule, CANDIDATES, params)
    left_pulses, left_schedule, best = pulses, schedule, candidates[:1]
    while best and len(candidates) < CANDIDATES + RESIDUAL_CANDIDATES:
        times = best[0].line.to_session(left_pulses)
        of_pulse, of_schedule = _match(times, left_schedule, _match_tolerance_s(best[0], params))
        left_pulses = np.delete(left_pulses, of_pulse)
        left_schedule = np.delete(left_schedule, of_schedule)
        if not len(left_pulses) or not len(left_schedule):
            break
        best = _best_lines(left_pulses, left_schedule, 1, params)
        candidates += best
    return candidates


def _best_lines(
    pulses: Times, schedule: Times, n_lines: int, params: AlignmentParams
) -> list[Segment]:
    """Return up to `n_lines` refined Hough lines within the bounds, the best one first."""
    tolerance = 1e-3 * params.match_tolerance_ms
    bound = 1e-6 * params.max_drift_ppm
    reach_s = params.max_offset_s + bound * np.abs(pulses)
    of_pulse, of_schedule = _pairs_within(pulses, schedule, reach_s)
    native, session = pulses[of_pulse], schedule[of_schedule]
    lines: list[Segment] = []
    for _ in range(n_lines):
        if not len(native):
            break
        line = hough_line(native, session, tolerance, bound)
        # The next line is sought among the pairs that this one leaves.
        voted = np.abs(session - line.to_session(native)) <= tolerance
        native, session = native[~voted], session[~voted]
        refined = _refine(line, pulses, schedule, params)
        if abs(refined.line.offset_s) <= params.max_offset_s:
            lines.append(refined)
    return sorted(lines, key=lambda segment: (-len(segment.native_s), segment.sigma_s))


def _pairs_within(pulses: Times, schedule: Times, reach_s: Times) -> tuple[Indices, Indices]:
    """Return the index pairs of all scheduled pulses within each pulse's reach."""
    first = np.searchsorted(schedule, pulses - reach_s, "left")
    n_near = np.searchsorted(schedule, pulses + reach_s, "right") - first
    of_pulse = np.repeat(np.arange(len(pulses)), n_near)
    # Number of pairs before the first one of the same pulse.
    before = np.repeat(np.cumsum(n_near) - n_near, n_near)
    return of_pulse, first[of_pulse] + np.arange(len(of_pulse)) - before


def _path_pairs(
    candidates: list[Segment], pulses: Times, schedule: Times, params: AlignmentParams
) -> tuple[Times, Times]:
    """Return the native and session times of the pairs on the cheapest path over the lines."""
    matched = np.full((len(candidates), len(pulses)), -1)
    cost = np.ones(matched.shape)  # of a pulse that the line does not explain
    for row, segment in enumerate(candidates):
        tolerance = _match_tolerance_s(segment, params)
        times = segment.line.to_session(pulses)
        of_pulse, of_schedule = _match(times, schedule, tolerance)
        matched[row, of_pulse] = of_schedule
        cost[row, of_pulse] = ((schedule[of_schedule] - times[of_pulse]) / tolerance) ** 2
    path = _cheapest_path(cost)
    chosen = matched[path, np.arange(len(pulses))]
    return pulses[chosen >= 0], schedule[chosen[chosen >= 0]]


def _match_tolerance_s(segment: Segment, params: AlignmentParams) -> float:
    """Return how far a pulse may be from a scheduled one: less for lines that fit well."""
    return min(1e-3 * params.match_tolerance_ms, OUTLIER_SIGMAS * segment.sigma_s + SIGMA_FLOOR_S)


def _cheapest_path(cost: NDArray[np.float64]) -> Indices:
    """Return the row of each column on the cheapest path, where a change of row costs.

    Viterbi's algorithm. From any row only two predecessors are possible: the same row, or the
    cheapest one plus `SWITCH_COST`.
    """
    total, came_from = cost[:, 0].copy(), []
    for column in cost.T[1:]:
        cheapest = int(np.argmin(total))
        switch = total > total[cheapest] + SWITCH_COST
        came_from.append(np.where(switch, cheapest, np.arange(len(total))))
        total = np.minimum(total, total[cheapest] + SWITCH_COST) + column
    path = [int(np.argmin(total))]
    for step in reversed(came_from):
        path.append(int(step[path[-1]]))
    return np.array(path[::-1])


def _refine(line: Line, pulses: Times, schedule: Times, params: AlignmentParams) -> Segment:
    """Alternate between matching and fitting, with a tolerance that follows the residuals."""
    limit = tolerance = 1e-3 * params.match_tolerance_ms
    sigma = tolerance
    native = session = np.empty(0)
    for _ in range(ITERATIONS):
        of_pulse, of_schedule = _match(line.to_session(pulses), schedule, tolerance)
        native, session = pulses[of_pulse], schedule[of_schedule]
        if not len(native):
            break
        residual = np.abs(session - line.to_session(native))
        # Huber weights: early, while the tolerance is wide, wrong pairs are among the matches.
        weights = 1 / np.maximum(1, residual / (HUBER_SIGMAS * sigma))
        line = weighted_line(native, session, weights, params.max_drift_ppm)
        residual = np.abs(session - line.to_session(native))
        sigma = max(SIGMA_FLOOR_S, MAD_TO_SD * float(np.median(residual)))
        tolerance = min(limit, OUTLIER_SIGMAS * sigma + SIGMA_FLOOR_S)
    return Segment(line, native, session, rms_s(line, native, session))


def _match(times: Times, schedule: Times, tolerance: float) -> tuple[Indices, Indices]:
    """Return index pairs of mutual nearest neighbours not further apart than `tolerance`."""
    forth, back = _nearest(times, schedule), _nearest(schedule, times)
    # Mutual, so that a spurious pulse beside a true one cannot take the same scheduled pulse.
    mutual = back[forth] == np.arange(len(times))
    close = np.abs(times - schedule[forth]) <= tolerance
    of_times = np.flatnonzero(mutual & close)
    return of_times, forth[of_times]


def _nearest(times: Times, sorted_times: Times) -> Indices:
    """Return the index of the nearest of `sorted_times` for each time."""
    right = np.clip(np.searchsorted(sorted_times, times), 1, max(1, len(sorted_times) - 1))
    right = np.minimum(right, len(sorted_times) - 1)
    left = np.maximum(right - 1, 0)
    return np.where(times - sorted_times[left] <= sorted_times[right] - times, left, right)


def _rejection(
    segment: Segment,
    candidates: list[Segment],
    pulses: Times,
    n_all: int,
    schedule: Times,
    params: AlignmentParams,
) -> str | None:
    """Return why a segment is not reliable, or None."""
    n = len(segment.native_s)
    if n < params.min_anchors:
        return (
            f"{n} of {len(pulses)} pulses match the schedule; at least {params.min_anchors} "
            "are required"
        )
    if _false_alarm_bound(segment, pulses, n_all, schedule, params) > MAX_FALSE_ALARM:
        return f"{n} of {len(pulses)} pulses match the schedule, no more than expected by chance"
    tolerance = 1e-3 * params.match_tolerance_ms
    for candidate in candidates:
        # A regular schedule matches itself after a shift by one period.
        rival = _refine(candidate.line, pulses, schedule, params)
        if len(rival.native_s) >= n:
            times = segment.native_s
            apart = rival.line.to_session(times) - segment.line.to_session(times)
            if np.abs(apart).max() > tolerance:
                return (
                    f"offsets of {segment.line.offset_s:.3f} s and {rival.line.offset_s:.3f} s "
                    "match the pulse schedule equally well"
                )
    return None


def _false_alarm_bound(
    segment: Segment, pulses: Times, n_all: int, schedule: Times, params: AlignmentParams
) -> float:
    """Bound the probability that random pulses match as well anywhere in the search range.

    Differences of unrelated pulses are uniform within the range of offsets, so that the number
    that falls into one band of the fit's width has a Poisson distribution. The bound is the tail
    probability of one band times the number of bands (offsets and drifts) and of stretches of
    the recording's `n_all` pulses that are at least as long (Bonferroni).
    """
    n = len(segment.native_s)
    band = 2 * min(1e-3 * params.match_tolerance_ms, OUTLIER_SIGMAS * max(segment.sigma_s, 1e-3))
    offsets = 2 * params.max_offset_s
    n_pairs = len(_pairs_within(pulses, schedule, np.full(len(pulses), params.max_offset_s))[0])
    drifts = 2e-6 * params.max_drift_ppm * float(np.ptp(pulses))
    stretches = (n_all - len(pulses) + 1) * (n_all - len(pulses) + 2) / 2
    trials = (offsets / band) * max(1.0, drifts / band) * stretches
    # P(X >= n); the segment's own n pairs are not random, so the rate excludes them.
    return float(poisson_tail(n - 1, max(0, n_pairs - n) * band / offsets)) * trials


def _valid_range_s(
    segments: list[Segment], schedule: Times, span_s: tuple[float, float]
) -> tuple[float, float]:
    """Return the native times between which the pulses do not contradict the outermost lines.

    Where several scheduled pulses in a row are missing at an end of the recording, the clock may
    have been reset, and is valid up to its outermost anchor only.
    """
    first, last = segments[0], segments[-1]
    before = schedule[schedule < first.session_s[0] - SIGMA_FLOOR_S]
    after = schedule[schedule > last.session_s[-1] + SIGMA_FLOOR_S]
    missed = MISSED_PULSES
    missed_before = len(before) >= missed and first.line.to_native(before[-missed]) > span_s[0]
    missed_after = len(after) >= missed and last.line.to_native(after[missed - 1]) < span_s[1]
    return (
        float(first.native_s[0]) if missed_before else -inf,
        float(last.native_s[-1]) if missed_after else inf,
    )

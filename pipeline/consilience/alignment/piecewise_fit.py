"""Robust piecewise linear clock fits, with a standard error and a confidence.

Anchors (pairs of native and session time) are split where a clock was reset, each stretch is
fitted by a robust line, and the lines are joined to a clock.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import erf, inf, sqrt

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import median_filter

from consilience.alignment.clock import Clock, ClockFit, Line, Piece, Times, unaligned
from consilience.schema.params.alignment import AlignmentParams
from consilience.signals.robust import MAD_TO_SD

HUBER_SIGMAS = 1.345  # 95 % efficiency for normal residuals (Huber 1981)
OUTLIER_SIGMAS = 4.0
NEIGHBOURS = 5  # anchors in the running median that identifies outliers
BORDER_ANCHORS = 3  # anchors next to a reset whose side is uncertain
SPLIT_GAIN = 25.0  # squared standard deviations that a split must save: 1 in 1000 by chance
ITERATIONS = 20


@dataclass(frozen=True)
class Segment:
    """Anchors that one line explains.

    Attributes
    ----------
    line : Line
    native_s, session_s : ndarray of float64, shape (n,)
        Increasing, without outliers.
    sigma_s : float
        Root of the mean squared residual over ``n - 2`` degrees of freedom.
    """

    line: Line
    native_s: Times
    session_s: Times
    sigma_s: float


def hough_line(native_s: Times, session_s: Times, tolerance_s: float, bound: float) -> Line:
    """Find the line whose band contains the most pairs, by a Hough transform over drifts.

    For each drift of a grid the offset with the most pairs within the band is found by sorting,
    so that only one of the two parameters needs a grid.

    Parameters
    ----------
    native_s, session_s : ndarray of float64, shape (n_pairs,)
        At least one pair.
    tolerance_s : float
        Width of the band.
    bound : float
        Largest absolute drift, in seconds per second.

    Returns
    -------
    Line
        Through the middle of the pairs in the best band.
    """
    # The step is so small that no pair moves by more than a quarter of the tolerance between
    # neighbouring drifts of the grid, so that no line falls between two of them.
    steps = int(np.ceil(bound * np.abs(native_s).max() / (tolerance_s / 4)))
    best, line = -1, Line()
    for drift in np.linspace(-bound, bound, 2 * steps + 1):
        difference = np.sort(session_s - (1 + drift) * native_s)
        # Number of pairs in the band that starts at each pair.
        ends = np.searchsorted(difference, difference + tolerance_s, "right")
        votes = ends - np.arange(len(difference))
        top = int(np.argmax(votes))
        if votes[top] > best:
            middle = (difference[top] + difference[ends[top] - 1]) / 2
            best, line = int(votes[top]), Line(float(middle), 1e6 * float(drift))
    return line


def robust_line(native_s: Times, session_s: Times, floor_s: float, max_drift_ppm: float) -> Line:
    """Fit a line by Huber's regression (iteratively reweighted), with a bounded drift.

    Parameters
    ----------
    native_s, session_s : ndarray of float64, shape (n,)
    floor_s : float
        Lower bound of the anchors' standard deviation.
    max_drift_ppm : float

    Returns
    -------
    Line
    """
    weights = np.ones(len(native_s))
    line = weighted_line(native_s, session_s, weights, max_drift_ppm)
    for _ in range(ITERATIONS):
        residual = np.abs(session_s - line.to_session(native_s))
        # Without a floor, exact anchors would make the limit zero and the weights unbounded.
        limit = HUBER_SIGMAS * max(floor_s, MAD_TO_SD * float(np.median(residual)))
        before, line = (
            line,
            weighted_line(native_s, session_s, 1 / np.maximum(1, residual / limit), max_drift_ppm),
        )
        if abs(line.to_session(native_s[-1]) - before.to_session(native_s[-1])) < 1e-3 * floor_s:
            break
    return line


def weighted_line(native_s: Times, session_s: Times, weights: Times, max_drift_ppm: float) -> Line:
    """Fit a line by weighted least squares, with a bounded drift."""
    total = float(weights.sum())
    native_mean = float(weights @ native_s) / total
    # Fitting the small difference of the two times, about centred native times, keeps the
    # digits of the drift, which is some 1e-4, beside native times of thousands of seconds.
    difference = session_s - native_s
    difference_mean = float(weights @ difference) / total
    centred = native_s - native_mean
    spread = float(weights @ centred**2)
    drift = float(weights @ (centred * difference)) / spread if spread > 0 else 0.0
    drift_ppm = float(np.clip(1e6 * drift, -max_drift_ppm, max_drift_ppm))
    # The line passes through the mean even if the drift was clipped.
    return Line(difference_mean - 1e-6 * drift_ppm * native_mean, drift_ppm)


def fit_segments(
    native_s: Times, session_s: Times, floor_s: float, params: AlignmentParams
) -> list[Segment]:
    """Split anchors into stretches of one line each and fit a robust line to each.

    A stretch is split where two lines reduce the squared residuals by more than noise would.

    Parameters
    ----------
    native_s, session_s : ndarray of float64, shape (n,)
        Anchors in native order; they may contain outliers.
    floor_s : float
        Lower bound of the anchors' standard deviation.
    params : AlignmentParams
        Largest drift, and least number of anchors per stretch.

    Returns
    -------
    list of Segment
        In native order; empty without anchors.
    """
    if not len(native_s):
        return []
    sigma_s = max(floor_s, _local_sigma_s(native_s, session_s))
    stretches = _split(native_s, session_s, sigma_s, params)
    return [_segment(native_s[rows], session_s[rows], floor_s, params) for rows in stretches]


def _local_sigma_s(native_s: Times, session_s: Times) -> float:
    """Estimate the anchors' standard deviation from differences of neighbours.

    A reset changes one difference only, so that the median of the differences ignores it.
    Residuals of a single line would be inflated by every reset.
    """
    if len(native_s) < 3:
        return 0.0
    step, rise = np.diff(native_s), np.diff(session_s - native_s)
    drift = np.median(rise / np.maximum(step, 1e-9))
    # A difference of two independent errors has twice their variance.
    return float(MAD_TO_SD * np.median(np.abs(rise - drift * step)) / np.sqrt(2))


def _split(
    native_s: Times, session_s: Times, sigma_s: float, params: AlignmentParams
) -> list[slice]:
    """Return the stretches of one line each; anchors unlike their neighbours are ignored."""
    if len(native_s) < 2:
        return [slice(0, len(native_s))]
    drift = np.median(np.diff(session_s - native_s) / np.maximum(np.diff(native_s), 1e-9))
    # Without the drift an undisturbed clock is level, and a running median follows its steps.
    level = session_s - (1 + drift) * native_s
    usual = median_filter(level, NEIGHBOURS, mode="nearest")
    inliers = np.flatnonzero(np.abs(level - usual) <= OUTLIER_SIGMAS * sigma_s)
    x, y = native_s[inliers], (level[inliers] - np.median(level)) / sigma_s

    def ends(start: int, end: int) -> list[int]:
        """Split recursively at the best position, and return the ends of all parts."""
        if end - start < 2 * params.min_anchors:
            return [end]
        # Squared residuals of every prefix and of every suffix, each with a line of its own.
        before = _prefix_squares(x[start:end], y[start:end])
        after = _prefix_squares(x[start:end][::-1], y[start:end][::-1])[::-1]
        size = params.min_anchors
        total = before[size - 1 : end - start - size] + after[size : end - start - size + 1]
        best = int(np.argmin(total))
        if before[-1] - total[best] < SPLIT_GAIN:
            return [end]
        middle = start + size + best
        return ends(start, middle) + ends(middle, end)

    borders = [0, *(int(inliers[end]) for end in ends(0, len(inliers))[:-1]), len(native_s)]
    return [slice(start, end) for start, end in pairwise(borders)]


def _prefix_squares(x: Times, y: Times) -> Times:
    """Return the sum of squared residuals of the best line through the first k points, k = 1..n.

    All prefixes are fitted at once from cumulative sums, which makes a split search linear.
    """
    x = x - x.mean()
    k = np.arange(1, len(x) + 1)
    mean_x, mean_y = np.cumsum(x) / k, np.cumsum(y) / k
    xx = np.cumsum(x * x) - k * mean_x**2
    xy = np.cumsum(x * y) - k * mean_x * mean_y
    yy = np.cumsum(y * y) - k * mean_y**2
    explained = np.divide(xy**2, xx, out=np.zeros_like(xx), where=xx > 1e-12)
    # Rounding can make the residual of an exact line slightly negative.
    return np.maximum(0, yy - explained)


def _segment(native_s: Times, session_s: Times, floor_s: float, params: AlignmentParams) -> Segment:
    """Fit a robust line, remove the outliers, and fit the rest again."""
    line = robust_line(native_s, session_s, floor_s, params.max_drift_ppm)
    residual = np.abs(session_s - line.to_session(native_s))
    sigma_s = max(floor_s, MAD_TO_SD * float(np.median(residual)))
    near = residual <= OUTLIER_SIGMAS * sigma_s
    native_s, session_s = native_s[near], session_s[near]
    line = robust_line(native_s, session_s, floor_s, params.max_drift_ppm)
    return Segment(line, native_s, session_s, rms_s(line, native_s, session_s))


def rms_s(line: Line, native_s: Times, session_s: Times) -> float:
    """Return the root of the mean squared residual over ``n - 2`` degrees of freedom."""
    squares = (session_s - line.to_session(native_s)) ** 2
    return float(np.sqrt(squares.sum() / max(1, len(native_s) - 2)))


def standard_error_s(
    segment: Segment, from_s: float, until_s: float, floor_s: float, params: AlignmentParams
) -> float:
    """Return the largest standard error of a segment's line within a stretch of native time.

    The drift's precision is the sum of that of the anchors and of a prior with the largest drift
    as its standard deviation, so that even one anchor is useful on a short recording.

    Parameters
    ----------
    segment : Segment
    from_s, until_s : float
        Native times of the stretch.
    floor_s : float
        Lower bound of the anchors' standard deviation.
    params : AlignmentParams

    Returns
    -------
    float
        In seconds.
    """
    n, sigma_s = len(segment.native_s), max(floor_s, segment.sigma_s)
    mean = float(segment.native_s.mean())
    spread = float(np.sum((segment.native_s - mean) ** 2))
    precision = spread / sigma_s**2 + 1 / (1e-6 * params.max_drift_ppm) ** 2
    # The error grows with the distance from the anchors' mean, so it is largest at an end.
    reach = max(abs(mean - from_s), abs(until_s - mean))
    return sqrt(sigma_s**2 / n + reach**2 / precision)


def clock_from_segments(
    method: str,
    segments: Sequence[Segment],
    span_s: tuple[float, float],
    floor_s: float,
    tolerance_ms: float,
    params: AlignmentParams,
    *,
    valid_s: tuple[float, float] = (-inf, inf),
    gaps_s: NDArray[np.float64] | None = None,
) -> ClockFit:
    """Join segments to a clock and compute its standard error, confidence and status.

    Segments that are not accurate within the tolerance are left out if another one is.

    Parameters
    ----------
    method : str
        The evidence that the anchors come from.
    segments : sequence of Segment
        In native order; at least one.
    span_s : tuple of 2 floats
        Native times of the recording's first and last sample.
    floor_s : float
        Lower bound of the anchors' standard deviation.
    tolerance_ms : float
        Largest error of an aligned clock.
    params : AlignmentParams
    valid_s : tuple of 2 floats
        Native times outside of which the evidence contradicts the outermost lines.
    gaps_s : ndarray of float64, shape (n_gaps, 2), or None
        Native times between which nothing was recorded: the likely moments of resets.

    Returns
    -------
    ClockFit
    """
    pieces = _pieces(
        segments, tolerance_ms, valid_s, np.empty((0, 2)) if gaps_s is None else gaps_s
    )
    errors = [
        _piece_error(*pair, span_s, floor_s, tolerance_ms, params)
        for pair in zip(segments, pieces, strict=True)
    ]
    accurate = [index for index, (_, reason) in enumerate(errors) if reason is None]
    # Without an accurate segment the one with the most anchors gives a coarse clock.
    most_anchors = max(range(len(segments)), key=lambda index: len(segments[index].native_s))
    kept = accurate or [most_anchors]
    clock = Clock.join([pieces[index] for index in kept])
    if not clock.pieces:
        return unaligned(method, "the anchors between resets are too few")
    reason = None if accurate else errors[kept[0]][1]
    if accurate and len(accurate) < len(segments):
        n_dropped = len(segments) - len(accurate)
        reason = f"{n_dropped} of {len(segments)} stretches between resets left out"
    error_s = max(errors[index][0] for index in kept)
    used = [segments[index] for index in kept]
    return ClockFit(
        clock,
        method,
        np.concatenate([np.stack([s.native_s, s.session_s], axis=1) for s in used]),
        1e3 * _pooled_rms_s(used),
        1e3 * error_s,
        erf(1e-3 * tolerance_ms / (sqrt(2) * error_s)),
        "aligned" if accurate else "coarse",
        reason,
    )


def _pooled_rms_s(segments: Sequence[Segment]) -> float:
    """Return the root mean squared residual of all segments; each line costs two parameters."""
    squares = sum(
        float(np.sum((segment.session_s - segment.line.to_session(segment.native_s)) ** 2))
        for segment in segments
    )
    n_anchors = sum(len(segment.native_s) for segment in segments)
    return sqrt(squares / max(1, n_anchors - 2 * len(segments)))


def _pieces(
    segments: Sequence[Segment],
    tolerance_ms: float,
    valid_s: tuple[float, float],
    gaps_s: NDArray[np.float64],
) -> list[Piece]:
    """Return each segment's line with the range of native times in which it is valid."""
    borders = [valid_s[0]]
    for before, after in pairwise(segments):
        borders += _border_s(before, after, tolerance_ms, gaps_s)
    borders.append(valid_s[1])
    return [
        Piece(segment.line, start, end)
        for segment, start, end in zip(segments, borders[::2], borders[1::2], strict=True)
    ]


def _border_s(
    before: Segment, after: Segment, tolerance_ms: float, gaps_s: NDArray[np.float64]
) -> tuple[float, float]:
    """Return the native times at which the first line ends and at which the second one starts."""
    # Noise can put the anchor next to a reset on the wrong side, but hardly several of them.
    last = float(before.native_s[-min(BORDER_ANCHORS, len(before.native_s))])
    first = float(after.native_s[min(BORDER_ANCHORS, len(after.native_s)) - 1])
    ends = np.array([last, first])
    difference = np.abs(before.line.to_session(ends) - after.line.to_session(ends))
    if (difference <= 1e-3 * tolerance_ms).all():
        # Lines that agree in between leave no time unknown: a change of drift, not a reset.
        middle = (last + first) / 2
        return middle, float(np.nextafter(middle, inf))
    within = gaps_s[(gaps_s[:, 0] >= last) & (gaps_s[:, 1] <= first)]
    if len(within):
        # A reset leaves a gap in the time stamps; the widest gap locates it.
        stop, start = (float(time) for time in within[np.argmax(np.diff(within)[:, 0])])
        if before.line.to_session(stop) <= after.line.to_session(start):
            return stop, start
    return last, first


def _piece_error(
    segment: Segment,
    piece: Piece,
    span_s: tuple[float, float],
    floor_s: float,
    tolerance_ms: float,
    params: AlignmentParams,
) -> tuple[float, str | None]:
    """Return a piece's largest standard error in s, and why it exceeds the tolerance, or None."""
    start = max(span_s[0], piece.from_native_s)
    end = min(span_s[1], piece.until_native_s)
    error_s = standard_error_s(segment, min(start, end), max(start, end), floor_s, params)
    sigma_ms = 1e3 * segment.sigma_s
    if sigma_ms > tolerance_ms:
        return error_s, f"the residual of {sigma_ms:.1f} ms exceeds {tolerance_ms:.1f} ms"
    if erf(1e-3 * tolerance_ms / (sqrt(2) * error_s)) < params.min_confidence:
        return error_s, (
            f"the clock's largest standard error of {1e3 * error_s:.1f} ms is too large for a "
            f"tolerance of {tolerance_ms:.1f} ms"
        )
    return error_s, None

"""Robust lines through anchors, as many as a clock's resets demand, and what they are worth."""

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

HUBER_SIGMAS = 1.345
OUTLIER_SIGMAS = 4.0
NEIGHBOURS = 5
SURE = 3  # anchors
SPLIT_GAIN = 25.0  # squared standard deviations that a reset must save: 1 in 1000 by chance
ITERATIONS = 20


@dataclass(frozen=True)
class Segment:
    """Anchors of one line.

    Attributes
    ----------
    line : Line
    native_s, session_s : ndarray of float64, shape (n,)
        Increasing; outliers left out.
    sigma_s : float
        Root of the mean squared residual over ``n - 2`` degrees of freedom.
    """

    line: Line
    native_s: Times
    session_s: Times
    sigma_s: float


def hough_line(native_s: Times, session_s: Times, tolerance_s: float, bound: float) -> Line:
    """Return the line in whose band most pairs lie: a Hough transform over a grid of drifts.

    Parameters
    ----------
    native_s, session_s : ndarray of float64, shape (n_pairs,)
        At least one.
    tolerance_s : float
        Width of the band.
    bound : float
        Largest drift, either way, in seconds a second.
    """
    # Between neighbouring drifts of the grid no pulse moves by more than half the tolerance.
    steps = int(np.ceil(bound * np.abs(native_s).max() / (tolerance_s / 4)))
    best, line = -1, Line()
    for drift in np.linspace(-bound, bound, 2 * steps + 1):
        difference = np.sort(session_s - (1 + drift) * native_s)
        ends = np.searchsorted(difference, difference + tolerance_s, "right")
        votes = ends - np.arange(len(difference))
        top = int(np.argmax(votes))
        if votes[top] > best:
            middle = (difference[top] + difference[ends[top] - 1]) / 2
            best, line = int(votes[top]), Line(float(middle), 1e6 * float(drift))
    return line


def robust_line(native_s: Times, session_s: Times, floor_s: float, max_drift_ppm: float) -> Line:
    """Fit a line by Huber's regression, iteratively reweighted, the drift within its bounds.

    Parameters
    ----------
    native_s, session_s : ndarray of float64, shape (n,)
    floor_s : float
        Least standard deviation an anchor can have.
    max_drift_ppm : float
    """
    weights = np.ones(len(native_s))
    line = weighted_line(native_s, session_s, weights, max_drift_ppm)
    for _ in range(ITERATIONS):
        residual = np.abs(session_s - line.to_session(native_s))
        limit = HUBER_SIGMAS * max(floor_s, 1.4826 * float(np.median(residual)))
        before, line = (
            line,
            weighted_line(native_s, session_s, 1 / np.maximum(1, residual / limit), max_drift_ppm),
        )
        if abs(line.to_session(native_s[-1]) - before.to_session(native_s[-1])) < 1e-3 * floor_s:
            break
    return line


def weighted_line(native_s: Times, session_s: Times, weights: Times, max_drift_ppm: float) -> Line:
    """Fit a line by weighted least squares, the drift held within its bounds."""
    total = float(weights.sum())
    native_mean = float(weights @ native_s) / total
    difference = session_s - native_s
    difference_mean = float(weights @ difference) / total
    centred = native_s - native_mean
    spread = float(weights @ centred**2)
    drift = float(weights @ (centred * difference)) / spread if spread > 0 else 0.0
    drift_ppm = float(np.clip(1e6 * drift, -max_drift_ppm, max_drift_ppm))
    return Line(difference_mean - 1e-6 * drift_ppm * native_mean, drift_ppm)


def fit_segments(
    native_s: Times, session_s: Times, floor_s: float, params: AlignmentParams
) -> list[Segment]:
    """Divide anchors into stretches of one line each, outliers left out.

    A stretch is divided where two lines save more of the squared residuals than noise would.

    Parameters
    ----------
    native_s, session_s : ndarray of float64, shape (n,)
        In native order; some may be wrong.
    floor_s : float
        Least standard deviation an anchor can have.
    params : AlignmentParams
        Bounds.
    """
    if not len(native_s):
        return []
    sigma_s = max(floor_s, _local_sigma(native_s, session_s))
    parts = _divide(native_s, session_s, sigma_s, params)
    return [_segment(native_s[part], session_s[part], floor_s, params) for part in parts]


def _local_sigma(native_s: Times, session_s: Times) -> float:
    """Return the noise of anchors by what neighbours differ in, which no reset inflates."""
    if len(native_s) < 3:
        return 0.0
    step, rise = np.diff(native_s), np.diff(session_s - native_s)
    drift = np.median(rise / np.maximum(step, 1e-9))
    return float(1.4826 * np.median(np.abs(rise - drift * step)) / np.sqrt(2))


def _divide(
    native_s: Times, session_s: Times, sigma_s: float, params: AlignmentParams
) -> list[slice]:
    """Return the stretches of one line each; anchors unlike their neighbours do not count."""
    if len(native_s) < 2:
        return [slice(0, len(native_s))]
    drift = np.median(np.diff(session_s - native_s) / np.maximum(np.diff(native_s), 1e-9))
    level = session_s - (1 + drift) * native_s
    usual = median_filter(level, NEIGHBOURS, mode="nearest")
    alike = np.flatnonzero(np.abs(level - usual) <= OUTLIER_SIGMAS * sigma_s)
    x, y = native_s[alike], (level[alike] - np.median(level)) / sigma_s

    def ends(start: int, end: int) -> list[int]:
        if end - start < 2 * params.min_anchors:
            return [end]
        before = _squares(x[start:end], y[start:end])
        after = _squares(x[start:end][::-1], y[start:end][::-1])[::-1]
        size = params.min_anchors
        split = before[size - 1 : end - start - size] + after[size : end - start - size + 1]
        best = int(np.argmin(split))
        if before[-1] - split[best] < SPLIT_GAIN:
            return [end]
        middle = start + size + best
        return ends(start, middle) + ends(middle, end)

    borders = [0, *(int(alike[end]) for end in ends(0, len(alike))[:-1]), len(native_s)]
    return [slice(start, end) for start, end in pairwise(borders)]


def _squares(x: Times, y: Times) -> Times:
    """Return the squared residuals' sum of the best line through the first k points, k = 1..n."""
    x = x - x.mean()
    k = np.arange(1, len(x) + 1)
    mean_x, mean_y = np.cumsum(x) / k, np.cumsum(y) / k
    xx = np.cumsum(x * x) - k * mean_x**2
    xy = np.cumsum(x * y) - k * mean_x * mean_y
    yy = np.cumsum(y * y) - k * mean_y**2
    explained = np.divide(xy**2, xx, out=np.zeros_like(xx), where=xx > 1e-12)
    return np.maximum(0, yy - explained)


def _segment(native_s: Times, session_s: Times, floor_s: float, params: AlignmentParams) -> Segment:
    line = robust_line(native_s, session_s, floor_s, params.max_drift_ppm)
    residual = np.abs(session_s - line.to_session(native_s))
    sigma_s = max(floor_s, 1.4826 * float(np.median(residual)))
    near = residual <= OUTLIER_SIGMAS * sigma_s
    native_s, session_s = native_s[near], session_s[near]
    line = robust_line(native_s, session_s, floor_s, params.max_drift_ppm)
    return Segment(line, native_s, session_s, rms(line, native_s, session_s))


def rms(line: Line, native_s: Times, session_s: Times) -> float:
    """Return the root of the mean squared residual over ``n - 2`` degrees of freedom."""
    squares = (session_s - line.to_session(native_s)) ** 2
    return float(np.sqrt(squares.sum() / max(1, len(native_s) - 2)))


def standard_error_s(
    segment: Segment, from_s: float, until_s: float, floor_s: float, params: AlignmentParams
) -> float:
    """Return the line's standard error where it is largest within a stretch of native time.

    The drift is known from the anchors and from its bounds together, so that one anchor alone
    is worth something on a short recording.
    """
    n, sigma_s = len(segment.native_s), max(floor_s, segment.sigma_s)
    mean = float(segment.native_s.mean())
    spread = float(np.sum((segment.native_s - mean) ** 2))
    known = spread / sigma_s**2 + 1 / (1e-6 * params.max_drift_ppm) ** 2
    reach = max(abs(mean - from_s), abs(until_s - mean))
    return sqrt(sigma_s**2 / n + reach**2 / known)


def clock_from_segments(
    method: str,
    parts: Sequence[Segment],
    span_s: tuple[float, float],
    floor_s: float,
    tolerance_ms: float,
    params: AlignmentParams,
    *,
    trusted_s: tuple[float, float] = (-inf, inf),
    gaps_s: NDArray[np.float64] | None = None,
) -> ClockFit:
    """Join segments to a clock and say how far to rely on it.

    Parameters
    ----------
    method : str
        Where the anchors are from.
    parts : sequence of Segment
        In native order; at least one.
    span_s : tuple of 2 floats
        Native times of the recording's first and last sample.
    floor_s : float
        Least standard deviation an anchor can have.
    tolerance_ms : float
        The clock is to be right within it.
    params : AlignmentParams
        Bounds.
    trusted_s : tuple of 2 floats
        Native times outside of which the anchors speak against the clock.
    gaps_s : ndarray of float64, shape (n_gaps, 2), or None
        Native times between which nothing was recorded: the likely moments of resets.
    """
    pieces = _pieces(parts, tolerance_ms, trusted_s, np.empty((0, 2)) if gaps_s is None else gaps_s)
    judged = [
        _judged(*pair, span_s, floor_s, tolerance_ms, params)
        for pair in zip(parts, pieces, strict=True)
    ]
    good = [index for index, (_, doubt) in enumerate(judged) if doubt is None]
    kept = good or [max(range(len(parts)), key=lambda index: len(parts[index].native_s))]
    clock = Clock.join([pieces[index] for index in kept])
    if not clock.pieces:
        return unaligned(method, "the anchors between resets are too few")
    error_s = max(judged[index][0] for index in kept)
    native, session = (
        np.concatenate([getattr(parts[index], name) for index in kept])
        for name in ("native_s", "session_s")
    )
    squares = sum(
        float(np.sum((parts[i].session_s - parts[i].line.to_session(parts[i].native_s)) ** 2))
        for i in kept
    )
    reason = None if good else judged[kept[0]][1]
    if good and len(good) < len(parts):
        reason = f"{len(parts) - len(good)} of {len(parts)} stretches between resets left out"
    return ClockFit(
        clock,
        method,
        np.stack([native, session], axis=1),
        1e3 * sqrt(squares / max(1, len(native) - 2 * len(kept))),
        1e3 * error_s,
        erf(1e-3 * tolerance_ms / (sqrt(2) * error_s)),
        "aligned" if good else "coarse",
        reason,
    )


def _pieces(
    parts: Sequence[Segment],
    tolerance_ms: float,
    trusted_s: tuple[float, float],
    gaps_s: NDArray[np.float64],
) -> list[Piece]:
    borders = [trusted_s[0]]
    for before, after in pairwise(parts):
        borders += _border(before, after, tolerance_ms, gaps_s)
    borders.append(trusted_s[1])
    return [
        Piece(part.line, start, end)
        for part, start, end in zip(parts, borders[::2], borders[1::2], strict=True)
    ]


def _border(
    before: Segment, after: Segment, tolerance_ms: float, gaps_s: NDArray[np.float64]
) -> tuple[float, float]:
    """Return until when the first of two lines holds, and from when the second.

    The anchor next to the border may be on the wrong side by chance, hardly so several.
    """
    last = float(before.native_s[-min(SURE, len(before.native_s))])
    first = float(after.native_s[min(SURE, len(after.native_s)) - 1])
    ends = np.array([last, first])
    apart = np.abs(before.line.to_session(ends) - after.line.to_session(ends))
    if (apart <= 1e-3 * tolerance_ms).all():
        middle = (last + first) / 2
        return middle, float(np.nextafter(middle, inf))
    within = gaps_s[(gaps_s[:, 0] >= last) & (gaps_s[:, 1] <= first)]
    if len(within):
        stop, start = (float(time) for time in within[np.argmax(np.diff(within)[:, 0])])
        if before.line.to_session(stop) <= after.line.to_session(start):
            return stop, start
    return last, first


def _judged(
    part: Segment,
    piece: Piece,
    span_s: tuple[float, float],
    floor_s: float,
    tolerance_ms: float,
    params: AlignmentParams,
) -> tuple[float, str | None]:
    """Return a piece's standard error at its worst, and why it is not within the tolerance."""
    start = max(span_s[0], piece.from_native_s)
    end = min(span_s[1], piece.until_native_s)
    error_s = standard_error_s(part, min(start, end), max(start, end), floor_s, params)
    if 1e3 * part.sigma_s > tolerance_ms:
        return error_s, f"the residual of {1e3 * part.sigma_s:.1f} ms exceeds {tolerance_ms:.1f} ms"
    if erf(1e-3 * tolerance_ms / (sqrt(2) * error_s)) < params.min_confidence:
        return error_s, (
            f"the clock's standard error is {1e3 * error_s:.1f} ms at its worst, "
            f"too much to be sure of {tolerance_ms:.1f} ms"
        )
    return error_s, None

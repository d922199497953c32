"""Delay and drift between two recordings of the same sound, by GCC-PHAT."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import fft
from scipy.ndimage import map_coordinates

from consilience.alignment.chance import poisson_tail
from consilience.alignment.clock import Line, Times
from consilience.alignment.piecewise_fit import Segment, fit_segments, hough_line
from consilience.schema.params.alignment import AlignmentParams
from consilience.signals.robust import MAD_TO_SD

Array = NDArray[np.float32]

METHOD = "shared sound"
FLOOR_S = 1e-4
COARSE_S = 2.0  # window so short that no drift within the bounds blurs the peak
COARSE_WINDOWS = 48
COARSE_TOLERANCE_S = 5e-3
NEAR_S = 0.02  # largest distance of the true delay from the coarse one
PEAK_SIGMAS = 7.0  # least height of the peak, in robust standard deviations of the correlation
MAX_FALSE_ALARM = 1e-3  # probability that as many windows agree by chance
ROUNDS = 2


@dataclass(frozen=True)
class SoundTrack:
    """A mono sound track on the clock of its recording.

    Attributes
    ----------
    values : ndarray of float32, shape (n_samples,)
    start_s : float
        Native time of the first sample.
    rate_hz : float
        Effective sampling rate in native time.
    """

    values: Array
    start_s: float
    rate_hz: float

    @property
    def end_s(self) -> float:
        """Native time of the last sample."""
        return self.start_s + (len(self.values) - 1) / self.rate_hz

    def at(self, times_s: Times) -> Array:
        """Interpolate at increasing times with cubic splines; zero outside the track.

        Parameters
        ----------
        times_s : ndarray of float64, shape (n,)

        Returns
        -------
        ndarray of float32, shape (n,)
        """
        position = (times_s - self.start_s) * self.rate_hz
        # Spline coefficients decay within a few samples, so 16 more on either side suffice.
        first = max(0, int(position[0]) - 16)
        nearby = self.values[first : max(first, int(position[-1])) + 16]
        if len(nearby) < 2:
            return np.zeros(len(times_s), np.float32)
        samples: Array = map_coordinates(nearby, (position - first)[None], order=3, mode="constant")
        return samples


def shared_sound_anchors(
    track: SoundTrack, other: SoundTrack, max_offset_s: float, params: AlignmentParams
) -> Times:
    """Find simultaneous moments of two sound tracks recorded in the same room.

    Phase-weighted cross-correlation (GCC-PHAT; Knapp & Carter 1976, IEEE Trans. ASSP 24(4))
    gives the delay of short windows within the largest offset; a Hough transform and
    `fit_segments` select the windows that agree on a clock. Long windows are then correlated
    after the other track is resampled to this track's clock, so that drift does not blur the
    peak. This gives the delay to a fraction of a sample and is done `ROUNDS` times.

    Parameters
    ----------
    track, other : SoundTrack
        At the same nominal rate; each on its own clock.
    max_offset_s : float
        Largest offset between the two clocks.
    params : AlignmentParams
        Bounds, and the length of the windows.

    Returns
    -------
    ndarray of float64, shape (n_anchors, 2)
        Time of each window's middle on the clocks of `track` and `other`; empty if the tracks
        share no sound.
    """
    segments = _coarse_segments(track, other, max_offset_s, params)
    for _ in range(ROUNDS):
        anchors = np.array(
            [pair for item in segments for pair in _fine_anchors(track, other, item, params)]
        )
        if len(anchors) < params.min_anchors:
            return np.empty((0, 2))
        segments = fit_segments(anchors[:, 0], anchors[:, 1], FLOOR_S, params)
    return anchors


def _coarse_segments(
    track: SoundTrack, other: SoundTrack, max_offset_s: float, params: AlignmentParams
) -> list[Segment]:
    """Return the lines on which the delays of the short windows agree."""
    reach_s = max_offset_s + 1e-6 * params.max_drift_ppm * (other.end_s - other.start_s)
    length_s = min(COARSE_S, (track.end_s - track.start_s) / 4)
    middles: Times = np.linspace(
        track.start_s + length_s / 2, track.end_s - length_s / 2, COARSE_WINDOWS
    )
    pairs = []
    for middle in middles:
        delay = _delay_s(track, other, middle, length_s, Line(), reach_s)
        if delay is not None:
            pairs.append((middle, middle + delay))
    native, session = np.array(pairs).reshape(-1, 2).T
    if len(native) < params.min_anchors:
        return []
    line = hough_line(native, session, 2 * COARSE_TOLERANCE_S, 1e-6 * params.max_drift_ppm)
    near = np.abs(session - line.to_session(native)) <= COARSE_TOLERANCE_S
    # Delays of unrelated tracks are uniform within the search range. One of them places the
    # band; the number of others in it has a Poisson distribution. Bonferroni over all bands.
    expected = len(native) * COARSE_TOLERANCE_S / reach_s
    if poisson_tail(near.sum() - 2, expected) * reach_s / COARSE_TOLERANCE_S > MAX_FALSE_ALARM:
        return []
    return fit_segments(native[near], session[near], 1e-3, params)


def _fine_anchors(
    track: SoundTrack, other: SoundTrack, segment: Segment, params: AlignmentParams
) -> list[tuple[float, float]]:
    """Return the times of long, half-overlapping windows of a segment on both clocks."""
    length_s = min(params.sound_window_s, (track.end_s - track.start_s) / 4)
    first = max(track.start_s, float(segment.native_s[0]) - params.sound_window_s)
    last = min(track.end_s, float(segment.native_s[-1]) + params.sound_window_s)
    n_windows = max(1, int(2 * (last - first) / length_s) - 1)
    middles: Times = np.linspace(first + length_s / 2, last - length_s / 2, n_windows)
    anchors = []
    for middle in middles:
        delay = _delay_s(track, other, middle, length_s, segment.line, NEAR_S)
        if delay is not None:
            anchors.append((float(middle), float(segment.line.to_session(middle) + delay)))
    return anchors


def _delay_s(
    track: SoundTrack,
    other: SoundTrack,
    middle_s: float,
    length_s: float,
    line: Line,
    reach_s: float,
) -> float | None:
    """Return the delay of the other track relative to `line`, by GCC-PHAT of one window.

    Parameters
    ----------
    track, other : SoundTrack
    middle_s, length_s : float
        The window, on the clock of `track`.
    line : Line
        Approximate map from the clock of `track` to that of `other`.
    reach_s : float
        Largest delay in either direction.

    Returns
    -------
    float or None
        In seconds; None if the correlation has no distinct peak within the reach.
    """
    n, lags = round(length_s * track.rate_hz), round(reach_s * track.rate_hz)
    times = middle_s + np.arange((1 - n) / 2, n / 2) / track.rate_hz
    wide = middle_s + np.arange((1 - n) / 2 - lags, n / 2 + lags) / track.rate_hz
    x, y = track.at(times), other.at(line.to_session(wide))
    if not x.any() or not y.any():
        return None
    size = fft.next_fast_len(n + len(wide), real=True)
    window = np.hanning(n).astype(np.float32)
    cross = fft.rfft(y, size) * np.conj(fft.rfft(x * window, size))
    # The phase transform: without magnitudes, the periodicity of voices gives no further peaks.
    cross /= np.maximum(np.abs(cross), np.finfo(np.float32).tiny)
    correlation = fft.irfft(cross, size)[: 2 * lags + 1]
    top = int(np.argmax(correlation))
    # A robust spread, because the peak itself must not raise the threshold.
    spread = MAD_TO_SD * np.median(np.abs(correlation - np.median(correlation)))
    if not 0 < top < 2 * lags or correlation[top] < PEAK_SIGMAS * spread:
        return None
    # Vertex of the parabola through the peak and its neighbours.
    left, peak, right = correlation[top - 1 : top + 2]
    shift = 0.5 * (left - right) / (left - 2 * peak + right)
    return float((top + shift - lags) / track.rate_hz)

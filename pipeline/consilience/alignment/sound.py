"""The delay between two recordings of the same sound, and how it drifts."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import fft
from scipy.ndimage import map_coordinates
from scipy.stats import poisson

from consilience.alignment.clock import Line, Times
from consilience.alignment.piecewise_fit import Segment, fit_segments, hough_line
from consilience.schema.params.alignment import AlignmentParams

Array = NDArray[np.float32]

METHOD = "shared sound"
FLOOR_S = 1e-4
COARSE_S = 2.0  # short, so that no drift within bounds blurs the peak
COARSE_WINDOWS = 48
COARSE_TOLERANCE_S = 5e-3
NEAR_S = 0.02  # the true delay lies this near to the coarse one
PEAK_SIGMAS = 7.0  # the correlation at the delay, over its spread at all others
CHANCE = 1e-3
ROUNDS = 2


@dataclass(frozen=True)
class SoundTrack:
    """A sound track: samples, when the first was taken on the recording's clock, their rate."""

    values: Array
    start_s: float
    rate_hz: float

    @property
    def end_s(self) -> float:
        """When the last sample was taken."""
        return self.start_s + (len(self.values) - 1) / self.rate_hz

    def at(self, times_s: Times) -> Array:
        """Interpolate with cubic splines; zero outside."""
        position = (times_s - self.start_s) * self.rate_hz
        first = max(0, int(position[0]) - 16)
        part = self.values[first : max(first, int(position[-1])) + 16]
        if len(part) < 2:
            return np.zeros(len(times_s), np.float32)
        found: Array = map_coordinates(part, (position - first)[None], order=3, mode="constant")
        return found


def shared_sound_anchors(
    own: SoundTrack, other: SoundTrack, max_offset_s: float, params: AlignmentParams
) -> Times:
    """Find moments that two sound tracks of the same room share.

    Phase-weighted cross-correlation (GCC-PHAT; Knapp & Carter 1976, IEEE Trans. ASSP 24(4)) of
    short windows against all of the other track that bounds allow gives the delay roughly; a
    vote of lines, and `fit_segments`, tell which windows agree. Then long windows of both, the
    other one resampled to this one's clock so that no drift blurs them, give it to a fraction
    of a sample, twice over.

    Parameters
    ----------
    own, other : SoundTrack
        At the same rate; each on its own clock.
    max_offset_s : float
        Largest offset between the two clocks.
    params : AlignmentParams
        Bounds, and the length of the windows.

    Returns
    -------
    ndarray of float64, shape (n_anchors, 2)
        Own and other's time of each window's middle; empty if the tracks share no sound.
    """
    parts = _coarse(own, other, max_offset_s, params)
    for _ in range(ROUNDS):
        anchors = np.array([pair for part in parts for pair in _fine(own, other, part, params)])
        if len(anchors) < params.min_anchors:
            return np.empty((0, 2))
        parts = fit_segments(anchors[:, 0], anchors[:, 1], FLOOR_S, params)
    return anchors


def _coarse(
    own: SoundTrack, other: SoundTrack, max_offset_s: float, params: AlignmentParams
) -> list[Segment]:
    """Return the lines on which the short windows that found a peak agree."""
    reach_s = max_offset_s + 1e-6 * params.max_drift_ppm * (other.end_s - other.start_s)
    length_s = min(COARSE_S, (own.end_s - own.start_s) / 4)
    middles: Times = np.linspace(
        own.start_s + length_s / 2, own.end_s - length_s / 2, COARSE_WINDOWS
    )
    pairs = []
    for middle in middles:
        delay = _delay(own, other, middle, length_s, Line(), reach_s)
        if delay is not None:
            pairs.append((middle, middle + delay))
    native, session = np.array(pairs).reshape(-1, 2).T
    if len(native) < params.min_anchors:
        return []
    line = hough_line(native, session, 2 * COARSE_TOLERANCE_S, 1e-6 * params.max_drift_ppm)
    near = np.abs(session - line.to_session(native)) <= COARSE_TOLERANCE_S
    by_chance = len(native) * COARSE_TOLERANCE_S / reach_s
    if poisson.sf(near.sum() - 2, by_chance) * reach_s / COARSE_TOLERANCE_S > CHANCE:
        return []
    return fit_segments(native[near], session[near], 1e-3, params)


def _fine(
    own: SoundTrack, other: SoundTrack, part: Segment, params: AlignmentParams
) -> list[tuple[float, float]]:
    length_s = min(params.sound_window_s, (own.end_s - own.start_s) / 4)
    first = max(own.start_s, float(part.native_s[0]) - params.sound_window_s)
    last = min(own.end_s, float(part.native_s[-1]) + params.sound_window_s)
    n_windows = max(1, int(2 * (last - first) / length_s) - 1)
    middles: Times = np.linspace(first + length_s / 2, last - length_s / 2, n_windows)
    found = []
    for middle in middles:
        delay = _delay(own, other, middle, length_s, part.line, NEAR_S)
        if delay is not None:
            found.append((float(middle), float(part.line.to_session(middle) + delay)))
    return found


def _delay(
    own: SoundTrack, other: SoundTrack, middle_s: float, length_s: float, line: Line, reach_s: float
) -> float | None:
    """Return by how much later than `line` says the other track has what this one has.

    Parameters
    ----------
    middle_s, length_s : float
        The stretch of this track.
    line : Line
        From this track's clock to the other's.
    reach_s : float
        Largest delay, either way.
    """
    n, lags = round(length_s * own.rate_hz), round(reach_s * own.rate_hz)
    times = middle_s + np.arange((1 - n) / 2, n / 2) / own.rate_hz
    wide = middle_s + np.arange((1 - n) / 2 - lags, n / 2 + lags) / own.rate_hz
    x, y = own.at(times), other.at(line.to_session(wide))
    if not x.any() or not y.any():
        return None
    size = fft.next_fast_len(n + len(wide), real=True)
    window = np.hanning(n).astype(np.float32)
    cross = fft.rfft(y, size) * np.conj(fft.rfft(x * window, size))
    cross /= np.maximum(np.abs(cross), np.finfo(np.float32).tiny)
    correlation = fft.irfft(cross, size)[: 2 * lags + 1]
    top = int(np.argmax(correlation))
    spread = 1.4826 * np.median(np.abs(correlation - np.median(correlation)))
    if not 0 < top < 2 * lags or correlation[top] < PEAK_SIGMAS * spread:
        return None
    left, peak, right = correlation[top - 1 : top + 2]
    shift = 0.5 * (left - right) / (left - 2 * peak + right)
    return float((top + shift - lags) / own.rate_hz)

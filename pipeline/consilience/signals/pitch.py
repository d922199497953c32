"""Pitch of a voice: the highest peak of the window-corrected autocorrelation (Boersma 1993)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any, NamedTuple

import numpy as np
import scipy.fft
import scipy.ndimage
import scipy.signal
from numpy.typing import NDArray

Array = NDArray[np.float32]

LAGS_PER_PERIOD = 13  # of the highest pitch: the band of the autocorrelation has six harmonics
OCTAVE_COST = 0.03  # of the autocorrelation, per octave: prefers the higher of two equal peaks
QUIET = 1e-3  # of the power of loud frames: hum can be periodic too, a voice is not so quiet
REFERENCE_HZ = 55.0
FRACTIONS = np.arange(2, 10)  # of a period that may themselves be one
LEAST_HEIGHT = 0.3  # of a peak whose fractions are examined
TOLERANCE = 0.02  # of the height of a fraction, which is interpolated from a limited reach
LEAST_BESIDE = 0.6  # of a peak half-way between two lags that the values there have


class Peaks(NamedTuple):
    """The best pitch of each frame in semitones above 55 Hz, its strength, and the power."""

    semitones: Array
    strength: Array
    power: Array


@dataclass(frozen=True)
class PitchAnalysis:
    """Autocorrelation of frames in a range of pitch.

    Attributes
    ----------
    rate_hz : float
    size : int
        Samples of a frame.
    min_hz, max_hz : float
        Range of pitch, ``max_hz`` below a quarter of the rate.
    """

    rate_hz: float
    size: int
    min_hz: float
    max_hz: float

    @cached_property
    def step(self) -> int:
        """Samples from one lag to the next."""
        return max(int(self.rate_hz / (LAGS_PER_PERIOD * self.max_hz)), 1)

    @cached_property
    def lags(self) -> NDArray[np.int64]:
        """Lags of the range of pitch, in steps."""
        lag_hz = self.rate_hz / self.step
        longest = min(int(lag_hz / self.min_hz), self.size // self.step - 2)
        return np.arange(int(lag_hz / self.max_hz), longest + 1)

    @cached_property
    def n_padded(self) -> int:
        """Samples to which frames are padded, so that no lag in use is circular; whole steps."""
        n_steps = -(-self.size // self.step) + int(self.lags[-1]) + 1
        return self.step * scipy.fft.next_fast_len(n_steps, real=True)

    @cached_property
    def window(self) -> Array:
        """The Hann window."""
        return scipy.signal.windows.hann(self.size, sym=False).astype(np.float32)

    @cached_property
    def _transform(self) -> Array:
        """The transform from powers to corrected correlations, shape (n_bins, n_lags)."""
        n_steps = self.n_padded // self.step
        bins, lags = np.arange(n_steps // 2 + 1), np.arange(self.lags[-1] + 2)
        cosines = 2 * np.cos(2 * np.pi / n_steps * np.outer(bins, lags))
        # The first bin, and the last one of an even number, have no negative frequency.
        cosines[bins * 2 % n_steps == 0] /= 2
        # The window's own autocorrelation tapers that of the frames.
        taper = np.square(np.abs(self._band(self.window[None]))) @ cosines
        return np.asarray(cosines / taper, np.float32)

    def spectra(self, frames: Array) -> NDArray[np.complex64]:
        """Return the spectra of frames, shape (n_frames, size), below half the rate of the lags."""
        return self._band((frames - frames.mean(axis=1, keepdims=True)) * self.window)

    def _band(self, frames: Array) -> NDArray[np.complex64]:
        n_bins = self.n_padded // self.step // 2 + 1
        result: NDArray[np.complex64] = scipy.fft.rfft(frames, self.n_padded, axis=1)[:, :n_bins]
        return result

    def product(self, left: NDArray[np.complex64], right: NDArray[np.complex64]) -> Array:
        """Return the symmetric part of the correlation of frames (Wiener and Khinchin).

        Returns
        -------
        ndarray of float32, shape (n_frames, n_lags)
            From lag 0 to one beyond the longest, divided by the correlation of the window.
        """
        power = left.real * right.real
        power += left.imag * right.imag
        # An FFT is slower than a product with so few lags.
        return np.asarray(power @ self._transform, np.float32)

    def peaks(self, correlation: Array) -> Peaks:
        """Return the highest peak of each frame's autocorrelation."""
        power = correlation[:, 0]
        relative = correlation / np.maximum(correlation[:, :1], np.float32(1e-12))
        first, last = self.lags[0], self.lags[-1]
        before, here, after = (relative[:, first + step : last + 1 + step] for step in (-1, 0, 1))
        # A parabola through three points gives the peak between lags.
        slope, bend = before - after, np.minimum(before - 2 * here + after, -1e-6)
        heights = here - slope**2 / (8 * bend)
        # At the shortest lags, the slope of the peak at lag 0 would exceed every true peak.
        summit = (here >= before) & (here >= after)
        # A periodic signal has equal peaks at multiples of its period: the cost selects the first.
        place = np.argmax(np.where(summit, heights - self._cost, -1), axis=1)
        rows = np.arange(len(place))
        shift = np.clip(0.5 * slope[rows, place] / bend[rows, place], -0.5, 0.5)
        height = np.where(summit.any(axis=1), heights[rows, place], 0)
        height = height.astype(np.float32)
        period, height = self._shortest(relative, self.lags[place] + shift, height)
        pitch_hz = self.rate_hz / self.step / period
        semitones = (12 * np.log2(pitch_hz / REFERENCE_HZ)).astype(np.float32)
        return Peaks(semitones, np.clip(height, 0, 1), power)

    @cached_property
    def _cost(self) -> Array:
        return self._cost_of(self.lags).astype(np.float32)

    def _cost_of(self, lags: NDArray[Any]) -> NDArray[np.float64]:
        return np.asarray(OCTAVE_COST * np.log2(lags / self.lags[0]), np.float64)

    def _shortest(
        self, relative: NDArray[Any], periods: NDArray[np.float64], heights: Array
    ) -> tuple[NDArray[np.float64], Array]:
        """Replace periods by a fraction of them that has a peak of its own, and the heights.

        A parabola through the values beside a narrow peak is too low where it lies between two
        lags, so that a multiple of the period that lies on one would be taken.
        """
        least = heights - self._cost_of(periods)
        lags = periods[:, None] / FRACTIONS
        short = (lags >= self.lags[0]) & (heights > LEAST_HEIGHT)[:, None]
        rows, numbers = np.nonzero(short)
        below = lags[rows, numbers].astype(np.intp)
        beside = np.maximum(relative[rows, below], relative[rows, below + 1])
        likely = beside > LEAST_BESIDE * least[rows]
        rows, numbers = rows[likely], numbers[likely]
        values = _interpolated(relative, rows, lags[rows, numbers], int(self.lags[0]))
        scores = np.full(lags.shape, -1.0)
        scores[rows, numbers] = values - self._cost_of(lags[rows, numbers])
        best = np.argmax(scores, axis=1)
        every = np.arange(len(lags))
        score, fraction = scores[every, best], lags[every, best]
        better = score > least - TOLERANCE
        height = np.where(better, score + self._cost_of(fraction), heights)
        return np.where(better, fraction, periods), height.astype(np.float32)


@lru_cache(maxsize=4)
def pitch_analysis(rate_hz: float, size: int, min_hz: float, max_hz: float) -> PitchAnalysis:
    """Return a `PitchAnalysis`, whose transform is computed once."""
    return PitchAnalysis(rate_hz, size, min_hz, max_hz)


def _interpolated(
    values: NDArray[Any], rows: NDArray[np.intp], places: NDArray[np.float64], reach: int
) -> Array:
    """Return band-limited values between their samples, from those within a reach."""
    taps = places.astype(np.intp)[:, None] + np.arange(1 - reach, reach + 1)
    weights = np.sinc(places[:, None] - taps).astype(np.float32)
    # A peak as narrow as the band allows has its height in spite of the limited reach.
    scale = np.einsum("ij,ij->i", weights, weights)
    result: Array = np.einsum("ij,ij->i", values[rows[:, None], taps], weights) / scale
    return result


def pitch_track(
    peaks: Peaks, threshold: float, level: Array, memory: int, unknown_hz: float
) -> Array:
    """Return the pitch of frames; an unvoiced frame has that of the last voiced one.

    Parameters
    ----------
    peaks : Peaks
    threshold : float
        Least strength of a voiced frame.
    level : ndarray of float32, shape (n_frames,)
        Power of loud frames.
    memory : int
        Frames after which the last voiced frame no longer counts.
    unknown_hz : float
        Pitch where no frame was voiced before.

    Returns
    -------
    ndarray of float32, shape (n_frames,)
        Semitones above 55 Hz.
    """
    n_frames = peaks.power.size
    unknown = np.float32(12 * np.log2(unknown_hz / REFERENCE_HZ))
    rows = np.flatnonzero((peaks.strength > threshold) & (peaks.power > QUIET * level))
    if not rows.size:
        return np.full(n_frames, unknown)
    # The median over the last five voiced frames removes octave errors of single frames.
    smooth = scipy.ndimage.median_filter(peaks.semitones[rows], 5, mode="nearest", origin=2)
    latest = np.searchsorted(rows, np.arange(n_frames), side="right") - 1
    remembered = (latest >= 0) & (np.arange(n_frames) - rows[latest] <= memory)
    return np.where(remembered, smooth[latest], unknown).astype(np.float32)

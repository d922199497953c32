"""Spectra of the frames of a sound: mel bands and the shape of the spectrum."""

from __future__ import annotations

from functools import lru_cache

import librosa
import numpy as np
import scipy.fft
import scipy.signal
from numpy.typing import NDArray

Array = NDArray[np.float32]

FLOOR = np.float32(1e-11)  # power that keeps the logarithm of digital silence finite
SHAPE = ("centroid_khz", "spread_khz", "rolloff_khz", "flatness_db", "alpha_ratio_db")
VOICE_EDGE_KHZ = 1.0  # between the bands of the alpha ratio
GROUP = 16  # bins
ROLLOFF = np.float32(0.85)  # share of the power


def spectra(frames: Array) -> NDArray[np.complex64]:
    """Return the spectra of frames under a Hann window, shape (n_frames, size // 2 + 1).

    A sine of amplitude 2 has the power 1.
    """
    result: NDArray[np.complex64] = scipy.fft.rfft(frames * _window(frames.shape[1]), axis=1)
    return result


@lru_cache
def _window(size: int) -> Array:
    """Return a Hann window whose sum is 1."""
    window = scipy.signal.windows.hann(size, sym=False).astype(np.float32)
    return window / window.sum()


def power_of(spectrum: NDArray[np.complex64]) -> Array:
    """Return the power of spectra, and a floor."""
    power = np.square(spectrum.real)
    power += np.square(spectrum.imag)
    power += FLOOR
    return power


def mel_db(power: Array, rate_hz: float, n_bands: int) -> Array:
    """Return the mean power in mel bands, in dB, shape (n_frames, n_bands)."""
    return decibels(power @ mel_bank(rate_hz, 2 * power.shape[1] - 2, n_bands).T)


def decibels(power: Array) -> Array:
    """Return ten times the decimal logarithm."""
    result: Array = 10 * np.log10(power)
    return result


@lru_cache
def mel_bank(rate_hz: float, size: int, n_bands: int) -> Array:
    """Return the weights of the mel bands, each summing to 1, shape (n_bands, size // 2 + 1)."""
    bank: Array = librosa.filters.mel(sr=rate_hz, n_fft=size, n_mels=n_bands)
    return bank / bank.sum(axis=1, keepdims=True)


def shape_of(power: Array, rate_hz: float) -> Array:
    """Return moments and ratios of power spectra: the measures `SHAPE`.

    Parameters
    ----------
    power : ndarray of float32, shape (n_frames, n_bins)
    rate_hz : float

    Returns
    -------
    ndarray of float32, shape (n_frames, 5)
    """
    khz = np.linspace(0, rate_hz / 2000, power.shape[1], dtype=np.float32)
    low = khz < VOICE_EDGE_KHZ
    ones = np.ones_like(khz)
    total, first, second, below, above = (
        power @ np.stack([ones, khz, khz**2, low, ~low], axis=1, dtype=np.float32)
    ).T
    centroid = first / total
    spread = np.sqrt(np.maximum(second / total - centroid**2, 0))
    rolloff = khz[_first_to_reach(ROLLOFF * total, power)]
    # The ratio of geometric to arithmetic mean: 0 dB for white noise, far below for a tone.
    flatness = 10 * np.log10(power).mean(axis=1) - decibels(total / khz.size)
    # The alpha ratio falls with vocal effort.
    return np.stack([centroid, spread, rolloff, flatness, decibels(below / above)], axis=1)


def _first_to_reach(limit: Array, power: Array) -> NDArray[np.int64]:
    """Return the bin of each frame at which the power of all bins so far reaches a limit."""
    # First by groups of bins, then within one group: a sum over all bins in turn is slow.
    rows, bins = np.arange(len(power)), np.arange(power.shape[1])
    reached = power @ _cumulative(power.shape[1], GROUP)
    group = np.count_nonzero(reached < limit[:, None], axis=1)
    left = limit - np.where(group > 0, reached[rows, group - 1], 0)
    inside = np.minimum(group[:, None] * GROUP + np.arange(GROUP), bins[-1])
    within = power[rows[:, None], inside] @ _cumulative(GROUP, 1) < left[:, None]
    result: NDArray[np.int64] = group * GROUP + np.count_nonzero(within, axis=1)
    return result


@lru_cache
def _cumulative(n_bins: int, size: int) -> Array:
    """Return the matrix of sums over the bins up to the end of each group of a size."""
    bins, groups = np.arange(n_bins), np.arange(-(-n_bins // size))
    return (bins[:, None] < (groups + 1) * size).astype(np.float32)

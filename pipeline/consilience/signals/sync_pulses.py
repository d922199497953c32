"""Pulses that are heard longer than a click: a clapperboard, a tone.

Both begin at once. Where they do is where the power of a band over the next few milliseconds
exceeds that of the last few by most, which a filter without delay does not move.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.signal
from numpy.typing import NDArray

Array = NDArray[np.float32]

BEFORE_S = 0.1  # of sound that a pulse must exceed
FLOOR = 1e-10  # of power, full scale 1
CLAP_RISE_S = 0.003
TONE_RISE_S = 0.01
HALF_BAND = 2 ** (1 / 6)  # of a tone, as a ratio of frequencies
PURE = 0.5  # share of all power that a tone's band has while it sounds


def claps(
    sound: Array, rate_hz: float, ratio: float, band_hz: float, power: float
) -> NDArray[np.int64]:
    """Find the beginnings of claps, in samples.

    Parameters
    ----------
    sound : ndarray of float32, shape (n,)
    rate_hz : float
    ratio : float
        Of amplitudes: how much louder than the sound before a clap is at least.
    band_hz : float
        Claps are sought above it, where voices have little.
    power : float
        Mean square of the sound, all bands, which a clap exceeds within this one.
    """
    sos = scipy.signal.butter(4, band_hz, "highpass", fs=rate_hz, output="sos")
    heard = _power(sound, sos)
    found = _beginnings(heard, rate_hz, CLAP_RISE_S, ratio)
    return found[_ahead(heard, round(CLAP_RISE_S * rate_hz))[found] > power]


def tones(
    sound: Array, rate_hz: float, ratio: float, tone_hz: float, length_s: float
) -> NDArray[np.int64]:
    """Find the beginnings of tones, in samples.

    Parameters
    ----------
    sound : ndarray of float32, shape (n,)
    rate_hz : float
    ratio : float
        Of amplitudes: how much louder than the band was before a tone is at least.
    tone_hz : float
        Its frequency.
    length_s : float
        How long it sounds; half of it must be filled by little else.
    """
    band_hz = (tone_hz / HALF_BAND, tone_hz * HALF_BAND)
    sos = scipy.signal.butter(2, band_hz, "bandpass", fs=rate_hz, output="sos")
    power = _power(sound, sos)
    found = _beginnings(power, rate_hz, TONE_RISE_S, ratio)
    size = max(round(length_s * rate_hz / 2), 1)
    total = _ahead(np.square(sound, dtype=np.float64), size)
    return found[_ahead(power, size)[found] > PURE * total[found]]


def _power(sound: Array, sos: Any) -> NDArray[np.float64]:
    return np.asarray(scipy.signal.sosfiltfilt(sos, sound), np.float64) ** 2


def _beginnings(
    power: NDArray[np.float64], rate_hz: float, rise_s: float, ratio: float
) -> NDArray[np.int64]:
    size, before = round(rise_s * rate_hz), round(BEFORE_S * rate_hz)
    ahead, behind = _ahead(power, size), _ahead(power, size, -size)
    floor = np.maximum(_ahead(power, before, -before - size), FLOOR)
    rise = np.where(ahead > ratio**2 * floor, ahead - behind, 0.0)
    peaks, _ = scipy.signal.find_peaks(rise, FLOOR, distance=before)
    return np.asarray(peaks, np.int64)


def _ahead(values: NDArray[np.float64], size: int, shift: int = 0) -> NDArray[np.float64]:
    """Return the mean of the `size` values from each one plus `shift` on; 0 beyond the ends."""
    total = np.concatenate([[0.0], np.cumsum(values)])
    first = np.clip(np.arange(values.size) + shift, 0, values.size)
    last = np.clip(np.arange(values.size) + shift + size, 0, values.size)
    return (total[last] - total[first]) / size

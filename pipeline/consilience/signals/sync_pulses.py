"""Detection of synchronisation sounds longer than a click: claps of a clapperboard, and tones.

The onset is where the power of a band over the next few milliseconds exceeds that of the last few
by most. The band is filtered without phase delay, so that the onset is not moved.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.signal
from numpy.typing import NDArray

Array = NDArray[np.float32]

BEFORE_S = 0.1  # duration before a pulse, whose power the pulse must exceed
FLOOR = 1e-10  # least power, full scale 1
CLAP_RISE_S = 0.003
TONE_RISE_S = 0.01
HALF_BAND = 2 ** (1 / 6)  # ratio of the band's edge to the tone's frequency
PURE = 0.5  # least share of the total power in the band of a tone


def claps(
    sound: Array, rate_hz: float, ratio: float, band_hz: float, power: float
) -> NDArray[np.int64]:
    """Detect the onsets of claps.

    Parameters
    ----------
    sound : ndarray of float32, shape (n_samples,)
    rate_hz : float
    ratio : float
        Least ratio of a clap's amplitude to that of the sound before it.
    band_hz : float
        Lower edge of the band of claps, above most of the energy of voices.
    power : float
        Mean square of the sound over all bands, which a clap exceeds in its band.

    Returns
    -------
    ndarray of int64, shape (n_claps,)
        Indices of samples.
    """
    sos = scipy.signal.butter(4, band_hz, "highpass", fs=rate_hz, output="sos")
    band_power = _power(sound, sos)
    onsets = _onsets(band_power, rate_hz, CLAP_RISE_S, ratio)
    return onsets[_mean_ahead(band_power, round(CLAP_RISE_S * rate_hz))[onsets] > power]


def tones(
    sound: Array, rate_hz: float, ratio: float, tone_hz: float, length_s: float
) -> NDArray[np.int64]:
    """Detect the onsets of tones.

    Parameters
    ----------
    sound : ndarray of float32, shape (n_samples,)
    rate_hz : float
    ratio : float
        Least ratio of a tone's amplitude to that of its band before it.
    tone_hz : float
        Frequency of the tone.
    length_s : float
        Duration of the tone. During its first half the band must hold most of the power.

    Returns
    -------
    ndarray of int64, shape (n_tones,)
        Indices of samples.
    """
    band_hz = (tone_hz / HALF_BAND, tone_hz * HALF_BAND)
    sos = scipy.signal.butter(2, band_hz, "bandpass", fs=rate_hz, output="sos")
    power = _power(sound, sos)
    onsets = _onsets(power, rate_hz, TONE_RISE_S, ratio)
    size = max(round(length_s * rate_hz / 2), 1)
    total = _mean_ahead(np.square(sound, dtype=np.float64), size)
    return onsets[_mean_ahead(power, size)[onsets] > PURE * total[onsets]]


def _power(sound: Array, sos: Any) -> NDArray[np.float64]:
    return np.asarray(scipy.signal.sosfiltfilt(sos, sound), np.float64) ** 2


def _onsets(
    power: NDArray[np.float64], rate_hz: float, rise_s: float, ratio: float
) -> NDArray[np.int64]:
    size, before = round(rise_s * rate_hz), round(BEFORE_S * rate_hz)
    ahead, behind = _mean_ahead(power, size), _mean_ahead(power, size, -size)
    # The sound before the pulse ends one rise earlier, so that it holds nothing of the pulse.
    floor = np.maximum(_mean_ahead(power, before, -before - size), FLOOR)
    rise = np.where(ahead > ratio**2 * floor, ahead - behind, 0.0)
    peaks, _ = scipy.signal.find_peaks(rise, FLOOR, distance=before)
    return np.asarray(peaks, np.int64)


def _mean_ahead(values: NDArray[np.float64], size: int, shift: int = 0) -> NDArray[np.float64]:
    """Return at each index the mean of `size` values from `shift` later on; 0 beyond the ends."""
    # Differences of cumulative sums: the cost does not depend on the size.
    total = np.concatenate([[0.0], np.cumsum(values)])
    first = np.clip(np.arange(values.size) + shift, 0, values.size)
    last = np.clip(np.arange(values.size) + shift + size, 0, values.size)
    return (total[last] - total[first]) / size

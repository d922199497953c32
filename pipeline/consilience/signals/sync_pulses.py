"""Detection of synchronisation sounds: clicks, claps of a clapperboard, and tones.

A click is a sample of the high band that exceeds the root mean square of the surrounding 20 ms. A
clap or a tone begins where the power of a band over the next few milliseconds exceeds that of the
last few by most. The band is filtered without phase delay, so that the onset is not moved.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
import scipy.ndimage
import scipy.signal
from numpy.typing import NDArray

Array = NDArray[np.float32]

BEFORE_S = 0.1  # duration before a pulse, whose power the pulse must exceed
FLOOR = 1e-10  # least power, full scale 1
AROUND_S = 0.02  # duration around a click, whose power the click must exceed
PADDING = 15  # samples by which the filter of clicks extends a sound at both ends
PARTS = 512  # parts searched at a time
PART_S = 0.005  # in which a click is ruled out by the second difference; longer than the filter
CLAP_RISE_S = 0.003
TONE_RISE_S = 0.01
HALF_BAND = 2 ** (1 / 6)  # ratio of the band's edge to the tone's frequency
PURE = 0.5  # least share of the total power in the band of a tone


def clicks(
    sound: Array, rate_hz: float, least_ratio: float, band_hz: float, click_s: float, power: float
) -> NDArray[np.int64]:
    """Detect clicks.

    Parameters
    ----------
    sound : ndarray of float32, shape (n_samples,)
    rate_hz : float
    least_ratio : float
        Of a click's amplitude to the root mean square around it, itself excluded.
    band_hz : float
        Lower edge of the band of clicks.
    click_s : float
        Duration of a click.
    power : float
        Mean square of the sound over all bands, which a click exceeds in its band.

    Returns
    -------
    ndarray of int64, shape (n_clicks,)
        Indices of samples.
    """
    # Filtering is slow, and most of a voice is too smooth for a click.
    places, rough = _rough(sound, rate_hz, band_hz, power)
    if places.size <= PADDING:
        return np.empty(0, np.int64)
    high = _power(sound[places], _highpass(rate_hz, band_hz))
    inner, outer = (2 * round(length_s * rate_hz / 2) + 1 for length_s in (click_s, AROUND_S))
    # Power of the surroundings without the click itself: a difference of two moving sums.
    around = scipy.ndimage.uniform_filter1d(high, outer, mode="reflect") * outer
    around -= scipy.ndimage.uniform_filter1d(high, inner, mode="reflect") * inner
    floor = np.maximum(around / (outer - inner), FLOOR)
    # Where stretches join, the filter sees an edge, which does not count.
    ratio = np.where(rough & (high > power), high / floor, 0)
    peaks, _ = scipy.signal.find_peaks(ratio, least_ratio**2, distance=outer)
    return np.asarray(places[peaks], np.int64)


def _rough(
    sound: Array, rate_hz: float, band_hz: float, power: float
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Return the samples near those that may exceed a power in the high band, and which may.

    They extend beyond those that may by `AROUND_S` / 2 and the length of the filter.
    """
    size = round(PART_S * rate_hz)
    steep = _curvature(sound, size) * _gain(rate_hz, band_hz)
    rough = scipy.ndimage.maximum_filter1d(steep, 3) ** 2 > power
    reach = 2 * int(np.ceil(AROUND_S / 2 / PART_S + 1)) + 1
    near = np.flatnonzero(scipy.ndimage.maximum_filter1d(rough.astype(np.int8), reach))
    places = (near[:, None] * size + np.arange(size)).ravel()
    inside = places < sound.size
    return places[inside], rough[near].repeat(size)[inside]


def _curvature(sound: Array, size: int) -> Array:
    """Return the largest magnitude of the second difference in each section of a size."""
    largest = []
    step = size * PARTS  # small arrays, which stay in the processor's cache
    for start in range(0, sound.size - 2, step):
        samples = sound[start : start + step + 2]
        curve = samples[2:] + samples[:-2]
        curve -= 2 * samples[1:-1]
        parts = np.append(curve, np.zeros(-curve.size % size, np.float32)).reshape(-1, size)
        largest.append(np.maximum(parts.max(axis=1), -parts.min(axis=1)))
    return np.concatenate(largest)


@lru_cache
def _gain(rate_hz: float, band_hz: float) -> float:
    """Return the greatest ratio of the high band to the second difference around it."""
    radians = np.linspace(0, np.pi, 4097)
    _, response = scipy.signal.sosfreqz(_highpass(rate_hz, band_hz), radians)
    ratio = np.zeros(radians.size)
    # The filter is applied forwards and backwards.
    ratio[1:] = np.abs(response[1:]) ** 2 / (2 - 2 * np.cos(radians[1:]))
    return float(np.abs(np.fft.irfft(ratio)).sum())


@lru_cache
def _highpass(rate_hz: float, band_hz: float) -> Any:
    return scipy.signal.butter(4, band_hz, "highpass", fs=rate_hz, output="sos")


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
    band_power = _power(sound, _highpass(rate_hz, band_hz))
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

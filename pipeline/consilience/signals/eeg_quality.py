"""Flat and clipped seconds, mains hum, and outlying channels of an EEG."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from consilience.signals.decimation import Source
from consilience.signals.robust import MAD_TO_SD
from consilience.signals.short_time import multiples_hz, short_time_spectra

Array = NDArray[np.float64]

FLAT_V = 1e-8  # peak to peak within a second: below the noise of any amplifier
SPREAD_FLOOR = 0.1  # decades: channels of a good recording differ by as much
BESIDE_HZ = (2.0, 6.0)  # distance from the mains frequency of the power it is compared with
BLOCK = 2**14  # samples read at once: changes the speed only


class Measures(NamedTuple):
    """Measures of each channel, shape (n_channels,).

    Attributes
    ----------
    flat, clipped : ndarray
        Share of seconds without a change, and of samples that stay at an extreme.
    hum_db : ndarray
        Power at the mains frequency relative to its neighbourhood; 0 if the rate is too low.
    """

    flat: Array
    clipped: Array
    hum_db: Array


def measures(source: Source, n_samples: int, rate_hz: float, mains_hz: float) -> Measures:
    """Measure every channel at its full rate.

    Parameters
    ----------
    source : callable
        Returns a stretch of the signal in volts, without missing samples.
    n_samples : int
    rate_hz : float
    mains_hz : float
    """
    second = min(round(rate_hz), n_samples)
    size = max(BLOCK // second, 1) * second
    starts = range(0, n_samples - second + 1, size)
    near_hz = _near_mains_hz(second / rate_hz, mains_hz, rate_hz / 2)
    parts, power = [], np.zeros(())
    for at in starts:
        # One sample more, because samples at an extreme are counted in pairs.
        block = source(at, min(at + size + 1, n_samples))
        parts.append(_measure(block, second))
        for of_second in _power(block, second, rate_hz, tuple(near_hz)):
            power = power + of_second
    low, high = (np.min([p.low for p in parts], axis=0), np.max([p.high for p in parts], axis=0))
    stays = sum(p.low_stays * (p.low == low) + p.high_stays * (p.high == high) for p in parts)
    n_seconds = sum(p.n_seconds for p in parts)
    return Measures(
        np.sum([p.n_flat for p in parts], axis=0) / n_seconds,
        np.where(high - low > FLAT_V, stays / max(n_samples - 1, 1), 0.0),
        _hum_db(power / n_seconds, near_hz - mains_hz),
    )


def spans(source: Source, n_samples: int) -> Array:
    """Return the distance from the lowest to the highest value of each channel."""
    blocks = (source(at, min(at + BLOCK, n_samples)) for at in range(0, n_samples, BLOCK))
    extremes = [(block.min(axis=1), block.max(axis=1)) for block in blocks]
    low, high = (np.array(each) for each in zip(*extremes, strict=True))
    return np.asarray(high.max(axis=0) - low.min(axis=0), float)


def outliers(spread: Array, limit: float) -> NDArray[np.bool_]:
    """Return which channels deviate from the median by more than a number of robust deviations.

    Parameters
    ----------
    spread : ndarray of float64, shape (n_channels,)
        A logarithm to base 10.
    limit : float
    """
    apart = np.abs(spread - np.median(spread))
    outlying: NDArray[np.bool_] = apart > limit * max(
        MAD_TO_SD * float(np.median(apart)), SPREAD_FLOOR
    )
    return outlying


class _Part(NamedTuple):
    """Measures of a block, the first axis over channels."""

    low: NDArray[np.float32]
    high: NDArray[np.float32]
    low_stays: NDArray[np.intp]
    high_stays: NDArray[np.intp]
    n_seconds: int
    n_flat: NDArray[np.intp]  # seconds without a change


def _measure(block: NDArray[np.float32], second: int) -> _Part:
    n_seconds = block.shape[1] // second
    seconds = block[:, : n_seconds * second].reshape(len(block), n_seconds, second)
    low, high = block.min(axis=1), block.max(axis=1)
    flat = seconds.max(axis=2) - seconds.min(axis=2) < FLAT_V
    stays = (_stays(block, low), _stays(block, high))
    return _Part(low, high, *stays, n_seconds, flat.sum(axis=1))


def _power(
    block: NDArray[np.float32], second: int, rate_hz: float, hz: tuple[float, ...]
) -> NDArray[np.float32]:
    """Return the power of each second at some frequencies, shape (n_seconds, n_channels, n_hz)."""
    starts = np.arange(0, block.shape[1] - second + 1, second)
    spectra = short_time_spectra(block, starts, rate_hz, second, hz)
    power = np.square(spectra).reshape(*spectra.shape[:2], 2, len(hz)).sum(axis=2)
    return np.asarray(power.transpose(1, 0, 2))


def _stays(block: NDArray[np.float32], extreme: NDArray[np.float32]) -> NDArray[np.intp]:
    """Count the samples at an extreme after another: an amplifier at its limit, not a peak."""
    reached = block == extreme[:, np.newaxis]
    return np.asarray((reached[:, 1:] & reached[:, :-1]).sum(axis=1), np.intp)


def _near_mains_hz(window_s: float, mains_hz: float, top_hz: float) -> Array:
    """Return the resolved frequencies around the mains frequency; none if some are too high."""
    if mains_hz + BESIDE_HZ[1] >= top_hz:
        return np.empty(0)
    return multiples_hz(window_s, mains_hz - BESIDE_HZ[1], mains_hz + BESIDE_HZ[1])


def _hum_db(power: Array, away_hz: Array) -> Array:
    """Return the power at the mains frequency over that beside it, shape (n_channels,)."""
    if not power.shape[1]:
        return np.zeros(len(power))
    away_hz = np.abs(away_hz)
    line = power[:, away_hz <= 1].mean(axis=1)
    beside = np.median(power[:, (away_hz > BESIDE_HZ[0]) & (away_hz < BESIDE_HZ[1])], axis=1)
    ratio_db: Array = 10 * np.log10((line + 1e-20) / (beside + 1e-20))
    return ratio_db

"""Corruptions of one-channel signals: noise, a wandering baseline, movement, a sensor that slips.

Each function takes the signal, shape (n_samples, 1), the value of the severity, the sampling rate
in Hz and a generator, and returns the corrupted signal. Amplitudes are relative to the signal's
own spread.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import scipy.ndimage
from numpy.typing import NDArray

Array = NDArray[np.float64]

RANGE = 12.0  # of an amplifier, in the signal's own spread
BURST_S = 1.0  # a movement lasts about as long


def noise(values: Array, snr_db: float, rate_hz: float, rng: np.random.Generator) -> Array:
    """Add white noise at a signal-to-noise ratio."""
    return values + _spread(values) / 10 ** (snr_db / 20) * rng.standard_normal(values.shape)


def wander(values: Array, amplitude: float, rate_hz: float, rng: np.random.Generator) -> Array:
    """Let the baseline wander, as breathing and a shifting sensor make it.

    Wandering that stays within the amplifier's range is filtered out again; beyond it, the signal
    is lost for as long.
    """
    times_s = np.arange(len(values))[:, None] / rate_hz
    waves = sum(
        np.sin(2 * np.pi * hz * times_s + rng.uniform(0, 2 * np.pi))
        for hz in rng.uniform(0.1, 0.6, 3)
    )
    centre, spread = np.median(values, axis=0), _spread(values)
    wandered: Array = values - centre + amplitude * spread * waves
    return centre + np.clip(wandered, -RANGE * spread, RANGE * spread)


def movement(values: Array, amplitude: float, rate_hz: float, rng: np.random.Generator) -> Array:
    """Add bursts over a third of the time, slow ones and fast ones."""
    n_samples = len(values)
    step = max(round(BURST_S * rate_hz), 1)
    moves = np.repeat(rng.random(-(-n_samples // step)) < 1 / 3, step)[:n_samples, None]
    slow = scipy.ndimage.gaussian_filter1d(rng.standard_normal(values.shape), step / 8, axis=0)
    jolt = slow / max(float(slow.std()), 1e-12) + rng.standard_normal(values.shape) / 4
    return values + amplitude * _spread(values) * jolt * moves


def dropout(values: Array, share: float, rate_hz: float, rng: np.random.Generator) -> Array:
    """Let the sensor lose the skin for a share of the time: it reads its own middle."""
    n_samples = len(values)
    step = max(round(4 * rate_hz), 1)
    pieces = -(-n_samples // step)
    off = np.repeat(rng.permutation(pieces) < round(share * pieces), step)[:n_samples]
    spoilt = values.copy()
    spoilt[off] = np.median(values, axis=0)
    return spoilt


APPLY: Mapping[str, Callable[..., Array]] = {
    "noise": noise,
    "wander": wander,
    "movement": movement,
    "dropout": dropout,
}


def _spread(values: Array) -> float:
    """Return how far the signal usually moves about its slow baseline."""
    centre = np.median(values, axis=0)
    low, high = np.quantile(values - centre, (0.02, 0.98))
    return max(float(high - low) / 4, 1e-300)

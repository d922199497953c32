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
BURST_S = 1.0  # duration of a movement


def noise(values: Array, snr_db: float, rate_hz: float, rng: np.random.Generator) -> Array:
    """Add white noise at a signal-to-noise ratio."""
    return values + _spread(values) / 10 ** (snr_db / 20) * rng.standard_normal(values.shape)


def wander(values: Array, amplitude: float, rate_hz: float, rng: np.random.Generator) -> Array:
    """Add a drifting baseline, as from breathing and a shifting sensor.

    Filters remove drift within the amplifier's range. Beyond the range the signal is lost.
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
    """Add bursts of slow and fast movement during a third of the time."""
    n_samples = len(values)
    step = max(round(BURST_S * rate_hz), 1)
    moves = np.repeat(rng.random(-(-n_samples // step)) < 1 / 3, step)[:n_samples, None]
    slow = scipy.ndimage.gaussian_filter1d(rng.standard_normal(values.shape), step / 8, axis=0)
    jolt = slow / max(float(slow.std()), 1e-12) + rng.standard_normal(values.shape) / 4
    return values + amplitude * _spread(values) * jolt * moves


def dropout(values: Array, share: float, rate_hz: float, rng: np.random.Generator) -> Array:
    """Detach the sensor for a share of the time, during which it returns a constant."""
    n_samples = len(values)
    step = max(round(4 * rate_hz), 1)
    n_segments = -(-n_samples // step)
    detached = np.repeat(rng.permutation(n_segments) < round(share * n_segments), step)[:n_samples]
    corrupted = values.copy()
    corrupted[detached] = np.median(values, axis=0)
    return corrupted


APPLY: Mapping[str, Callable[..., Array]] = {
    "noise": noise,
    "wander": wander,
    "movement": movement,
    "dropout": dropout,
}


def _spread(values: Array) -> float:
    """Return a robust standard deviation: a quarter of the range without its outer 2 %."""
    centre = np.median(values, axis=0)
    low, high = np.quantile(values - centre, (0.02, 0.98))
    return max(float(high - low) / 4, 1e-300)

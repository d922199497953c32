"""What spoils an EEG: noise, electrodes that come off, mains hum, muscles, movement.

Each function takes the working channels, shape (n_samples, n_channels), in volts, the severity's
number, rate and mains frequency in Hz and a generator, and returns the spoilt channels. Ratios
and amplitudes are relative to the median power of the channels above 1 Hz, so that neither an
electrode's offset nor one bad channel decides them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import scipy.fft
import scipy.ndimage
import scipy.signal
from numpy.typing import NDArray

Array = NDArray[np.float64]

BURST_S, BURST_SHARE = 0.6, 0.4  # of muscle activity
POPS_PER_S, POP_DECAY_S = 0.15, 0.4
CONTACT_S = 0.5  # a loose electrode keeps contact, or loses it, for about as long
RANGE_RMS = 15.0  # of an amplifier, about the median
LOOSE_RMS = 30.0  # how far a loose electrode jumps


def noise(
    values: Array, snr_db: float, rate_hz: float, mains_hz: float, rng: np.random.Generator
) -> Array:
    """Add pink noise and bursts of muscle-like broadband noise to every channel."""
    gain = np.sqrt(_variance(values, rate_hz) / 10 ** (snr_db / 10))
    return values + gain * _pink_and_muscle(len(values), values.shape[1], rate_hz, rng)


def electrode_dropout(
    values: Array, share: float, rate_hz: float, mains_hz: float, rng: np.random.Generator
) -> Array:
    """Lose a share of the channels, each for good from some moment in the first half on.

    One half of them goes flat, the other keeps jumping as a loose contact does.
    """
    n_samples, n_channels = values.shape
    spoilt = values.copy()
    lost = rng.permutation(n_channels)[: round(share * n_channels)]
    jump = LOOSE_RMS * np.sqrt(_variance(values, rate_hz))
    for order, channel in enumerate(lost):
        first = int(rng.uniform(0, 0.5) * n_samples)
        level = rng.standard_normal(int((n_samples - first) / rate_hz / CONTACT_S) + 1)
        held = np.repeat(level, int(CONTACT_S * rate_hz) + 1)[: n_samples - first]
        spoilt[first:, channel] = 0 if order % 2 == 0 else spoilt[first:, channel] + jump * held
    return spoilt


def mains_hum(
    values: Array, snr_db: float, rate_hz: float, mains_hz: float, rng: np.random.Generator
) -> Array:
    """Add the mains frequency and its harmonics, of a strength that changes as cables move.

    Hum within an amplifier's range is taken out again by the notch filter; what harms is hum
    that drives the amplifier beyond its range, where the EEG is lost for part of every cycle.
    """
    n_samples, n_channels = values.shape
    times_s = np.arange(n_samples)[:, None] / rate_hz
    hum = np.zeros_like(values)
    for order, strength in ((1, 1.0), (2, 0.2), (3, 0.4)):
        hz = order * mains_hz * (1 + 1e-3 * rng.standard_normal())
        if hz < rate_hz / 2:
            phase = rng.uniform(0, 2 * np.pi, n_channels)
            hum += strength * np.sin(2 * np.pi * hz * times_s + phase)
    moving = scipy.ndimage.gaussian_filter1d(rng.standard_normal((n_samples, 1)), rate_hz / 8, 0)
    hum *= (1 + 0.5 * moving / moving.std()) * rng.uniform(0.5, 1.5, n_channels)
    rms = np.sqrt(_variance(values, rate_hz))
    centre = np.median(values, axis=0)
    driven = _mix(values - centre, hum, snr_db, rate_hz)
    return centre + np.clip(driven, -RANGE_RMS * rms, RANGE_RMS * rms)


def muscle(
    values: Array, snr_db: float, rate_hz: float, mains_hz: float, rng: np.random.Generator
) -> Array:
    """Add bursts above 20 Hz on all channels at once, as a tense jaw makes them."""
    n_samples, n_channels = values.shape
    step = max(round(BURST_S / 4 * rate_hz), 1)
    n_steps = -(-n_samples // step)
    tense = scipy.ndimage.gaussian_filter1d(rng.standard_normal(n_steps), BURST_S * rate_hz / step)
    gate = np.repeat(tense > np.quantile(tense, 1 - BURST_SHARE), step)[:n_samples]
    gate = scipy.ndimage.uniform_filter1d(gate.astype(float), step)
    highpass = scipy.signal.butter(2, 20.0, "highpass", fs=rate_hz, output="sos")
    bursts = scipy.signal.sosfilt(highpass, rng.standard_normal(values.shape), axis=0)
    strength = np.exp(0.7 * rng.standard_normal(n_channels))
    return _mix(values, bursts * gate[:, None] * strength, snr_db, rate_hz)


def drift(
    values: Array, amplitude: float, rate_hz: float, mains_hz: float, rng: np.random.Generator
) -> Array:
    """Let electrodes wander slowly, as sweat makes them, and pop when someone moves.

    A pop is a step that decays within half a second, on a few channels at a time.
    """
    n_samples, n_channels = values.shape
    times_s = np.arange(n_samples)[:, None] / rate_hz
    wander = sum(
        np.sin(2 * np.pi * hz * times_s + rng.uniform(0, 2 * np.pi, n_channels))
        for hz in rng.uniform(0.03, 0.3, 3)
    )
    n_pops = rng.poisson(POPS_PER_S * n_channels * n_samples / rate_hz)
    pops = np.zeros_like(values)
    where = rng.integers(0, n_samples, n_pops), rng.integers(0, n_channels, n_pops)
    np.add.at(pops, where, 2 * rng.standard_normal(n_pops))
    pops = scipy.signal.lfilter([1], [1, -np.exp(-1 / (POP_DECAY_S * rate_hz))], pops, axis=0)
    return values + amplitude * np.sqrt(_variance(values, rate_hz)) * (wander + pops)


APPLY: Mapping[str, Callable[..., Array]] = {
    "noise": noise,
    "electrode_dropout": electrode_dropout,
    "mains_hum": mains_hum,
    "muscle": muscle,
    "drift": drift,
}


def _variance(values: Array, rate_hz: float) -> float:
    highpass = scipy.signal.butter(2, 1.0, "highpass", fs=rate_hz, output="sos")
    return float(np.median(scipy.signal.sosfiltfilt(highpass, values, axis=0).var(axis=0)))


def _mix(values: Array, added: Array, snr_db: float, rate_hz: float) -> Array:
    """Add something at a ratio to its own power, averaged over all channels."""
    power = _variance(values, rate_hz) / 10 ** (snr_db / 10)
    return values + added * np.sqrt(power / np.mean(added**2))


def _pink_and_muscle(
    n_samples: int, n_channels: int, rate_hz: float, rng: np.random.Generator
) -> Array:
    """Return noise of unit variance a channel: half pink, half bursts above 20 Hz."""
    white = rng.standard_normal((2, n_channels, n_samples))
    spectrum = scipy.fft.rfft(white[0])
    pink = scipy.fft.irfft(
        spectrum / np.sqrt(np.maximum(np.arange(spectrum.shape[1]), 1)), n_samples
    )
    highpass = scipy.signal.butter(2, 20.0, "highpass", fs=rate_hz, output="sos")
    n_seconds = int(np.ceil(n_samples / rate_hz))
    bursts = np.repeat(rng.random((n_channels, n_seconds)) < 0.3, round(rate_hz), axis=1)
    bursts = np.pad(bursts, ((0, 0), (0, n_samples)), mode="edge")[:, :n_samples]
    muscle = scipy.signal.sosfilt(highpass, white[1]) * (0.1 + bursts)
    parts = [part / part.std(axis=1, keepdims=True) for part in (pink, muscle)]
    mixed: Array = ((parts[0] + parts[1]) / np.sqrt(2)).T
    return mixed

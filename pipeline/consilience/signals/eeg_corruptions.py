"""Corruptions of EEG: noise, detached electrodes, mains hum, muscle activity, movement.

Each function takes the working channels in volts, shape (n_samples, n_channels), the value of the
severity, the sampling rate and the mains frequency in Hz and a generator, and returns the corrupted
channels. Ratios and amplitudes are relative to the median power of the channels above 1 Hz, so that
neither an electrode's offset nor one bad channel determines them.
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
CONTACT_S = 0.5  # duration for which a loose electrode keeps its level
RANGE_RMS = 15.0  # range of an amplifier about the median, in root mean squares of the EEG
LOOSE_RMS = 30.0  # jumps of a loose electrode, in root mean squares of the EEG


def noise(
    values: Array, snr_db: float, rate_hz: float, mains_hz: float, rng: np.random.Generator
) -> Array:
    """Add pink noise and bursts of muscle-like broadband noise to every channel."""
    gain = np.sqrt(_variance(values, rate_hz) / 10 ** (snr_db / 10))
    return values + gain * _pink_and_muscle(len(values), values.shape[1], rate_hz, rng)


def electrode_dropout(
    values: Array, share: float, rate_hz: float, mains_hz: float, rng: np.random.Generator
) -> Array:
    """Detach a share of the electrodes, each from a random time in the first half to the end.

    Every other one is flat afterwards; the rest jump, as with a loose contact.
    """
    n_samples, n_channels = values.shape
    corrupted = values.copy()
    lost = rng.permutation(n_channels)[: round(share * n_channels)]
    jump = LOOSE_RMS * np.sqrt(_variance(values, rate_hz))
    for order, channel in enumerate(lost):
        first = int(rng.uniform(0, 0.5) * n_samples)
        level = rng.standard_normal(int((n_samples - first) / rate_hz / CONTACT_S) + 1)
        held = np.repeat(level, int(CONTACT_S * rate_hz) + 1)[: n_samples - first]
        corrupted[first:, channel] = (
            0 if order % 2 == 0 else corrupted[first:, channel] + jump * held
        )
    return corrupted


def mains_hum(
    values: Array, snr_db: float, rate_hz: float, mains_hz: float, rng: np.random.Generator
) -> Array:
    """Add the mains frequency and its harmonics, at a strength that changes as cables move.

    The notch filter removes hum within the range of the amplifier. Harmful is hum that drives the
    amplifier beyond its range, where the EEG is lost for a part of every cycle.
    """
    n_samples, n_channels = values.shape
    times_s = np.arange(n_samples)[:, None] / rate_hz
    hum = np.zeros_like(values)
    for order, strength in ((1, 1.0), (2, 0.2), (3, 0.4)):
        # Real mains deviate from the nominal frequency by about 0.1 %.
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
    """Add bursts above 20 Hz on all channels at the same time, as from a tense jaw."""
    n_samples, n_channels = values.shape
    step = max(round(BURST_S / 4 * rate_hz), 1)
    n_steps = -(-n_samples // step)
    tense = scipy.ndimage.gaussian_filter1d(rng.standard_normal(n_steps), BURST_S * rate_hz / step)
    gate = np.repeat(tense > np.quantile(tense, 1 - BURST_SHARE), step)[:n_samples]
    # A gradual onset, because a hard gate would add energy at all frequencies.
    gate = scipy.ndimage.uniform_filter1d(gate.astype(float), step)
    highpass = scipy.signal.butter(2, 20.0, "highpass", fs=rate_hz, output="sos")
    bursts = scipy.signal.sosfilt(highpass, rng.standard_normal(values.shape), axis=0)
    strength = np.exp(0.7 * rng.standard_normal(n_channels))
    return _mix(values, bursts * gate[:, None] * strength, snr_db, rate_hz)


def drift(
    values: Array, amplitude: float, rate_hz: float, mains_hz: float, rng: np.random.Generator
) -> Array:
    """Add slow drift, as from sweat, and electrode pops, as from movement.

    A pop is a step that decays within about half a second, on one channel.
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
    """Return the median over channels of the variance above 1 Hz."""
    highpass = scipy.signal.butter(2, 1.0, "highpass", fs=rate_hz, output="sos")
    return float(np.median(scipy.signal.sosfiltfilt(highpass, values, axis=0).var(axis=0)))


def _mix(values: Array, added: Array, snr_db: float, rate_hz: float) -> Array:
    """Add a signal, scaled to a ratio of the EEG's power to its power over all channels."""
    power = _variance(values, rate_hz) / 10 ** (snr_db / 10)
    return values + added * np.sqrt(power / np.mean(added**2))


def _pink_and_muscle(
    n_samples: int, n_channels: int, rate_hz: float, rng: np.random.Generator
) -> Array:
    """Return noise of unit variance per channel: half pink, half bursts above 20 Hz."""
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
    scaled = [noise / noise.std(axis=1, keepdims=True) for noise in (pink, muscle)]
    mixed: Array = ((scaled[0] + scaled[1]) / np.sqrt(2)).T
    return mixed

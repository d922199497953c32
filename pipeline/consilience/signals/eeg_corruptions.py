"""Corruptions of EEG: noise, detached electrodes, mains hum, muscle activity, movement.

Noise, muscle activity and movement are added. They are drawn once for all severities, which differ
in their level alone, and any stretch of them can be computed by itself. Detached electrodes and
mains hum are applied to the working channels in volts, shape (n_samples, n_channels).

Ratios and amplitudes are relative to the median power of the channels above 1 Hz, so that neither
an electrode's offset nor one bad channel determines them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import scipy.ndimage
import scipy.signal
from numpy.typing import NDArray

from consilience.signals.decimation import Source, decimated
from consilience.signals.eeg_quality import FLAT_V
from consilience.signals.plausibility import band_rms

Array = NDArray[np.float64]
Array32 = NDArray[np.float32]

DRAWN_HZ = 250.0  # far above the bands
BLOCK = 4096  # samples of white noise with one seed
BYTE_SD = np.sqrt((2**16 - 1) / 12)  # of a byte
PINK_HZ = 0.25  # below, the noise is white; the cleaning removes that
SECOND_BURST, SECOND_REST = 1.1, 0.1  # amplitudes of the noise above 20 Hz
BURST_S, BURST_SHARE = 0.6, 0.4  # of muscle activity
POPS_PER_S, POP_DECAY_S, POP_REACH_S = 0.15, 0.4, 6.0
MUSCLE_HZ, MUSCLE_REACH_S = 20.0, 0.1
CONTACT_S = 0.5  # duration for which a loose electrode keeps its level
RANGE_RMS = 15.0  # range of an amplifier about the median, in root mean squares of the EEG
LOOSE_RMS = 30.0  # jumps of a loose electrode, in root mean squares of the EEG


def electrode_dropout(
    values: Array, share: float, rate_hz: float, mains_hz: float, rng: np.random.Generator
) -> Array:
    """Detach a share of the electrodes, each from a random time in the first half to the end.

    Every other one is flat afterwards; the rest jump, as with a loose contact.
    """
    n_samples, n_channels = values.shape
    corrupted = values.copy()
    lost = rng.permutation(n_channels)[: round(share * n_channels)]
    jump = LOOSE_RMS * rms_above_1_hz(values, rate_hz)
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

    The cleaning removes hum within the range of the amplifier. Harmful is hum that drives the
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
    rms = rms_above_1_hz(values, rate_hz)
    centre = np.median(values, axis=0)
    driven = _mix(values - centre, hum, snr_db, rms)
    return centre + np.clip(driven, -RANGE_RMS * rms, RANGE_RMS * rms)


def noise(n_samples: int, n_channels: int, rate_hz: float, rng: np.random.Generator) -> Source:
    """Return pink noise and bursts of muscle-like broadband noise, of equal power."""
    white = _White(n_channels, rng)
    octaves = [_White(n_channels, rng) for _ in range(round(np.log2(rate_hz / PINK_HZ)))]
    bursts = rng.random((n_channels, int(n_samples / rate_hz) + 2)) < 0.3  # in each second
    level = np.where(bursts, SECOND_BURST, SECOND_REST)
    level = (level / np.sqrt(2 * np.mean(level**2, axis=1, keepdims=True))).astype(np.float32)

    def stretch(start: int, stop: int) -> Array32:
        second = (np.arange(start, stop) / rate_hz).astype(np.intp)
        values = _muscle_like(white, start, stop, rate_hz)
        values *= level[:, second]
        return values + _pink(octaves, start, stop) * np.float32(np.sqrt(0.5))

    return stretch


def muscle(n_samples: int, n_channels: int, rate_hz: float, rng: np.random.Generator) -> Source:
    """Return bursts above 20 Hz on all channels at the same time, as from a tense jaw."""
    step_s = BURST_S / 4
    tense = rng.standard_normal(int(n_samples / rate_hz / step_s) + 2)
    tense = scipy.ndimage.gaussian_filter1d(tense, BURST_S / step_s)
    gate = (tense > np.quantile(tense, 1 - BURST_SHARE)).astype(float)
    strength = np.exp(0.7 * rng.standard_normal((n_channels, 1)))
    before, after = gate[:-1], gate[1:]
    on = np.mean(before**2 + before * after + after**2) / 3  # mean of the square of the ramps
    strength /= np.sqrt(on * np.mean(strength**2))
    white = _White(n_channels, rng)

    def stretch(start: int, stop: int) -> Array32:
        # A gradual onset, because a hard gate would add energy at all frequencies.
        steps = np.arange(start, stop) / (rate_hz * step_s)
        ramps = np.interp(steps, np.arange(len(gate)), gate)
        bursts = _muscle_like(white, start, stop, rate_hz)
        return bursts * np.asarray(strength * ramps, np.float32)

    return stretch


def drift(n_samples: int, n_channels: int, rate_hz: float, rng: np.random.Generator) -> Source:
    """Return slow drift, as from sweat, and electrode pops, as from movement.

    A pop is a step that decays within about half a second, on one channel.
    """
    waves = [(hz, rng.uniform(0, 2 * np.pi, (n_channels, 1))) for hz in rng.uniform(0.03, 0.3, 3)]
    n_pops = rng.poisson(POPS_PER_S * n_channels * n_samples / rate_hz)
    at, channel = np.sort(rng.integers(0, n_samples, n_pops)), rng.integers(0, n_channels, n_pops)
    size = 2 * rng.standard_normal(n_pops)
    reach = round(POP_REACH_S * rate_hz)

    def stretch(start: int, stop: int) -> Array32:
        times_s = np.arange(start, stop) / rate_hz
        wander = sum(np.sin(2 * np.pi * hz * times_s + phase) for hz, phase in waves)
        pops = np.zeros((n_channels, stop - start + reach))
        near = slice(*np.searchsorted(at, (start - reach, stop)))
        np.add.at(pops, (channel[near], at[near] - (start - reach)), size[near])
        decay = [1, -np.exp(-1 / (POP_DECAY_S * rate_hz))]
        pops = scipy.signal.lfilter([1], decay, pops, axis=1)[:, reach:]
        return np.asarray(wander + pops, np.float32)

    return stretch


class Additive(NamedTuple):
    """A corruption that is added to the EEG; its severities differ in their level alone.

    Attributes
    ----------
    draw : callable
        Returns a source of unit level from a number of samples and of channels, the rate in Hz
        and a generator.
    gain : callable
        Level in root mean squares of the EEG, from the value of the severity.
    """

    draw: Callable[[int, int, float, np.random.Generator], Source]
    gain: Callable[[float], float]

    def source(
        self, n_samples: int, n_channels: int, rate_hz: float, rng: np.random.Generator
    ) -> Source:
        """Return a source at a rate; it is drawn at `DRAWN_HZ` or more, and each sample is held.

        Parameters
        ----------
        n_samples, n_channels : int
        rate_hz : float
        rng : numpy.random.Generator
        """
        hold = max(1, int(rate_hz / DRAWN_HZ * (1 + 1e-6)))  # rates are estimates
        drawn = self.draw(-(-n_samples // hold), n_channels, rate_hz / hold, rng)

        def held(start: int, stop: int) -> Array32:
            first = start // hold
            values = np.repeat(drawn(first, -(-stop // hold)), hold, axis=1)
            return values[:, start - first * hold :][:, : stop - start]

        return held


def _of_ratio(db: float) -> float:
    """Return the amplitude of what is some decibels below the EEG."""
    return float(10 ** (-db / 20))


ADDED: Mapping[str, Additive] = {
    "noise": Additive(noise, _of_ratio),
    "muscle": Additive(muscle, _of_ratio),
    "drift": Additive(drift, float),
}
APPLIED: Mapping[str, Callable[..., Array]] = {
    "electrode_dropout": electrode_dropout,
    "mains_hum": mains_hum,
}


def rms_above_1_hz(values: Array, rate_hz: float) -> float:
    """Return the median over channels of the root mean square above 1 Hz.

    Parameters
    ----------
    values : ndarray of float64, shape (n_samples, n_channels)
        NaN where missing; see `band_rms`.
    rate_hz : float

    Returns
    -------
    float
        0 if no working channel has a complete stretch.
    """
    rms = band_rms(values, rate_hz, (1.0, rate_hz / 2))
    working = rms[rms > FLAT_V]
    return float(np.median(working)) if len(working) else 0.0


def _mix(values: Array, added: Array, snr_db: float, rms: float) -> Array:
    """Add a signal, scaled to a ratio of the EEG's power to its power over all channels."""
    return values + added * rms * _of_ratio(snr_db) / np.sqrt(np.mean(added**2))


class _White:
    """White noise of unit variance; any stretch can be drawn, in blocks with their own seeds."""

    def __init__(self, n_channels: int, rng: np.random.Generator) -> None:
        self.n_channels, self.seed = n_channels, int(rng.integers(2**63))

    def __call__(self, start: int, stop: int) -> Array32:
        first = start // BLOCK
        blocks = [self._block(number) for number in range(first, -(-stop // BLOCK))]
        joined = np.concatenate(blocks, axis=1)[:, start - first * BLOCK :][:, : stop - start]
        return joined

    def _block(self, number: int) -> Array32:
        # Random bytes are the fastest draw, and normal after the filters that follow.
        drawn = np.random.SFC64((self.seed, number)).random_raw(self.n_channels * BLOCK // 8)
        levels = drawn.astype("<u8").view(np.int8).reshape(self.n_channels, BLOCK)
        return np.multiply(levels, np.float32(1 / BYTE_SD), dtype=np.float32)


def _muscle_like(white: _White, start: int, stop: int, rate_hz: float) -> Array32:
    """Return white noise above 20 Hz, of unit variance."""
    taps = _muscle_taps(rate_hz)
    return decimated(white(start, stop + len(taps) - 1), taps, 1)


@lru_cache(maxsize=4)
def _muscle_taps(rate_hz: float) -> Array32:
    """Return the high-pass filter that makes white noise muscle-like, shape (n_taps,)."""
    taps = scipy.signal.firwin(
        2 * round(MUSCLE_REACH_S * rate_hz) + 1, MUSCLE_HZ, pass_zero=False, fs=rate_hz
    )
    return np.asarray(taps / np.sqrt(np.sum(taps**2)), np.float32)


def _pink(octaves: Sequence[_White], start: int, stop: int) -> Array32:
    """Return pink noise of unit variance: white noises, each held twice as long as the one before.

    This is the method of Voss and McCartney.
    """
    values = octaves[-1](start >> len(octaves) - 1, (stop - 1 >> len(octaves) - 1) + 1)
    for octave in reversed(range(len(octaves) - 1)):
        first, last = start >> octave, (stop - 1 >> octave) + 1
        values = np.repeat(values, 2, axis=1)[:, first % 2 :][:, : last - first]
        values = values + octaves[octave](first, last)
    return values * np.float32(1 / np.sqrt(len(octaves)))

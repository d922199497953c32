"""Corruptions of a voice: noise, other talkers, a room, an overloaded converter, a bad line.

Each function takes the sound, full scale 1, shape (n_samples,), the value of the severity, the
sampling rate in Hz and a generator, and returns the corrupted sound. Ratios are relative to the
power of the whole sound.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import scipy.fft
import scipy.signal
from numpy.typing import NDArray

from consilience.core.scratch import joined
from consilience.signals.burst_loss import bursts

Array = NDArray[np.float32]

TALKERS = 5
REPEAT_S = 60.0  # after which added sound repeats: the draws of hours take long
FORMANTS_HZ = ((250, 850), (800, 2400), (2200, 3200))  # their ranges over the vowels
FORMANT_WIDTH_HZ = 110.0
ROOM_M3, DISTANCE_M = 60.0, 2.0  # volume of the room, distance from mouth to microphone
PACKET_S, BURST_PACKETS = 0.02, 3.0


def noise(sound: Array, snr_db: float, rate_hz: float, rng: np.random.Generator) -> Array:
    """Add pink noise."""
    return sound + gain(np.var(sound), snr_db) * pink_noise(sound.size, rate_hz, rng)


def babble(sound: Array, snr_db: float, rate_hz: float, rng: np.random.Generator) -> Array:
    """Add several people who talk at the same time."""
    return sound + gain(np.var(sound), snr_db) * talkers(sound.size, rate_hz, rng)


def reverb(sound: Array, t60_s: float, rate_hz: float, rng: np.random.Generator) -> Array:
    """Add reverberation: the direct sound, and noise that decays by 60 dB in `t60_s`.

    The ratio of direct to reverberant energy follows from the decay at a fixed volume and
    distance: the square of critical distance over distance, the critical distance being
    ``0.057 * sqrt(volume / t60)`` metres (Kuttruff 2016).
    """
    since_s = np.arange(1, int(t60_s * rate_hz), dtype=np.float32) / np.float32(rate_hz)
    tail = rng.standard_normal(since_s.size, np.float32) * 10 ** (-3 * since_s / t60_s)
    direct_to_reverberant = 0.057**2 * ROOM_M3 / t60_s / DISTANCE_M**2
    tail /= np.sqrt(direct_to_reverberant * np.sum(tail**2))
    # The impulse response is the direct sound, followed by the tail.
    response = np.concatenate([np.ones(1, np.float32), tail.astype(np.float32)])
    reverberant = scipy.signal.oaconvolve(sound, response)[: sound.size]
    return (reverberant * np.std(sound) / np.std(reverberant)).astype(np.float32)


def clipping(sound: Array, overload_db: float, rate_hz: float, rng: np.random.Generator) -> Array:
    """Clip the peaks, as a converter driven beyond full scale; the level is then restored."""
    limit = np.abs(sound).max() / 10 ** (overload_db / 20)
    clipped = np.clip(sound, -limit, limit)
    return (clipped * np.std(sound) / np.std(clipped)).astype(np.float32)


def packet_loss(sound: Array, rate: float, rate_hz: float, rng: np.random.Generator) -> Array:
    """Silence packets of 20 ms, in bursts of a two-state Markov chain (Gilbert 1960)."""
    size = round(PACKET_S * rate_hz)
    lost = bursts(-(-sound.size // size), rate, BURST_PACKETS, rng)
    return np.where(np.repeat(lost, size)[: sound.size], np.float32(0), sound)


def telephone(sound: Array, edge_hz: float, rate_hz: float, rng: np.random.Generator) -> Array:
    """Keep only the band from 300 Hz to `edge_hz`."""
    # The filter needs an edge below half the sampling rate.
    band = (300.0, min(edge_hz, 0.49 * rate_hz))
    sos = scipy.signal.butter(4, band, "bandpass", fs=rate_hz, output="sos")
    return np.asarray(scipy.signal.sosfilt(sos, sound), np.float32)


APPLY: Mapping[str, Callable[..., Array]] = {
    "noise": noise,
    "babble": babble,
    "reverb": reverb,
    "clipping": clipping,
    "packet_loss": packet_loss,
    "telephone": telephone,
}


def gain(power: np.float32, snr_db: float) -> float:
    """Return the factor of added sound of unit variance for a signal-to-noise ratio."""
    return float(np.sqrt(power / 10 ** (snr_db / 10)))


def pink_noise(n_samples: int, rate_hz: float, rng: np.random.Generator) -> Array:
    """Return noise of unit variance whose power falls by 3 dB per octave, shape (n_samples,)."""
    n_drawn = scipy.fft.next_fast_len(min(n_samples, round(REPEAT_S * rate_hz)), real=True)
    spectrum = scipy.fft.rfft(rng.standard_normal(n_drawn, np.float32))
    # Power proportional to 1/f is an amplitude proportional to 1/sqrt(f); 1 keeps the mean finite.
    spectrum /= np.sqrt(np.maximum(np.arange(spectrum.size, dtype=np.float32), 1))
    noise: Array = scipy.fft.irfft(spectrum, n_drawn)
    return _repeated(noise / noise.std(), n_samples)


def talkers(n_samples: int, rate_hz: float, rng: np.random.Generator) -> Array:
    """Return the sound of several people at unit variance, shape (n_samples,)."""
    n_drawn = min(n_samples, round(REPEAT_S * rate_hz))
    voices: Array = np.sum([_talker(n_drawn, rate_hz, rng) for _ in range(TALKERS)], axis=0)
    return _repeated(voices / voices.std(), n_samples)


def _repeated(sound: Array, n_samples: int) -> Array:
    """Return a sound, cut or repeated to a length."""
    starts = range(0, n_samples, sound.size)
    return joined(sound[: n_samples - start] for start in starts)


# Sounds of unit variance that are added at a signal-to-noise ratio.
ADDED: Mapping[str, Callable[[int, float, np.random.Generator], Array]] = {
    "noise": pink_noise,
    "babble": talkers,
}


def _talker(n_samples: int, rate_hz: float, rng: np.random.Generator) -> Array:
    """Return speech without words: glottal pulses and breath noise, filtered by moving formants.

    Syllables last 0.12 to 0.35 s. Each has a pitch, formants, breath and loudness of its own, and a
    fifth of them are pauses.
    """
    starts_s = np.cumsum(rng.uniform(0.12, 0.35, int(n_samples / rate_hz / 0.2) + 10))
    starts_s -= starts_s[5] * rng.random()  # so that talkers do not start a syllable together
    n = starts_s.size
    loudness = rng.random(n) * (rng.random(n) < 0.8)
    octaves = rng.uniform(-0.5, 0.8) + 0.15 * rng.standard_normal(n)
    formants_hz = np.stack([rng.uniform(low, high, n) for low, high in FORMANTS_HZ])
    breath = 0.02 + 0.1 * (rng.random(n) < 0.25)

    # The filter changes every half frame of 16 ms, shorter than any formant transition.
    size = 2 * round(0.016 * rate_hz)
    frames_s = np.arange(n_samples // size * 2 + 4) * (size / 2 / rate_hz)
    times_s = np.arange(frames_s.size // 2 * size + size) / rate_hz
    pitch_hz = 120 * 2 ** np.interp(times_s[::size], starts_s, octaves).repeat(size)
    # A glottal pulse wherever the accumulated phase passes a whole number.
    pulses = np.diff(np.floor(np.cumsum(pitch_hz / rate_hz)), prepend=0).astype(np.float32)
    hiss = np.interp(times_s[::size], starts_s, breath).astype(np.float32).repeat(size)
    source = pulses + hiss * rng.standard_normal(times_s.size, np.float32)

    hz = scipy.fft.rfftfreq(size, 1 / rate_hz).astype(np.float32)
    response = np.float32(1) / (1 + hz / 500)  # spectral tilt of the voice source
    for track in formants_hz:
        centre = np.interp(frames_s, starts_s, track).astype(np.float32)[:, None]
        response = response * (0.1 + 1 / (1 + ((hz - centre) / FORMANT_WIDTH_HZ) ** 2))
    response = response * np.interp(frames_s, starts_s, loudness).astype(np.float32)[:, None]
    return _filter(source, response.astype(np.float32), size)[:n_samples]


def _filter(source: Array, response: Array, size: int) -> Array:
    """Filter a sound frame by frame, by overlap-add at half a frame (Griffin and Lim 1984).

    `response` has shape (n_frames, n_frequencies).
    """
    half = size // 2
    # The root of a Hann window, before and after the filter: its squares add up to 1.
    window = np.sqrt(scipy.signal.windows.hann(size, sym=False)).astype(np.float32)
    frames = np.lib.stride_tricks.sliding_window_view(source, size)[::half][: len(response)]
    spectrum = scipy.fft.rfft(frames * window, axis=1)
    filtered = scipy.fft.irfft(spectrum * response[: len(frames)], size, axis=1) * window
    sound = np.zeros((len(filtered) + 1, half), np.float32)
    sound[:-1] += filtered[:, :half]
    sound[1:] += filtered[:, half:]
    return sound.ravel()

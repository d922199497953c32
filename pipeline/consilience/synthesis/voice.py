"""Simulated voice: a source-filter model of syllables in a room, written as FLAC."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
from scipy.signal import fftconvolve, sosfilt

from consilience.core.seeds import generator
from consilience.synthesis.plan import RATES_HZ, Floats, Session

RATE_HZ = int(RATES_HZ["audio"])
FORMANTS_HZ = np.array(
    [
        (730, 1090, 2440, 3400),  # a
        (530, 1840, 2480, 3500),  # e
        (270, 2290, 3010, 3600),  # i
        (570, 840, 2410, 3300),  # o
        (300, 870, 2240, 3250),  # u
        (500, 1500, 2500, 3500),  # schwa
    ],
    dtype=float,
)
BANDWIDTHS_HZ = np.array([80.0, 100.0, 140.0, 220.0])
SPEECH_LEVEL = 0.05  # root mean square of a neutral syllable, full scale 1
CLICK_LEVEL = 0.7
CLICK_S = 0.004

# Change per unit of expressed valence and of expressed arousal.
LOG_PITCH = (0.05, 0.20)
LOG_RATE = (0.04, 0.20)
LOG_LEVEL = (0.0, 0.45)
LOG_FORMANTS = (0.05, 0.0)  # smiling shortens the vocal tract
PITCH_RANGE = (0.06, 0.04)
BRIGHTNESS = (0.0, 0.5)


@dataclass(frozen=True)
class Syllable:
    """A syllable on the session clock, with the valence and arousal it expresses."""

    start_s: float
    end_s: float
    vowel: int
    stress: float
    fricative: bool
    valence: float
    arousal: float


def write_voice(session: Session, path: Path) -> list[str]:
    """Simulate a session's sound track and write it as 16-bit FLAC.

    Parameters
    ----------
    session : Session
        Plan of the session.
    path : Path
        The FLAC to write: speech in the trials, a click at every pulse, and room noise.

    Returns
    -------
    list of str
        Faults of the recording.
    """
    clock = session.clocks["audio"]
    n_samples = int(np.ceil(session.native_duration_s("audio") * RATE_HZ))
    sound = _speech(session, n_samples)
    sound = _in_room(session, sound)
    for time_s in clock.native_s(session.pulses_s):
        _add_click(sound, float(time_s))
    faults = []
    if session.faulty == "audio":
        # Half of full scale: clipping by an earlier amplifier, which does not reach the limits
        # of the file format.
        sound = np.clip(6 * sound, -0.5, 0.5)
        faults.append("clipped at half of full scale")
    soundfile.write(path, np.clip(sound, -1, 1), RATE_HZ, format="FLAC", subtype="PCM_16")
    return faults


def _add_click(sound: Floats, time_s: float) -> None:
    """Add a click in place that starts at `time_s`, which may lie between two samples."""
    first = int(np.ceil(time_s * RATE_HZ))
    since_s = np.arange(first, min(first + int(CLICK_S * RATE_HZ), len(sound))) / RATE_HZ - time_s
    # Two decaying oscillations, evaluated at the true time since the click: rounding to a sample
    # would add an error of up to 1 / 32 ms to the pulse.
    ringing = np.cos(2 * np.pi * 5200 * since_s) + 0.6 * np.cos(2 * np.pi * 2600 * since_s)
    sound[first : first + len(since_s)] += CLICK_LEVEL / 1.6 * ringing * np.exp(-since_s / 5e-4)


def _speech(session: Session, n_samples: int) -> Floats:
    """Return speech without reverberation, shape (n_samples,), sampled by the device's clock."""
    subject = generator("demo", session.subject, "voice")
    base_hz = subject.choice([115.0, 205.0]) * np.exp(subject.normal(0, 0.07))
    # A shorter vocal tract goes with a higher voice and raises all formants.
    tract = (1.0 if base_hz < 150 else 1.14) * np.exp(subject.normal(0, 0.03))
    level = SPEECH_LEVEL * np.exp(subject.normal(0, 0.15))
    rng = generator("demo", session.name, "voice", "speech")
    clock = session.clocks["audio"]
    sound = np.zeros(n_samples)
    for syllable in _syllables(session):
        first = round(float(clock.native_s(np.array(syllable.start_s)) * RATE_HZ))
        count = round((syllable.end_s - syllable.start_s) * RATE_HZ)
        sound[first : first + count] += level * _voiced(syllable, count, base_hz, tract, rng)
    return sound


def _syllables(session: Session) -> Iterator[Syllable]:
    """Yield the syllables of the session: phrases of 4 to 8 in every trial."""
    rng = generator("demo", session.name, "voice", "syllables")
    habitual_rate = np.exp(generator("demo", session.subject, "voice", "rate").normal(0, 0.08))
    for trial in session.trials:
        time_s, n_left = trial.start_s + rng.uniform(0.1, 0.4), int(rng.integers(4, 9))
        while True:
            valence, arousal = session.expressed("audio", np.array([time_s]))[:, 0]
            rate_hz = 4.2 * habitual_rate * np.exp(_effect(LOG_RATE, valence, arousal))
            length_s = rng.uniform(0.8, 1.2) / rate_hz
            if time_s + length_s > trial.end_s:
                break
            yield Syllable(
                start_s=time_s,
                end_s=time_s + 0.92 * length_s,  # a short gap before the next syllable
                vowel=int(rng.integers(len(FORMANTS_HZ))),
                stress=float(rng.uniform(0.6, 1.3)),
                fricative=bool(rng.random() < 0.4),
                valence=valence,
                arousal=arousal,
            )
            time_s, n_left = time_s + length_s, n_left - 1
            if n_left == 0:  # a pause, shorter for a faster speaker
                time_s += rng.uniform(0.2, 0.5) * 4 / rate_hz
                n_left = int(rng.integers(4, 9))


def _voiced(
    syllable: Syllable, count: int, base_hz: float, tract: float, rng: np.random.Generator
) -> Floats:
    """Synthesize one syllable by a source-filter model.

    Parameters
    ----------
    syllable : Syllable
    count : int
        Number of samples.
    base_hz : float
        Pitch of the neutral voice.
    tract : float
        Factor of the formants, relative to a long vocal tract.
    rng : numpy.random.Generator

    Returns
    -------
    ndarray of float64, shape (count,)
        With a root mean square of about 1 for a neutral syllable.
    """
    affect = (syllable.valence, syllable.arousal)
    phase = np.linspace(0, 1, count)
    bend = (0.08 + _effect(PITCH_RANGE, *affect)) * (syllable.stress * np.sin(np.pi * phase) - 0.5)
    jitter = 0.01 * np.interp(phase, np.linspace(0, 1, 8), rng.normal(size=8))
    pitch_hz = base_hz * np.exp(_effect(LOG_PITCH, *affect) + bend + jitter)
    # Phase of the vocal folds: the integral of the pitch, modulo one cycle.
    cycle = np.cumsum(pitch_hz) / RATE_HZ % 1
    source = _glottal_flow(cycle)
    # The lips radiate the derivative of the flow; a second derivative adds high frequencies.
    source = np.diff(source, prepend=source[0])
    bright = np.exp(_effect(BRIGHTNESS, *affect))
    source = source + 0.6 * bright * np.diff(source, prepend=source[0])
    source += 0.01 * rng.normal(size=count)
    formants_hz = FORMANTS_HZ[syllable.vowel] * tract * np.exp(_effect(LOG_FORMANTS, *affect))
    voiced = sosfilt(_resonators(formants_hz), source)
    # The gain of the resonators depends on vowel and pitch; the level must not.
    voiced /= np.sqrt(np.mean(voiced**2)) + 1e-9
    envelope = np.sin(np.pi * phase) ** 0.7
    sound = envelope * voiced * syllable.stress * np.exp(_effect(LOG_LEVEL, *affect))
    if syllable.fricative:
        hiss = np.diff(rng.normal(size=count + 1))
        sound += 0.35 * bright * np.exp(-0.5 * ((phase - 0.08) / 0.05) ** 2) * hiss
    return sound


def _glottal_flow(cycle: Floats) -> Floats:
    """Return the flow through the glottis by phase of the cycle (Rosenberg 1971, type C).

    Parameters
    ----------
    cycle : ndarray of float64
        Phase in [0, 1).

    Returns
    -------
    ndarray of float64, shape of `cycle`
        Within [0, 1]; 0 while the glottis is closed.
    """
    opening, closing = 0.40, 0.16
    rising = 0.5 * (1 - np.cos(np.pi * cycle / opening))
    falling = np.cos(0.5 * np.pi * (cycle - opening) / closing)
    return np.where(cycle < opening, rising, np.where(cycle < opening + closing, falling, 0))


def _resonators(formants_hz: Floats) -> Floats:
    """Return one second-order section per formant, with unit gain at zero frequency.

    Parameters
    ----------
    formants_hz : ndarray of float64, shape (n_formants,)

    Returns
    -------
    ndarray of float64, shape (n_formants, 6)
        As `scipy.signal.sosfilt` takes them.
    """
    # A pair of complex poles: the angle sets the frequency, the radius the bandwidth.
    radius = np.exp(-np.pi * BANDWIDTHS_HZ / RATE_HZ)
    angle = 2 * np.pi * formants_hz / RATE_HZ
    sections = np.zeros((len(formants_hz), 6))
    sections[:, 3:] = np.stack(
        [np.ones_like(radius), -2 * radius * np.cos(angle), radius**2], axis=1
    )
    sections[:, 0] = sections[:, 3:].sum(axis=1)
    return sections


def _in_room(session: Session, sound: Floats) -> Floats:
    """Return the sound with reverberation and room noise, shape (n_samples,)."""
    rng = generator("demo", session.name, "voice", "room")
    tail_s = np.arange(int(0.15 * RATE_HZ)) / RATE_HZ
    response = rng.normal(size=len(tail_s)) * np.exp(-tail_s / 0.04)
    response *= 0.25 / np.sqrt(np.sum(response**2))
    response[0] = 1  # the direct sound
    reverberant = fftconvolve(sound, response)[: len(sound)]
    # A first-order low-pass filter: room noise has most of its power at low frequencies.
    noise = sosfilt([[1, 0, 0, 1, -0.95, 0]], rng.normal(size=len(sound)))
    return reverberant + rng.uniform(3e-4, 1.5e-3) * noise


def _effect(change: tuple[float, float], valence: float, arousal: float) -> float:
    """Return a change from the expressed valence and arousal; see the constants above."""
    return change[0] * valence + change[1] * arousal

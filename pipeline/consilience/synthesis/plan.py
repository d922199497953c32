"""What happens in each session: trials, state, pulses, clocks, and what goes wrong."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from consilience.core.seeds import generator
from consilience.schema.params.synthesis import SynthesisParams
from consilience.synthesis.difficulty import (
    CLASSES,
    EXPRESSIVENESS,
    MAGNITUDE,
    MASKED_REMAINDER,
    QUADRANTS,
    SHARES,
    WANDER,
)

Floats = NDArray[np.float64]

FILES = {"eeg": "eeg.edf", "audio": "voice.flac", "video": "face.mp4"}
RATES_HZ = {"eeg": 250.0, "audio": 16000.0, "video": 25.0}
FAULTS = {"eeg": "flat channel", "audio": "clipped", "video": "dropped frames"}

REST_S = 0.9  # between trials, with two pulses
BURST = 4  # pulses before the first and after the last trial
RISE_S = 0.25  # how fast an emotion sets in and fades


@dataclass(frozen=True)
class Clock:
    """A device's clock: ``session_s = (1 + 1e-6 * drift_ppm) * native_s + offset_s``."""

    offset_s: float
    drift_ppm: float

    def session_s(self, native_s: Floats) -> Floats:
        """Turn seconds of the device into seconds of the session."""
        return (1 + 1e-6 * self.drift_ppm) * native_s + self.offset_s

    def native_s(self, session_s: Floats) -> Floats:
        """Turn seconds of the session into seconds of the device."""
        return (session_s - self.offset_s) / (1 + 1e-6 * self.drift_ppm)


@dataclass(frozen=True)
class Trial:
    """One emotional episode, with its mean valence and arousal in ``[-1, 1]``."""

    name: str
    start_s: float
    end_s: float
    emotion: str
    valence: float
    arousal: float


@dataclass(frozen=True)
class Session:
    """All that is decided before any signal is made; seconds are the session clock's.

    Attributes
    ----------
    subject, name : str
        Whose session, and its id over all subjects.
    trials : tuple of Trial
        In time's order, apart from one another.
    pulses_s : ndarray of float64
        Synchronisation pulses, at whole microseconds.
    end_s : float
        Every recording lasts at least until then.
    clocks : dict of str to Clock
        One per modality.
    missing : str or None
        Modality that was not recorded.
    faulty : str or None
        Modality whose recording has the fault `FAULTS` names.
    """

    subject: str
    name: str
    trials: tuple[Trial, ...]
    pulses_s: Floats
    end_s: float
    clocks: dict[str, Clock]
    missing: str | None
    faulty: str | None

    @property
    def folder(self) -> str:
        """Folder of the session's files, relative to the corpus."""
        return self.name.replace("_", "/")

    def recording(self, modality: str) -> str:
        """Return the id of the recording of a modality."""
        return f"{self.name}_{modality}"

    def native_duration_s(self, modality: str) -> float:
        """Return how long the device recorded, on its own clock."""
        return float(self.clocks[modality].native_s(np.array(self.end_s)))

    def state(self, times_s: Floats) -> Floats:
        """Return valence and arousal at times of the session, shape (2, n_times)."""
        felt = [(trial.valence, trial.arousal) for trial in self.trials]
        return np.clip(self._course(felt, times_s) + self._wander(times_s), -1, 1)

    def expressed(self, modality: str, times_s: Floats) -> Floats:
        """Return what a modality shows of valence and arousal, shape (2, n_times), about ±1.5."""
        share, rng = SHARES[modality], generator("demo", self.name, "expressed", modality)
        factor = generator("demo", self.subject, "expressiveness", modality).uniform(
            *EXPRESSIVENESS
        )
        weights = np.array([share.valence, share.arousal])
        shown = []
        for trial in self.trials:
            said = weights * (trial.valence, trial.arousal) + rng.normal(0, share.noise, 2)
            masked = rng.random() < share.masked
            shown.append(factor * said * (MASKED_REMAINDER if masked else 1))
        course = self._course(shown, times_s) + weights[:, None] * self._wander(times_s)
        return 1.5 * np.tanh(course / 1.5)

    def activity(self, times_s: Floats) -> Floats:
        """Return 1 within trials and 0 between them, with smooth borders."""
        return self._course([(1.0, 1.0)] * len(self.trials), times_s)[0]

    def _course(self, levels: Iterable[tuple[float, float] | Floats], times_s: Floats) -> Floats:
        course = np.zeros((2, len(times_s)))
        for trial, level in zip(self.trials, levels, strict=True):
            inside = smooth_step(times_s - trial.start_s) * smooth_step(trial.end_s - times_s)
            course += np.asarray(level)[:, None] * inside
        return course

    def _wander(self, times_s: Floats) -> Floats:
        parts = (random_wave("demo", self.name, "wander", axis) for axis in ("valence", "arousal"))
        return WANDER * np.stack([wave(times_s) for wave in parts])


def smooth_step(times_s: Floats) -> Floats:
    """Rise from 0 to 1 shortly after time zero."""
    return 0.5 + 0.5 * np.tanh((times_s - 2 * RISE_S) / RISE_S)


def random_wave(
    *names: object, low_hz: float = 0.05, high_hz: float = 0.4
) -> Callable[[Floats], Floats]:
    """Return a smooth random function of time, of unit variance, that its names determine."""
    rng = generator(*names)
    n_waves = 8
    frequencies = rng.uniform(low_hz, high_hz, n_waves)
    phases = rng.uniform(0, 2 * np.pi, n_waves)

    def wave(times_s: Floats) -> Floats:
        total = np.zeros(np.shape(times_s))
        for frequency, phase in zip(frequencies, phases, strict=True):
            total += np.sin(2 * np.pi * frequency * times_s + phase)
        return total * np.sqrt(2 / n_waves)

    return wave


def sessions(params: SynthesisParams) -> list[Session]:
    """Plan every session of the corpus; each depends on its own names only."""
    return [
        _session(f"sub-{subject:02}", number, params)
        for subject in range(1, params.subjects + 1)
        for number in range(1, params.sessions + 1)
    ]


def _session(subject: str, number: int, params: SynthesisParams) -> Session:
    name = f"{subject}_ses-{number}"
    rng = generator("demo", name, "plan")
    clocks = {
        modality: Clock(
            offset_s=round(rng.uniform(-1, 1) * params.max_offset_s, 6),
            drift_ppm=round(rng.uniform(-1, 1) * params.max_drift_ppm, 3),
        )
        for modality in FILES
    }
    # The latest device begins max_offset_s into the session: nothing happens before.
    opening, time_s = _burst(rng, params.max_offset_s + 0.2)
    trials: list[Trial] = []
    pulses = [*opening]
    for index, emotion in enumerate(_emotions(subject, number, params), start=1):
        if trials:
            pulses += [time_s + rng.uniform(0.1, 0.35), time_s + rng.uniform(0.55, 0.85)]
            time_s += REST_S
        magnitude = rng.uniform(*MAGNITUDE, 2)
        valence, arousal = magnitude * QUADRANTS[emotion]
        end_s = round(time_s + params.trial_s, 6)
        trials.append(Trial(f"{name}_t{index:02}", time_s, end_s, emotion, valence, arousal))
        time_s = end_s
    closing, time_s = _burst(rng, time_s + 0.1)
    missing, faulty = _mishaps(name, params)
    return Session(
        subject=subject,
        name=name,
        trials=tuple(trials),
        pulses_s=np.round([*pulses, *closing], 6),
        end_s=time_s,
        clocks=clocks,
        missing=missing,
        faulty=faulty,
    )


def _burst(rng: np.random.Generator, start_s: float) -> tuple[Floats, float]:
    """Return irregular pulses from `start_s` on and the time when they are over."""
    pulses_s = start_s + np.cumsum(rng.uniform(0.25, 0.6, BURST))
    return pulses_s, round(float(pulses_s[-1]) + 0.3, 6)


def _emotions(subject: str, number: int, params: SynthesisParams) -> list[str]:
    """Deal the classes in shuffled blocks, so that they are balanced within a subject."""
    first, last = (number - 1) * params.trials, number * params.trials
    dealt: list[str] = []
    while len(dealt) < last:
        rng = generator("demo", subject, "emotions", len(dealt))
        dealt += [CLASSES[index] for index in rng.permutation(len(CLASSES))]
    return dealt[first:last]


def _mishaps(name: str, params: SynthesisParams) -> tuple[str | None, str | None]:
    """Choose at most one modality that is missing and another that is faulty."""
    rng = generator("demo", name, "failures")
    first, second = rng.permutation(list(FILES))[:2]
    per_session = len(FILES) * np.array([params.missing_fraction, params.faulty_fraction])
    missing, faulty = rng.random(2) < per_session
    return (str(first) if missing else None), (str(second) if faulty else None)
